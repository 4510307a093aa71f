/** So many frames that the network failed on by themselves, within this time, and a tenant's frames are kept apart. */
const MOST_FAILURES = 3;
const EXPIRES_US = 60_000_000;

/** Whether a tenant's frames spoil the batches that they are in, and are to run apart from others'. */
export class Suspicion {
  #failedUs: number[] = [];
  #untilUs = -Infinity;

  /** One of its frames, run by itself after the batch that it was in had failed, has failed too. Returns whether that makes a difference. */
  failed(nowUs: number): boolean {
    const before = this.apart(nowUs);
    this.#failedUs = [...this.#failedUs.filter((us) => nowUs - us < EXPIRES_US), nowUs].slice(-MOST_FAILURES);
    if (before || this.#failedUs.length >= MOST_FAILURES) this.#untilUs = nowUs + EXPIRES_US;
    return !before && this.apart(nowUs);
  }

  apart(nowUs: number): boolean {
    return nowUs < this.#untilUs;
  }

  /** What failed was the device's doing. */
  clear(): void {
    this.#failedUs = [];
    this.#untilUs = -Infinity;
  }
}
