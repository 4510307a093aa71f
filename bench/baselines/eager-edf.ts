import type { Queue } from './queues.js';
import { Baseline, least } from './queues.js';

/**
 * Earliest deadline first over all frames, with whatever waits of the category as long as the first is in time; gives up what cannot be.
 * Promises nothing, and is fair to nobody.
 */
export class EagerEdf extends Baseline {
  protected choose(nowUs: number): { queue: Queue; count: number } | number {
    this.dropHopeless(nowUs);
    const queue = least(this.busy, ({ waiting }) => waiting[0]!.orderUs);
    return queue === undefined ? Infinity : { queue, count: this.inTime(queue, nowUs) };
  }
}
