import type { WcetTable } from '../../sched/wcet.js';
import type { Queue } from './queues.js';
import { Baseline } from './queues.js';

/**
 * In the manner of Nexus (Shen et al., SOSP 2019): categories take turns in a duty cycle, each with the largest batch of which two fit into
 * its tightest deadline (section 6.1: a frame that just misses a batch is in the next), and early drop: frames at the head of the queue are
 * given up where the batch of that size that begins with them would be late (section 6.3).
 */
export class Nexus extends Baseline {
  readonly #batches = new Map<string, number>();
  readonly #slo = new Map<string, number>();
  #turn = 0;

  constructor(tables: ReadonlyMap<string, WcetTable>) {
    super(tables);
  }

  override arrive(...[frame, offer]: Parameters<Baseline['arrive']>): void {
    super.arrive(frame, offer);
    const sloUs = Math.min(this.#slo.get(offer.category) ?? Infinity, offer.dueUs - offer.atUs);
    if (sloUs === this.#slo.get(offer.category)) return;
    this.#slo.set(offer.category, sloUs);
    const { wcet } = this.queues.find(({ category }) => category === offer.category)!;
    this.#batches.set(offer.category, Math.max(1, wcet.largestWithin(sloUs / 2, wcet.largestBatch)));
  }

  protected choose(nowUs: number): { queue: Queue; count: number } | number {
    this.dropHopeless(nowUs);
    for (let i = 0; i < this.queues.length; i++) {
      const place = (this.#turn + i) % this.queues.length;
      const queue = this.queues[place]!;
      if (queue.waiting.length === 0) continue;
      this.#turn = place + 1;
      const target = Math.min(this.#batches.get(queue.category)!, queue.waiting.length);
      return { queue, count: Math.min(target, Math.max(1, this.inTime(queue, nowUs))) };
    }
    return Infinity;
  }
}
