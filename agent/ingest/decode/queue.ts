import type { Work } from '../fair-queue.js';
import { FairQueue } from '../fair-queue.js';

/** What a stage that takes frames one by one must know of one. */
export interface Queued extends Work {
  readonly promised: boolean;
  /** When it is to be done; Infinity: whenever. */
  readonly dueUs: number;
}

/** Frames that wait for a worker: promised ones by deadline (docs/theory.md, Theorem 7), spare ones in fair turns. Pure; no clock. */
export class DecodeQueue<J extends Queued> {
  /** By deadline, the most urgent last. */
  readonly #promised: J[] = [];
  readonly #spare = new FairQueue<J>();

  push(job: J): void {
    if (!job.promised) return this.#spare.push(job);
    let [low, high] = [0, this.#promised.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#promised[middle]!.dueUs > job.dueUs) low = middle + 1;
      else high = middle;
    }
    this.#promised.splice(low, 0, job);
  }

  nextPromised(): J | undefined {
    return this.#promised.pop();
  }

  nextSpare(): J | undefined {
    return this.#spare.next();
  }
}
