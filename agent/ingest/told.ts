import { FrameDropped, FrameFailure } from '../serving/flights.js';
import { ClientGone } from './body.js';
import { BadRequest } from './protocol/bad-request.js';
import { Busy } from './refusals.js';

/** What the sender of a frame that is not served is told, by whatever protocol (docs/clients.md, Refusals). */
export interface Told {
  /** The HTTP status. */
  readonly status: number;
  /** Stable, for programs. */
  readonly code: string;
  readonly error: string;
  /** When to try again, where that helps. */
  readonly retryAfterMs?: number;
  /** Whether it was a promised one, of a frame that was given up. */
  readonly promised?: boolean;
  /** Of an HTTP answer. */
  readonly headers: Readonly<Record<string, string>>;
}

const LONGEST_MESSAGE = 1000;

/** Undefined: nobody is there any more to be told. */
export function toldOf(error: unknown): Told | undefined {
  if (error instanceof ClientGone) return undefined;
  const message = sayable((error as Error).message);
  if (error instanceof Busy) {
    const { code, retryAfterUs } = error;
    const retryAfterMs = Math.ceil(retryAfterUs / 1000);
    const headers = { 'Retry-After': `${Math.max(1, Math.ceil(retryAfterUs / 1e6))}` };
    return { status: 429, code, error: `${message}; try again in ${retryAfterMs}ms`, retryAfterMs, headers };
  }
  if (error instanceof BadRequest)
    return { status: error.status, code: error.code, error: message, headers: error.headers };
  if (error instanceof FrameFailure) {
    const dropped = error instanceof FrameDropped ? { promised: error.promised } : {};
    return { status: 503, code: error.code, error: message, ...dropped, headers: {} };
  }
  return { status: 500, code: 'InternalError', error: message, headers: {} };
}

/** Strangers' words in a message may be of any length, and be cut within a character. */
const sayable = (text: string): string =>
  (text.length > LONGEST_MESSAGE ? `${text.slice(0, LONGEST_MESSAGE)}…` : text).toWellFormed();

/** The same as a body in JSON has it. */
export const bodyOf = ({ error, code, promised, retryAfterMs }: Told): object => ({
  error,
  code,
  ...(promised === undefined ? {} : { promised }),
  ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
});
