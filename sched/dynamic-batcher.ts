import type { Decision, FrameOffer } from './frame.js';
import type { Decider } from './drive.js';
import type { WcetTable } from './wcet.js';

export interface DynamicBatching {
  /** E of the categories that it serves. */
  readonly categories: ReadonlyMap<string, WcetTable>;
  /** Largest batch; a category with so many frames waiting runs at once. */
  readonly preferredBatch: number;
  /** How long the first frame of a batch waits for others. */
  readonly delayUs: number;
}

interface Queue<F> {
  readonly wcet: WcetTable;
  readonly waiting: { readonly frame: F; readonly atUs: number }[];
}

/**
 * A dynamic batcher as serving systems have it (Triton's `dynamic_batching`: preferred size, queue delay, first come first
 * served): no deadlines, no promise. What the batcher is compared with.
 */
export class DynamicBatcher<F> implements Decider<F> {
  readonly #options: DynamicBatching;
  readonly #queues: ReadonlyMap<string, Queue<F>>;
  #running = false;

  constructor(options: DynamicBatching) {
    this.#options = options;
    this.#queues = new Map([...options.categories].map(([name, wcet]) => [name, { wcet, waiting: [] }]));
  }

  arrive(frame: F, { category, atUs }: FrameOffer): void {
    this.#queues.get(category)?.waiting.push({ frame, atUs });
  }

  finish(): void {
    this.#running = false;
  }

  next(nowUs: number): Decision<F> {
    if (this.#running) return { waitUntilUs: Infinity, givenUp: [] };
    const { preferredBatch, delayUs } = this.#options;
    let oldest: { category: string; queue: Queue<F>; sinceUs: number } | undefined;
    let waitUntilUs = Infinity;
    for (const [category, queue] of this.#queues) {
      const sinceUs = queue.waiting[0]?.atUs;
      if (sinceUs === undefined) continue;
      if (queue.waiting.length < preferredBatch && nowUs < sinceUs + delayUs)
        waitUntilUs = Math.min(waitUntilUs, sinceUs + delayUs);
      else if (oldest === undefined || sinceUs < oldest.sinceUs) oldest = { category, queue, sinceUs };
    }
    if (oldest === undefined) return { waitUntilUs, givenUp: [] };
    const frames = oldest.queue.waiting.splice(0, preferredBatch).map(({ frame }) => frame);
    const wcetUs = oldest.queue.wcet.at(frames.length);
    this.#running = true;
    const run = {
      category: oldest.category,
      kind: 'eager' as const,
      frames,
      promised: 0,
      rung: 0,
      wcetUs,
      budgetUs: wcetUs,
    };
    return { run, waitUntilUs: Infinity, givenUp: [] };
  }
}
