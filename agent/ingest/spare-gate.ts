import { nowUs } from '../../kube/clock.js';
import type { Work } from './fair-queue.js';
import { FairQueue } from './fair-queue.js';

/** Work of the event loop for spare frames that may come at one instant, in microseconds: no promised frame waits for more. */
export const SPARE_BURST_US = 1500;
/** Spare frames always get some of the loop. */
const LEAST_RATE = 0.05;
const TICK_MS = 2;

interface Turn extends Work {
  readonly enter: () => void;
}

/**
 * Lets spare frames, and those that are refused, take only that part of the event loop which nobody was promised (a token
 * bucket), tenants in fair turns: whoever sends more than that is slowed down by its own socket.
 */
export class SpareGate {
  readonly #rateOf: () => number;
  readonly #queue = new FairQueue<Turn>();
  #waiting = 0;
  #tokensUs = SPARE_BURST_US;
  #atUs = nowUs();
  #timer: NodeJS.Timeout | undefined;

  /** @param rateOf the share of the loop that was not promised */
  constructor(rateOf: () => number) {
    this.#rateOf = rateOf;
  }

  /** Resolves when the work may be done. */
  enter(tenant: string, costUs: number): Promise<void> | undefined {
    this.#fill();
    if (this.#waiting === 0 && this.#tokensUs > 0) {
      this.#tokensUs -= costUs;
      return undefined;
    }
    return new Promise((resolve) => {
      this.#waiting++;
      this.#queue.push({ tenant, costUs, enter: resolve });
      if (this.#timer === undefined) this.#timer = setTimeout(() => this.#release(), TICK_MS);
    });
  }

  #fill(): void {
    const atUs = nowUs();
    const gained = (atUs - this.#atUs) * Math.max(LEAST_RATE, this.#rateOf());
    this.#tokensUs = Math.min(SPARE_BURST_US, this.#tokensUs + gained);
    this.#atUs = atUs;
  }

  #release(): void {
    this.#timer = undefined;
    this.#fill();
    while (this.#tokensUs > 0) {
      const turn = this.#queue.next();
      if (turn === undefined) break;
      this.#waiting--;
      this.#tokensUs -= turn.costUs;
      turn.enter();
    }
    if (this.#waiting > 0) this.#timer = setTimeout(() => this.#release(), TICK_MS);
  }
}
