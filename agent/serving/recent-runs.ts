import type { Ran } from '../device/messages.js';

/** Ten seconds of a device that runs a thousand batches a second. */
const MOST_RUNS = 10_000;

/** The last runs of a device. */
export class RecentRuns {
  readonly #runs: Ran[] = [];
  /** How many were there before those that are kept. */
  #gone = 0;

  note(run: Ran): void {
    this.#runs.push(run);
    if (this.#runs.length < 2 * MOST_RUNS) return;
    this.#runs.splice(0, MOST_RUNS);
    this.#gone += MOST_RUNS;
  }

  /** How many there were since the start. */
  get count(): number {
    return this.#gone + this.#runs.length;
  }

  /** Those after the first `count`, as far as they are kept. */
  after(count: number): readonly Ran[] {
    return this.#runs.slice(Math.max(0, count - this.#gone));
  }

  /** Those that ran at some time between two instants, in microseconds of the monotonic clock. */
  between(fromUs: number, toUs: number): readonly Ran[] {
    let first = this.#runs.length;
    while (first > 0 && this.#runs[first - 1]!.endUs > fromUs) first--;
    return this.#runs.slice(first).filter(({ startUs }) => startUs < toUs);
  }
}
