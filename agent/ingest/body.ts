import { constrainedMemory } from 'node:process';
import type { Request } from 'express';
import { contentOf } from './content-encoding.js';
import { goOn } from './expect.js';
import { BadRequest } from './protocol/bad-request.js';

/**
 * Memory for all bodies that are being read or wait to be decoded, in bytes; spare frames may have half of it, one tenant's a quarter.
 * Half as much again is for the first promised frame of each tenant that finds all taken. Where the process may have little
 * altogether, this is a part of that.
 */
export const BODIES_BYTES = Math.min(192 * 1024 * 1024, constrainedMemory() / 8 || Infinity);

/** The sender went away. */
export class ClientGone extends Error {}

/** There is no memory for one more body. */
export class NoMemory extends Error {}

/** The part beyond all of it that is there for those who have nothing yet. */
const FIRST_ONES = 0.5;

/** What bodies take, and who may have more: promised frames before spare ones, spare ones by halves and quarters. */
export class BodyBudget {
  readonly #limitBytes: number;
  #promisedBytes = 0;
  #spareBytes = 0;
  /** What a tenant's promised frames hold, and what its spare ones do. */
  readonly #ofTenant = { promised: new Map<string, number>(), spare: new Map<string, number>() };

  constructor(limitBytes = BODIES_BYTES) {
    this.#limitBytes = limitBytes;
  }

  /** Whether so many bytes more may be held. A body that finds nothing of its kind there is let in whatever its size. */
  take(tenant: string, promised: boolean, bytes: number): boolean {
    const held = promised ? this.#ofTenant.promised : this.#ofTenant.spare;
    const own = held.get(tenant) ?? 0;
    const mostBytes = this.#limitBytes * (own === 0 ? 1 + FIRST_ONES : 1);
    const fits = promised
      ? this.#promisedBytes === 0 || this.heldBytes + bytes <= mostBytes
      : this.#spareBytes === 0 ||
        (this.#spareBytes + bytes <= this.#limitBytes / 2 && (own === 0 || own + bytes <= this.#limitBytes / 4));
    if (!fits) return false;
    if (promised) this.#promisedBytes += bytes;
    else this.#spareBytes += bytes;
    held.set(tenant, own + bytes);
    return true;
  }

  give(tenant: string, promised: boolean, bytes: number): void {
    if (promised) this.#promisedBytes -= bytes;
    else this.#spareBytes -= bytes;
    const held = promised ? this.#ofTenant.promised : this.#ofTenant.spare;
    const left = (held.get(tenant) ?? 0) - bytes;
    if (left > 0) held.set(tenant, left);
    else held.delete(tenant);
  }

  get heldBytes(): number {
    return this.#promisedBytes + this.#spareBytes;
  }
}

/** What bytes that come one after the other hold of the memory for bodies. */
export class Holding {
  readonly #budget: BodyBudget;
  readonly #tenant: string;
  #promised = false;
  #bytes = 0;

  constructor(budget: BodyBudget, tenant: string) {
    this.#budget = budget;
    this.#tenant = tenant;
  }

  /** Whether so many bytes may be held in all; where they may not, none are. */
  set(bytes: number, promised: boolean): boolean {
    this.#budget.give(this.#tenant, this.#promised, this.#bytes);
    this.#bytes = 0;
    if (bytes > 0 && !this.#budget.take(this.#tenant, promised, bytes)) return false;
    [this.#promised, this.#bytes] = [promised, bytes];
    return true;
  }
}

/** A frame's body, and the memory that it holds until it is given back. */
export interface Body {
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
  readonly giveBack: () => void;
}

export const tooLarge = (limit: number): BadRequest =>
  new BadRequest(
    `the body is larger than the ${limit} bytes that a frame of this tenant may take`,
    413,
    'BodyTooLarge',
  );

/**
 * @throws BadRequest (413) as soon as the body is known to be larger than `limit`, NoMemory when the budget does not hold it,
 *   ClientGone when the sender went away
 */
export function readBody(
  req: Request,
  limit: number,
  budget: BodyBudget,
  tenant: string,
  promised: boolean,
): Promise<Body> {
  const announced = Number(req.headers['content-length'] ?? 0);
  if (announced > limit) return Promise.reject(refused(req, tooLarge(limit)));
  const content = contentOf(req);
  let taken = 0;
  const holds = (bytes: number): boolean => {
    if (bytes <= taken) return true;
    if (!budget.take(tenant, promised, bytes - taken)) return false;
    taken = bytes;
    return true;
  };
  const chunks: Buffer[] = [];
  const giveBack = (): void => {
    budget.give(tenant, promised, taken);
    taken = 0;
    for (const chunk of chunks.splice(0)) free(chunk);
  };
  if (!holds(announced)) return Promise.reject(refused(req, new NoMemory()));
  return new Promise((resolve, reject) => {
    // What is decompressed no more pauses the request, and with it all that may follow on its connection.
    const leave = (): void => {
      if (content === req) return;
      req.unpipe();
      content.destroy();
      discard(req);
      req.resume();
    };
    const fail = (error: Error): void => {
      giveBack();
      leave();
      reject(error);
    };
    let received = 0;
    goOn(req);
    content.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > limit) return fail(refused(req, tooLarge(limit)));
      if (!holds(received)) return fail(refused(req, new NoMemory()));
      chunks.push(chunk);
    });
    content.on('end', () => {
      leave();
      resolve({ chunks, bytes: received, giveBack });
    });
    if (content !== req)
      content.on('error', (error) =>
        fail(refused(req, new BadRequest(`the body is not what its Content-Encoding says: ${error.message}`))),
      );
    req.on('error', () => fail(new ClientGone()));
    req.on('close', () => {
      if (!req.complete) fail(new ClientGone());
    });
  });
}

/** The rest of the body is read and thrown away. */
export function discard(req: Request): void {
  req.removeAllListeners('data');
  req.on('data', free);
}

function refused<E extends Error>(req: Request, error: E): E {
  discard(req);
  return error;
}

/**
 * Frees memory of a frame at once: left to the garbage collector, megabytes a second of it would make for long pauses. What shares its
 * memory with something else is left alone.
 */
function free({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
