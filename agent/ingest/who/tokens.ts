import type { JSONWebKeySet, JWTPayload } from 'jose';
import { createLocalJWKSet, errors, jwtVerify } from 'jose';
import { wallSeconds } from '../../../kube/clock.js';
import type { Identity } from './identity.js';

/** What tokens must have been issued for. */
export const AUDIENCE = 'deeprt.dev/frames';
/** Of the algorithms that API servers sign with. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'EdDSA'];
const CLOCK_TOLERANCE_S = 10;
const MOST_KNOWN = 10_000;
/** `system:serviceaccount:<namespace>:<name>` */
const SUBJECT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** The keys that the cluster signs service accounts' tokens with, as they were published last. */
export interface IssuerKeys {
  readonly current: { readonly issuer: string; readonly keys: JSONWebKeySet } | undefined;
  /** Whether the API server cannot be reached. */
  readonly cutOff: boolean;
  /** There may be newer keys. */
  missed(): void;
}

/** A token that proves nothing; the message is meant for its sender and does not quote it. */
export class BadToken extends Error {}

interface Known {
  readonly identity: Identity;
  readonly expiresS: number;
  readonly issued: object;
}

/** Checks service accounts' tokens (KEP-1205) against keys that are at hand: nobody is asked. */
export class Tokens {
  readonly #keys: IssuerKeys;
  readonly #graceS: number;
  /** Those that were valid, the oldest first. */
  readonly #known = new Map<string, Known>();
  #set: { readonly of: object; readonly get: ReturnType<typeof createLocalJWKSet> } | undefined;

  /** @param graceS for how long after it has expired a token that was seen valid goes on while the API server is away */
  constructor(keys: IssuerKeys, graceS: number) {
    this.#keys = keys;
    this.#graceS = graceS;
  }

  /** @throws BadToken */
  async identify(token: string): Promise<Identity> {
    const { current } = this.#keys;
    if (current === undefined) throw new BadToken('this agent has no keys to check tokens with yet');
    const known = this.#known.get(token);
    if (known?.issued === current.keys && this.#isFresh(known)) return known.identity;
    const payload = await this.#verified(token, current);
    const [, namespace, name] = SUBJECT.exec(payload.sub ?? '') ?? [];
    if (namespace === undefined || name === undefined) throw new BadToken('the token is no service account’s');
    const identity = { kind: 'serviceAccount', namespace, name } as const;
    this.#remember(token, { identity, expiresS: payload.exp!, issued: current.keys });
    return identity;
  }

  #isFresh({ expiresS }: Known): boolean {
    return wallSeconds() < expiresS + (this.#keys.cutOff ? this.#graceS : 0);
  }

  #remember(token: string, known: Known): void {
    this.#known.delete(token);
    this.#known.set(token, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_KNOWN) break;
      this.#known.delete(oldest);
    }
  }

  async #verified(token: string, { issuer, keys }: NonNullable<IssuerKeys['current']>): Promise<JWTPayload> {
    if (this.#set?.of !== keys) this.#set = { of: keys, get: createLocalJWKSet(keys) };
    try {
      const { payload } = await jwtVerify(token, this.#set.get, {
        issuer,
        audience: AUDIENCE,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['exp', 'sub'],
      });
      return payload;
    } catch (error) {
      this.#known.delete(token);
      throw new BadToken(this.#why(error));
    }
  }

  #why(error: unknown): string {
    if (error instanceof errors.JWTExpired) return 'the token has expired';
    if (error instanceof errors.JWTClaimValidationFailed) {
      if (error.claim === 'aud') return `the token is not for the audience ${AUDIENCE}`;
      return error.claim === 'iss'
        ? 'the token was not issued by this cluster'
        : `the token’s claim ${error.claim} is wrong`;
    }
    if (error instanceof errors.JWKSNoMatchingKey) {
      this.#keys.missed();
      return 'the token is signed with a key that this cluster has not published, as far as the agent knows';
    }
    if (error instanceof errors.JWSSignatureVerificationFailed) return 'the token’s signature is wrong';
    return 'the token cannot be read';
  }
}
