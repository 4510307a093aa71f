const LEAST_BYTES = 64 * 1024;

/** Bytes that come at one end and go at the other. Room is doubled, so that many small chunks cost no more than what they hold. */
export class GrowingBuffer {
  #bytes = Buffer.alloc(0);
  #from = 0;
  #to = 0;

  get length(): number {
    return this.#to - this.#from;
  }

  /** All of it, until the next push. */
  get view(): Buffer {
    return this.#bytes.subarray(this.#from, this.#to);
  }

  push(chunk: Buffer): void {
    if (this.#to + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length);
    this.#to += chunk.copy(this.#bytes, this.#to);
  }

  /** Forgets so many bytes from the start. */
  drop(bytes: number): void {
    this.#from += bytes;
    if (this.#from < this.#to) return;
    // What a large part took is given back with it.
    if (this.#bytes.length > LEAST_BYTES) this.#bytes = Buffer.alloc(0);
    [this.#from, this.#to] = [0, 0];
  }

  #makeRoom(more: number): void {
    const { view, length } = this;
    const needed = length + more;
    const bytes =
      needed <= this.#bytes.length / 2 ? this.#bytes : Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, 2 * needed));
    view.copy(bytes);
    [this.#bytes, this.#from, this.#to] = [bytes, 0, length];
  }
}
