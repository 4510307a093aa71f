const LEAST_US = 250_000;
/** Trials take at most this part of a decoder's time. */
const PART = 0.1;
/** A trial that nothing is heard of is given up after so long. */
const LONGEST_US = 30_000_000;

/**
 * Which of the frames that cannot be decoded in time, by the figures, are tried all the same: figures that are far too large would
 * otherwise never be found out.
 */
export class Trials {
  #nextUs = 0;

  /** Whether this one is; if so, `ended` has to be told. */
  begin(atUs: number): boolean {
    if (atUs < this.#nextUs) return false;
    this.#nextUs = atUs + LONGEST_US;
    return true;
  }

  /** @param us what decoding it took; undefined where it failed */
  ended(atUs: number, us = 0): void {
    this.#nextUs = atUs + Math.max(LEAST_US, us / PART);
  }
}
