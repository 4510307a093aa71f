import { nowUs } from '../../kube/clock.js';
import type { Work } from './fair-queue.js';
import { FairQueue } from './fair-queue.js';

/** Work of the event loop for spare frames that may come at one instant, in microseconds: no promised frame waits for more. */
export const SPARE_BURST_US = 1500;
/** The same for telling senders that they are not served. */
export const REFUSED_BURST_US = 300;
/** Whatever somebody says that is to come, it is not counted with more: others wait for it. */
const MOST_US = 1_000_000;
/** Whoever waits always gets some of the loop. */
const LEAST_RATE = 0.04;
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
  readonly #burstUs: number;
  readonly #queue = new FairQueue<Turn>();
  #waiting = 0;
  #tokensUs: number;
  #atUs = nowUs();
  #timer: NodeJS.Timeout | undefined;

  /** @param rateOf the share of the loop that may be taken */
  constructor(rateOf: () => number, burstUs: number) {
    this.#rateOf = rateOf;
    this.#burstUs = burstUs;
    this.#tokensUs = burstUs;
  }

  /** Whether anybody has been let in of late. */
  get busy(): boolean {
    this.#fill();
    return this.#waiting > 0 || this.#tokensUs < this.#burstUs;
  }

  /** Resolves when the work may be done. */
  enter(tenant: string, saidUs: number): Promise<void> | undefined {
    const costUs = Math.min(saidUs, MOST_US);
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
    this.#tokensUs = Math.min(this.#burstUs, this.#tokensUs + gained);
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
