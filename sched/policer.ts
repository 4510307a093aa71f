/**
 * Polices the frames of `streams` identical streams to what was admitted: at most sum of ceil((Δ + J)/T) in any
 * interval of length Δ, the very bound that the demand test counts with (docs/theory.md, Lemma 2). Each stream is a
 * GCRA (ITU-T I.371) with increment T and tolerance J; a frame goes to the stream that has waited longest.
 */
export class Policer {
  readonly #periodUs: number;
  readonly #jitterUs: number;
  /** Theoretical arrival time per stream, a ring whose oldest entry is always the earliest. */
  readonly #expectedUs: Float64Array;
  #oldest = 0;

  constructor(streams: number, periodUs: number, jitterUs: number) {
    this.#periodUs = periodUs;
    this.#jitterUs = jitterUs;
    this.#expectedUs = new Float64Array(streams).fill(-Infinity);
  }

  /** Accepts a frame that arrives now, or tells in how many microseconds one would be accepted. */
  offer(nowUs: number): { readonly accepted: true } | { readonly accepted: false; readonly retryAfterUs: number } {
    const expectedUs = this.#expectedUs[this.#oldest]!;
    if (nowUs < expectedUs - this.#jitterUs)
      return { accepted: false, retryAfterUs: expectedUs - this.#jitterUs - nowUs };
    this.#expectedUs[this.#oldest] = Math.max(nowUs, expectedUs) + this.#periodUs;
    this.#oldest = (this.#oldest + 1) % this.#expectedUs.length;
    return { accepted: true };
  }
}
