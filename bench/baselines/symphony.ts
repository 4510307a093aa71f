import type { Queue } from './queues.js';
import { Baseline, least } from './queues.js';

/**
 * Deferred batching in the manner of Symphony (Chen et al., 2023, arXiv 2308.07470): a batch is put off until one frame more would make
 * its first frame late, so that it is as large as it can be, or until it is as large as it may be; of those that are due, the one that would have
 * to begin first.
 */
export class Symphony extends Baseline {
  protected choose(nowUs: number): { queue: Queue; count: number } | number {
    this.dropHopeless(nowUs);
    const candidates = this.busy.map((queue) => {
      const { waiting, wcet } = queue;
      const count = this.inTime(queue, nowUs);
      const latestUs = waiting[0]!.orderUs - wcet.at(count);
      const oneMoreUs = count < wcet.largestBatch ? waiting[0]!.orderUs - wcet.at(count + 1) : -Infinity;
      return { queue, count, latestUs, dueUs: count < waiting.length ? nowUs : oneMoreUs };
    });
    const due = candidates.filter(({ dueUs }) => dueUs <= nowUs);
    return least(due, ({ latestUs }) => latestUs) ?? Math.min(Infinity, ...candidates.map(({ dueUs }) => dueUs));
  }
}
