import type { WcetTable } from '../../sched/wcet.js';
import type { Queue } from './queues.js';
import { Baseline, least, oldestUs } from './queues.js';

const INCREASE = 1;
const DECREASE = 0.9;

/**
 * Clipper's adaptive batching (Crankshaw et al., NSDI 2017, section 4.3): each queue's batch grows by one frame as long as runs stay within
 * the tightest deadline of the queue, and shrinks by a tenth when one does not; first come first served among queues.
 */
export class Aimd extends Baseline {
  readonly #limits: Map<string, number>;
  #running: { queue: Queue; sinceUs: number; sloUs: number; full: boolean } | undefined;

  constructor(tables: ReadonlyMap<string, WcetTable>) {
    super(tables);
    this.#limits = new Map([...tables.keys()].map((category) => [category, 1]));
  }

  protected choose(): { queue: Queue; count: number } | number {
    const queue = least(this.busy, oldestUs);
    if (queue === undefined) return Infinity;
    const limit = Math.min(queue.wcet.largestBatch, Math.floor(this.#limits.get(queue.category)!));
    return { queue, count: Math.max(1, Math.min(limit, queue.waiting.length)) };
  }

  override arrive(...[frame, offer]: Parameters<Baseline['arrive']>): void {
    super.arrive(frame, offer);
    this.#slo.set(offer.category, Math.min(this.#slo.get(offer.category) ?? Infinity, offer.dueUs - offer.atUs));
  }
  readonly #slo = new Map<string, number>();

  protected override started(queue: Queue, count: number, nowUs: number): void {
    const full = count >= Math.floor(this.#limits.get(queue.category)!);
    this.#running = { queue, sinceUs: nowUs, sloUs: this.#slo.get(queue.category)!, full };
  }

  protected override ended(nowUs: number): void {
    if (this.#running === undefined) return;
    const { queue, sinceUs, sloUs, full } = this.#running;
    const limit = this.#limits.get(queue.category)!;
    // Clipper compares a batch's own latency with the objective.
    if (nowUs - sinceUs > sloUs) this.#limits.set(queue.category, Math.max(1, limit * DECREASE));
    else if (full) this.#limits.set(queue.category, Math.min(queue.wcet.largestBatch, limit + INCREASE));
    this.#running = undefined;
  }
}
