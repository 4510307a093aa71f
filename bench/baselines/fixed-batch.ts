import type { WcetTable } from '../../sched/wcet.js';
import type { Queue } from './queues.js';
import { Baseline, least, oldestUs } from './queues.js';

/** A batch is run when it is full, first come first served: the paper's BATCH (section 6). */
export class FixedBatch extends Baseline {
  readonly #size: number;

  constructor(tables: ReadonlyMap<string, WcetTable>, size: number) {
    super(tables);
    this.#size = size;
  }

  protected choose(): { queue: Queue; count: number } | number {
    const full = this.queues.filter(({ waiting }) => waiting.length >= this.#size);
    const queue = least(full, oldestUs);
    return queue === undefined ? Infinity : { queue, count: this.#size };
  }
}
