import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

/** Frames of one stream that may be on their way; more are not read before the first of them is answered. */
const MOST_ON_THEIR_WAY = 16;

/** Answers what comes on a stream in the order in which it came, and has it read no faster than it is answered and the answers are read. */
export class InOrder<T> {
  readonly #source: Readable;
  readonly #write: (answer: T) => Promise<void>;
  #onTheirWay = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(source: Readable, write: (answer: T) => Promise<void>) {
    this.#source = source;
    this.#write = write;
  }

  add(answered: Promise<T>): void {
    if (++this.#onTheirWay >= MOST_ON_THEIR_WAY) this.#source.pause();
    this.#last = this.#last.then(async () => {
      await this.#write(await answered);
      if (--this.#onTheirWay < MOST_ON_THEIR_WAY) this.#source.resume();
    });
  }

  /** Resolves when all that came so far is answered. */
  done(): Promise<void> {
    return this.#last;
  }
}

/** Whoever reads nothing for this long is not written to any more. */
const LONGEST_WRITE_MS = 30_000;

/** Until more can be written, or nobody reads any more: whoever does not for long is cut off. */
export async function drained(sink: Writable, goneEvent: 'close' | 'cancelled'): Promise<void> {
  const over = new AbortController();
  // Of a call that is destroyed nothing but its end may be heard.
  const either = [...new Set(['drain', goneEvent, 'close'])].map((event) => once(sink, event, { signal: over.signal }));
  const timer = setTimeout(() => sink.destroy(), LONGEST_WRITE_MS);
  await Promise.race(either).finally(() => {
    clearTimeout(timer);
    over.abort(); // the other must not stay a listener
  });
}
