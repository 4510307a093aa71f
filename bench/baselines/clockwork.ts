import type { Queue } from './queues.js';
import { Baseline, least } from './queues.js';

/**
 * In the manner of Clockwork (Gujarati et al., OSDI 2020, section 5.3): for each model the largest batch that is in time for all of its
 * frames if it begins now; of these, the one that would have to begin first. What cannot be in time is given up before it runs.
 */
export class Clockwork extends Baseline {
  protected choose(nowUs: number): { queue: Queue; count: number } | number {
    this.dropHopeless(nowUs);
    const strategies = this.busy.map((queue) => {
      const count = this.inTime(queue, nowUs);
      return { queue, count, beginUs: queue.waiting[0]!.orderUs - queue.wcet.at(count) };
    });
    return least(strategies, ({ beginUs }) => beginUs) ?? Infinity;
  }
}
