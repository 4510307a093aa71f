import { createHash } from 'node:crypto';
import { tenantPath } from '../../../api/names.js';
import type { Logger } from '../../../kube/log.js';
import type { AgentMetrics } from '../../serving/metrics.js';
import type { TenantTerms } from '../../serving/tenant.js';
import { BadRequest } from '../protocol/bad-request.js';
import type { Claim } from './claim.js';
import type { Identity } from './identity.js';
import { identityText, maySend } from './identity.js';
import { Quiet } from './quiet.js';
import type { Tokens } from './tokens.js';
import { BadToken } from './tokens.js';

/** Whether senders are asked who they are: not at all, only to count who would be refused, or to refuse them. */
export type Mode = 'Anyone' | 'Audit' | 'Enforce';

/** A sender who may not; says nothing of whether the tenant exists. */
export class Denied extends BadRequest {
  constructor(status: 401 | 403, code: string, message: string) {
    super(message, status, code, status === 401 ? { 'WWW-Authenticate': 'Bearer realm="deeprt"' } : {});
  }
}

/** Who sends: proven, or why not. */
export type Sender = Identity | Denied;

/** Somebody with a request. */
export interface Visitor {
  readonly claim: Claim;
  readonly sender: Sender;
}

export interface GuardOptions {
  readonly mode: Mode;
  /** Checks service accounts' tokens; without a cluster there are none. */
  readonly tokens?: Tokens | undefined;
  readonly log?: Logger | undefined;
}

type Terms = Pick<TenantTerms, 'namespace' | 'name' | 'senders'>;

/** Lets those send who may: the right is in the tenant's terms, the identity in the request, and nobody else is asked. */
export class Guard {
  readonly #options: GuardOptions;
  readonly #refusals: AgentMetrics['senderRefusals'];
  readonly #quiet = new Quiet();

  constructor(options: GuardOptions, metrics: AgentMetrics) {
    this.#options = options;
    this.#refusals = metrics.senderRefusals;
  }

  /** Whether anybody is refused. */
  get enforces(): boolean {
    return this.#options.mode === 'Enforce';
  }

  async visitor(claim: Claim): Promise<Visitor> {
    return { claim, sender: await this.#who(claim) };
  }

  /** Who the head of a request says that its sender is. */
  async #who(claim: Claim): Promise<Sender> {
    const { authorization, certificate, secure } = claim;
    if (this.#options.mode === 'Anyone') return NOBODY;
    const secret = authorization === undefined ? undefined : secretIn(authorization);
    if (secret === undefined) return certificate === undefined ? NOBODY : { kind: 'certificate', names: certificate };
    if (!secure)
      return new Denied(
        403,
        'SecretInClear',
        'the token or key came over a connection that others can read, and was not looked at; replace it, and send over HTTPS',
      );
    if (!isToken(secret)) return { kind: 'key', sha256: createHash('sha256').update(secret).digest() };
    const { tokens } = this.#options;
    if (tokens === undefined)
      return new Denied(401, 'InvalidToken', 'tokens are checked in a cluster only; send a key or a certificate');
    try {
      return await tokens.identify(secret);
    } catch (error) {
      if (error instanceof BadToken) return new Denied(401, 'InvalidToken', error.message);
      throw error;
    }
  }

  /** Whether a sender may send to a tenant, or ask about it. */
  may({ sender }: Visitor, terms: Terms | undefined): boolean {
    if (!this.enforces) return true;
    return !(sender instanceof Denied) && terms !== undefined && maySend(sender, terms.namespace, terms.senders);
  }

  /**
   * Lets a sender pass, or does not; where it is only counted, everybody.
   *
   * @param terms of the tenant whose path was asked for; undefined: there is none
   * @throws Denied
   */
  check({ sender, claim }: Visitor, path: string, terms: Terms | undefined): void {
    const { mode, log } = this.#options;
    if (mode === 'Anyone') return;
    const denied =
      sender instanceof Denied
        ? sender
        : terms !== undefined && maySend(sender, terms.namespace, terms.senders)
          ? undefined
          : new Denied(
              403,
              'SenderNotAllowed',
              `${identityText(sender)} may not send to "${path.slice(0, 512)}"; spec.senders of the InferenceTenant says who may`,
            );
    if (denied === undefined) return;
    this.#refusals.inc({ code: denied.code, enforced: `${this.enforces}` });
    // Paths are strangers' words: only those of tenants are repeated.
    const tenant = terms === undefined ? {} : { tenant: tenantPath(terms) };
    if (this.#quiet.says(`${claim.address} ${denied.code} ${tenant.tenant ?? ''}`))
      log?.warn(
        { address: claim.address, code: denied.code, ...tenant },
        this.enforces ? `sender refused: ${denied.message}` : `sender would be refused: ${denied.message}`,
      );
    if (this.enforces) throw denied;
  }
}

const NOBODY = new Denied(
  401,
  'Unauthenticated',
  'frames are taken from known senders only; show a service account’s token of audience deeprt.dev/frames, a client certificate, or a key (Authorization: Bearer …)',
);

/** What `Authorization` brings: a token or key by itself, or a key as the password of whatever user. */
function secretIn(authorization: string): string | undefined {
  const [, scheme = '', value = ''] = /^(\S+) +(\S+) *$/.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'bearer') return value;
  if (scheme.toLowerCase() !== 'basic') return undefined;
  const pair = Buffer.from(value, 'base64').toString();
  return pair.slice(pair.indexOf(':') + 1);
}

/** A JSON Web Token in its compact form (RFC 7519). */
const isToken = (secret: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(secret);
