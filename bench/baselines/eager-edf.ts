import type { Queue } from './queues.js';
import { Baseline, least } from './queues.js';

/** E(n) is a p99 with a margin: no run takes longer than this part of it here. */
const USUALLY = 0.85;

/**
 * Earliest deadline first over all frames, with whatever waits of the category as long as the first is in time; gives up what cannot be.
 * Promises nothing, and is fair to nobody.
 */
export class EagerEdf extends Baseline {
  protected choose(nowUs: number): { queue: Queue; count: number } | number {
    this.dropHopeless(nowUs, USUALLY);
    const queue = least(this.busy, ({ waiting }) => waiting[0]!.orderUs);
    return queue === undefined ? Infinity : { queue, count: this.inTime(queue, nowUs) };
  }
}
