import type { Queue } from './queues.js';
import { Baseline, least } from './queues.js';

/** Sequential earliest deadline first, without batches: the paper's SEDF (section 6). Late frames are run as well. */
export class Sedf extends Baseline {
  protected choose(): { queue: Queue; count: number } | number {
    const queue = least(this.busy, ({ waiting }) => waiting[0]!.orderUs);
    return queue === undefined ? Infinity : { queue, count: 1 };
  }
}
