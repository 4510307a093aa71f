import { BadRequest } from '../protocol/bad-request.js';
import { GrowingBuffer } from './growing-buffer.js';

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
  readonly #pending = new GrowingBuffer();
  /** So many bytes of what is pending hold no whole delimiter. */
  #searched = 0;
  #headers: ReadonlyMap<string, string> | undefined;
  #ended = false;

  /** @param limit of a part's bytes */
  constructor(boundary: string, limit: number) {
    this.#delimiter = Buffer.from(`--${boundary}`);
    this.#limit = limit;
  }

  /** Bytes of a part that is not complete, and of what comes before it. */
  get pendingBytes(): number {
    return this.#pending.length;
  }

  /** @throws BadRequest when the stream is none, or a part too large */
  push(chunk: Buffer): Part[] {
    if (this.#ended) return [];
    this.#pending.push(chunk);
    const parts: Part[] = [];
    for (let part = this.#next(); part !== undefined; part = this.#next()) parts.push(part);
    return parts;
  }

  #next(): Part | undefined {
    this.#headers ??= this.#head();
    if (this.#headers === undefined) return undefined;
    const told = this.#headers.get('content-length');
    if (told !== undefined && !/^\d{1,15}$/.test(told))
      throw new BadRequest('content-length of a part: must be its number of bytes');
    const length = told === undefined ? this.#upToDelimiter() : Number(told);
    if (length !== undefined && length > this.#limit)
      throw new BadRequest(`a part must have at most ${this.#limit} bytes`, 413, 'BodyTooLarge');
    if (length === undefined || this.#pending.length < length) {
      if (this.#pending.length > this.#limit + LONGEST_HEAD)
        throw new BadRequest(`a part must have at most ${this.#limit} bytes`, 413, 'BodyTooLarge');
      return undefined;
    }
    const part = { headers: this.#headers, body: Buffer.from(this.#pending.view.subarray(0, length)) };
    this.#drop(length);
    this.#headers = undefined;
    return part;
  }

  #drop(bytes: number): void {
    this.#pending.drop(bytes);
    this.#searched = 0;
  }

  /** Where the part ends that does not tell its length; undefined: not here yet. */
  #upToDelimiter(): number | undefined {
    const { view } = this.#pending;
    const at = view.indexOf(this.#delimiter, this.#searched);
    if (at === -1) {
      this.#searched = Math.max(0, view.length - this.#delimiter.length);
      return undefined;
    }
    const before = view.subarray(Math.max(0, at - 2), at).toString('latin1');
    return at - (before === '\r\n' ? 2 : before.endsWith('\n') ? 1 : 0);
  }

  /** The head of the next part; undefined: not here yet. */
  #head(): ReadonlyMap<string, string> | undefined {
    const { view } = this.#pending;
    const from = view.indexOf(this.#delimiter);
    if (from === -1) {
      if (view.length > LONGEST_HEAD) throw new BadRequest('the boundary that content-type names does not come');
      return undefined;
    }
    const after = from + this.#delimiter.length;
    if (view.toString('latin1', after, after + 2) === '--') {
      this.#ended = true;
      return undefined;
    }
    const ends = view.indexOf(HEAD_ENDS, after);
    if (ends === -1) {
      if (view.length - after > LONGEST_HEAD) throw new BadRequest('the head of a part is too long');
      return undefined;
    }
    const lines = view.toString('latin1', after, ends).split('\r\n').filter(Boolean);
    this.#drop(ends + HEAD_ENDS.length);
    return new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
  }
}
