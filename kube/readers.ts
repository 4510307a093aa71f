import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { nowUs } from './clock.js';
import type { Cluster } from './cluster.js';
import { reasonOf } from './cluster.js';
import { ACCESS_REVIEWS, TOKEN_REVIEWS } from './kinds.js';
import type { KubeObject } from './objects.js';
import { Objects } from './objects.js';

interface TokenReview extends KubeObject {
  readonly spec: { readonly token: string };
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: {
      readonly username?: string;
      readonly uid?: string;
      readonly groups?: string[];
      readonly extra?: object;
    };
  };
}

interface SubjectAccessReview extends KubeObject {
  readonly spec: object;
  readonly status?: { readonly allowed: boolean };
}

/** What was found about a bearer and a path. */
interface Finding {
  readonly status: 200 | 401 | 403;
  readonly message: string;
  readonly atUs: number;
}

/** How long an answer is taken for granted: one that allows, one that refuses, and one that allows while nobody can be asked. */
const ALLOWED_US = 60e6;
const REFUSED_US = 10e6;
const CUT_OFF_US = 600e6;
const MOST_FINDINGS = 1024;
const MOST_ASKED = 16;
const LONGEST_TOKEN = 16_384;

/**
 * Who may read what a process tells of itself: who shows a token whose bearer may `get` the path, as of the API server's own
 * /metrics (RBAC, nonResourceURLs). The API server is asked who that is (TokenReview) and whether they may
 * (SubjectAccessReview). Browsers, which send no tokens, send it as the password of HTTP's basic authentication (RFC 7617).
 */
export class Readers {
  readonly #tokens: Objects<TokenReview>;
  readonly #access: Objects<SubjectAccessReview>;
  readonly #found = new Map<string, Finding>();
  /** Reviews that are under way. */
  #asking = 0;

  constructor(cluster: Cluster) {
    this.#tokens = new Objects(cluster, TOKEN_REVIEWS);
    this.#access = new Objects(cluster, ACCESS_REVIEWS);
  }

  /** Whether a request may go on; if not, it is answered with 401, 403, or 503 while the API server does not answer. */
  async admit(req: IncomingMessage, res: ServerResponse): Promise<boolean> {
    const refuse = (status: 401 | 403 | 503, code: string, error: string): false => {
      if (status === 401) res.setHeader('WWW-Authenticate', ['Bearer realm="deeprt"', 'Basic realm="deeprt"']);
      res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ error, code }));
      return false;
    };
    const path = new URL(req.url ?? '/', 'http://localhost').pathname;
    const token = tokenIn(req.headers.authorization);
    if (token === undefined)
      return refuse(401, 'Unauthenticated', `${path} is for who shows a token: Authorization: Bearer <token>`);
    try {
      const { status, message } = await this.#find(token, path);
      if (status === 200) return true;
      return refuse(status, status === 401 ? 'Unauthenticated' : 'Forbidden', message);
    } catch (error) {
      return refuse(503, 'CannotReview', `the API server does not say who may read ${path}: ${reasonOf(error)}`);
    }
  }

  async #find(token: string, path: string): Promise<Finding> {
    // Tokens themselves are not kept.
    const key = createHash('sha256').update(`${path}\n${token}`).digest('base64');
    const last = this.#found.get(key);
    const ageUs = last === undefined ? Infinity : nowUs() - last.atUs;
    if (last !== undefined && ageUs < (last.status === 200 ? ALLOWED_US : REFUSED_US)) return last;
    try {
      // Strangers do not have the API server flooded by this process.
      if (this.#asking >= MOST_ASKED) throw new Error('too many ask at once');
      this.#asking++;
      const finding = { ...(await this.#review(token, path).finally(() => this.#asking--)), atUs: nowUs() };
      this.#keep(key, finding);
      return finding;
    } catch (error) {
      if (last?.status === 200 && ageUs < CUT_OFF_US) return last;
      throw error;
    }
  }

  /** Where there are too many, whoever was refused is forgotten before who was let. */
  #keep(key: string, finding: Finding): void {
    this.#found.delete(key);
    this.#found.set(key, finding);
    if (this.#found.size <= MOST_FINDINGS) return;
    const [oldest] = this.#found.keys();
    const refused = [...this.#found].find(([, { status }]) => status !== 200)?.[0];
    this.#found.delete(refused ?? oldest!);
  }

  async #review(token: string, path: string): Promise<Omit<Finding, 'atUs'>> {
    const metadata = { name: '' };
    const { status: bearer } = await this.#tokens.create({ metadata, spec: { token } });
    if (bearer?.authenticated !== true || bearer.user === undefined)
      return { status: 401, message: 'the API server does not know this token' };
    const { username, uid, groups, extra } = bearer.user;
    const nonResourceAttributes = { path, verb: 'get' };
    const { status: access } = await this.#access.create({
      metadata,
      spec: { user: username, uid, groups, extra, nonResourceAttributes },
    });
    if (access?.allowed === true) return { status: 200, message: '' };
    const message = `${username} may not get ${path}; bind a ClusterRole that allows nonResourceURLs ["${path}"], verbs [get]`;
    return { status: 403, message };
  }
}

function tokenIn(authorization = ''): string | undefined {
  const [, scheme, value = ''] = /^(bearer|basic) +(\S+)$/i.exec(authorization) ?? [];
  if (scheme === undefined || value.length > LONGEST_TOKEN) return undefined;
  const token = scheme.toLowerCase() === 'bearer' ? value : Buffer.from(value, 'base64').toString().split(':')[1];
  return token === '' ? undefined : token;
}
