import { join } from 'node:path';
import type { JSONWebKeySet } from 'jose';
import { nowUs } from '../../kube/clock.js';
import type { Cluster } from '../../kube/cluster.js';
import { reasonOf } from '../../kube/cluster.js';
import type { Logger } from '../../kube/log.js';
import { Damaged, keep, kept } from '../disk/kept-file.js';
import type { IssuerKeys } from '../ingest/who/tokens.js';

const EVERY_MS = 60_000;
const AGAIN_MS = 5000;
/** Whoever shows tokens with unknown keys has them asked for no more often than this. */
const LEAST_US = 5_000_000;

type Published = NonNullable<IssuerKeys['current']>;

/**
 * The keys of the cluster's service account issuer (Kubernetes, "Service account issuer discovery"), followed, and kept on
 * disk: tokens are checked also while the API server is away.
 */
export class FollowedIssuerKeys implements IssuerKeys {
  readonly #cluster: Cluster;
  readonly #file: string;
  readonly #log: Logger;
  #current: Published | undefined;
  /** What is on disk of it. */
  #kept: string | undefined;
  #cutOff = false;
  #askedUs = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(cluster: Cluster, stateDir: string, log: Logger) {
    this.#cluster = cluster;
    this.#file = join(stateDir, 'issuer-keys.json');
    this.#log = log;
  }

  get current(): Published | undefined {
    return this.#current;
  }

  get cutOff(): boolean {
    return this.#cutOff;
  }

  missed(): void {
    if (!this.#stopped && nowUs() - this.#askedUs > LEAST_US) void this.#follow();
  }

  /** Takes what was kept, and begins to follow. */
  async start(): Promise<void> {
    try {
      const text = await kept(this.#file);
      if (text !== undefined) this.#current = JSON.parse(text) as Published;
      if (this.#current !== undefined) this.#kept = JSON.stringify(this.#current);
    } catch (error) {
      if (!(error instanceof Damaged || error instanceof SyntaxError)) throw error;
      this.#log.warn({ error: error.message }, 'the keys kept for checking tokens cannot be used');
    }
    await this.#follow();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** For when the API server is away; tried again with every round where it fails. */
  async #keep(text: string): Promise<void> {
    try {
      await keep(this.#file, `${text}\n`);
      this.#kept = text;
    } catch (error) {
      this.#log.warn({ error: (error as Error).message }, 'the keys for checking tokens cannot be kept');
    }
  }

  async #follow(): Promise<void> {
    clearTimeout(this.#timer);
    this.#askedUs = nowUs();
    try {
      const { issuer } = JSON.parse(await this.#cluster.read('/.well-known/openid-configuration')) as {
        issuer: string;
      };
      const keys = JSON.parse(await this.#cluster.read('/openid/v1/jwks')) as JSONWebKeySet;
      const text = JSON.stringify({ issuer, keys });
      this.#cutOff = false;
      if (text !== JSON.stringify(this.#current)) {
        this.#current = { issuer, keys };
        this.#log.info({ issuer, keys: keys.keys.length }, 'tokens are checked with these keys from now on');
      }
      if (text !== this.#kept) await this.#keep(text);
    } catch (error) {
      if (!this.#cutOff)
        this.#log.warn({ error: reasonOf(error) }, 'keys for checking tokens cannot be asked for; those at hand stay');
      this.#cutOff = true;
    }
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#follow(), this.#cutOff ? AGAIN_MS : EVERY_MS).unref();
  }
}
