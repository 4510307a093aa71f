import { BadRequest } from '../protocol/bad-request.js';

/** A part of a stream: what its head says, and its bytes. */
export interface Part {
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

const LONGEST_HEAD = 8 * 1024;
const HEAD_ENDS = Buffer.from('\r\n\r\n');

/** The boundary of a multipart content type (RFC 2046, 5.1.1). @throws BadRequest when it names none */
export function boundaryOf(contentType: string): string {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw new BadRequest('content-type: multipart needs a boundary');
  // Many cameras put the dashes into it that belong before it.
  return boundary.startsWith('--') ? boundary.slice(2) : boundary;
}

/**
 * Splits `multipart/x-mixed-replace` into its parts as they come. A part that tells its length is complete with its last byte,
 * any other with the next boundary. Pure but for the bytes that it holds: at most one part's.
 */
export class PartSplitter {
  readonly #delimiter: Buffer;
  readonly #limit: number;
  #pending: Buffer = Buffer.alloc(0);
  #headers: ReadonlyMap<string, string> | undefined;
  #ended = false;

  /** @param limit of a part's bytes */
  constructor(boundary: string, limit: number) {
    this.#delimiter = Buffer.from(`--${boundary}`);
    this.#limit = limit;
  }

  /** @throws BadRequest when the stream is none, or a part too large */
  push(chunk: Buffer): Part[] {
    if (this.#ended) return [];
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const parts: Part[] = [];
    for (let part = this.#next(); part !== undefined; part = this.#next()) parts.push(part);
    return parts;
  }

  #next(): Part | undefined {
    this.#headers ??= this.#head();
    if (this.#headers === undefined) return undefined;
    const told = this.#headers.get('content-length');
    const length = told === undefined ? this.#upToDelimiter() : Number(told);
    if (length !== undefined && !(Number.isSafeInteger(length) && length >= 0 && length <= this.#limit))
      throw new BadRequest(`a part must have at most ${this.#limit} bytes`, 413, 'BodyTooLarge');
    if (length === undefined || this.#pending.length < length) {
      if (this.#pending.length > this.#limit + LONGEST_HEAD)
        throw new BadRequest(`a part must have at most ${this.#limit} bytes`, 413, 'BodyTooLarge');
      return undefined;
    }
    const part = { headers: this.#headers, body: Buffer.from(this.#pending.subarray(0, length)) };
    this.#pending = this.#pending.subarray(length);
    this.#headers = undefined;
    return part;
  }

  /** Where the part ends that does not tell its length; undefined: not here yet. */
  #upToDelimiter(): number | undefined {
    const at = this.#pending.indexOf(this.#delimiter);
    if (at === -1) return undefined;
    const before = this.#pending.subarray(Math.max(0, at - 2), at).toString('latin1');
    return at - (before === '\r\n' ? 2 : before.endsWith('\n') ? 1 : 0);
  }

  /** The head of the next part; undefined: not here yet. */
  #head(): ReadonlyMap<string, string> | undefined {
    const from = this.#pending.indexOf(this.#delimiter);
    if (from === -1) {
      if (this.#pending.length > LONGEST_HEAD)
        throw new BadRequest('the boundary that content-type names does not come');
      return undefined;
    }
    const after = from + this.#delimiter.length;
    if (this.#pending.toString('latin1', after, after + 2) === '--') {
      this.#ended = true;
      return undefined;
    }
    const ends = this.#pending.indexOf(HEAD_ENDS, after);
    if (ends === -1) {
      if (this.#pending.length - after > LONGEST_HEAD) throw new BadRequest('the head of a part is too long');
      return undefined;
    }
    const lines = this.#pending.toString('latin1', after, ends).split('\r\n').filter(Boolean);
    this.#pending = this.#pending.subarray(ends + HEAD_ENDS.length);
    return new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
  }
}
