const { floor, max } = Math;

export type Policed = { readonly accepted: true } | { readonly accepted: false; readonly retryAfterUs: number };

/**
 * Polices the frames of `streams` identical streams to what was admitted: at most sum of floor((Δ + J)/T) + 1 in any
 * closed interval of length Δ, the very bound that admission counts with (docs/theory.md, Lemma 1). Each stream is a GCRA
 * (ITU-T I.371) with increment T and tolerance J; a frame goes to the stream that has waited longest. What does not
 * conform leaves no trace: the next frame has the place that this one would have had.
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

  /** In how many microseconds the next frame would be accepted; 0: now. */
  waitUs(nowUs: number): number {
    return max(0, this.#expectedUs[this.#oldest]! - this.#jitterUs - nowUs);
  }

  /** Accepts a frame that arrives now, or tells in how many microseconds one would be accepted. */
  offer(nowUs: number): Policed {
    const retryAfterUs = this.waitUs(nowUs);
    if (retryAfterUs > 0) return { accepted: false, retryAfterUs };
    const expectedUs = this.#expectedUs[this.#oldest]!;
    this.#expectedUs[this.#oldest] = max(nowUs, expectedUs) + this.#periodUs;
    this.#oldest = (this.#oldest + 1) % this.#expectedUs.length;
    return { accepted: true };
  }

  /** How many frames could be accepted from `nowUs` to `untilUs` at most. */
  mostBy(nowUs: number, untilUs: number): number {
    let count = 0;
    for (const expectedUs of this.#expectedUs) {
      if (max(nowUs, expectedUs - this.#jitterUs) > untilUs) continue;
      count += 1 + max(0, floor((untilUs + this.#jitterUs - max(nowUs, expectedUs)) / this.#periodUs));
    }
    return count;
  }

  /**
   * Writes the earliest instants at which frames could still be accepted from `nowUs` to `untilUs`.
   *
   * @returns how many; undefined when there is no room for them
   */
  possible(nowUs: number, untilUs: number, into: Float64Array): number | undefined {
    let count = 0;
    for (const expectedUs of this.#expectedUs) {
      const firstUs = max(nowUs, expectedUs - this.#jitterUs);
      const afterUs = max(nowUs, expectedUs) - this.#jitterUs;
      for (let k = 0, atUs = firstUs; atUs <= untilUs; k++, atUs = max(firstUs, afterUs + k * this.#periodUs)) {
        if (count === into.length) return undefined;
        into[count++] = atUs;
      }
    }
    return count;
  }
}
