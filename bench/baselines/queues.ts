import type { Arrival } from '../../sched/arrivals.js';
import type { Decider } from '../../sched/drive.js';
import type { Decision, FrameOffer } from '../../sched/frame.js';
import { insert } from '../../sched/frame.js';
import type { WcetTable } from '../../sched/wcet.js';

/** A frame that waits. */
export interface Waiting {
  readonly frame: Arrival;
  readonly atUs: number;
  /** When it is due; what queues are in order of. */
  readonly orderUs: number;
}

export interface Queue {
  readonly category: string;
  readonly wcet: WcetTable;
  /** Due first. */
  readonly waiting: Waiting[];
}

/** What the rules that DeepRT is compared with have in common: a queue for each category, one run at a time, nothing promised. */
export abstract class Baseline implements Decider<Arrival> {
  readonly queues: readonly Queue[];
  readonly #byName: ReadonlyMap<string, Queue>;
  #givenUp: Waiting[] = [];

  constructor(tables: ReadonlyMap<string, WcetTable>) {
    this.queues = [...tables].map(([category, wcet]) => ({ category, wcet, waiting: [] }));
    this.#byName = new Map(this.queues.map((queue) => [queue.category, queue]));
  }

  arrive(frame: Arrival, { category, dueUs, atUs }: FrameOffer): void {
    insert(this.#byName.get(category)!.waiting, { frame, atUs, orderUs: dueUs });
  }

  finish(nowUs: number): void {
    this.ended(nowUs);
  }

  next(nowUs: number): Decision<Arrival> {
    const chosen = this.choose(nowUs);
    const givenUp = this.#givenUp.map(({ frame }) => ({ frame, why: 'late' as const }));
    this.#givenUp = [];
    if (typeof chosen === 'number') return { waitUntilUs: chosen, givenUp };
    const { queue, count } = chosen;
    const frames = queue.waiting.splice(0, count).map(({ frame }) => frame);
    const wcetUs = queue.wcet.at(count);
    this.started(queue, count, nowUs);
    const run = {
      category: queue.category,
      kind: 'eager' as const,
      frames,
      promised: 0,
      rung: 0,
      wcetUs,
      budgetUs: wcetUs,
    };
    return { run, waitUntilUs: Infinity, givenUp };
  }

  /** What to run now, or until when to wait. */
  protected abstract choose(nowUs: number): { readonly queue: Queue; readonly count: number } | number;

  protected started(_queue: Queue, _count: number, _nowUs: number): void {
    // Some rules keep account of runs.
  }

  protected ended(_nowUs: number): void {
    // And of their ends.
  }

  /**
   * Gives up frames that would be late even by themselves.
   *
   * @param part of E(1) that is reckoned with
   */
  protected dropHopeless(nowUs: number, part = 1): void {
    for (const { waiting, wcet } of this.queues)
      while (waiting.length > 0 && waiting[0]!.orderUs < nowUs + part * wcet.at(1))
        this.#givenUp.push(waiting.shift()!);
  }

  protected get busy(): readonly Queue[] {
    return this.queues.filter(({ waiting }) => waiting.length > 0);
  }

  /** The most frames that a batch may have so that the first of them is in time; at least one. */
  protected inTime({ waiting, wcet }: Queue, nowUs: number): number {
    const most = Math.min(wcet.largestBatch, waiting.length);
    return Math.max(1, wcet.largestWithin(waiting[0]!.orderUs - nowUs, most));
  }
}

/** Of several, the one with the least figure; undefined where there are none. */
export function least<T>(all: readonly T[], figure: (each: T) => number): T | undefined {
  let best: T | undefined;
  for (const each of all) if (best === undefined || figure(each) < figure(best)) best = each;
  return best;
}

/** When the oldest frame of a queue came. */
export const oldestUs = ({ waiting }: Queue): number =>
  waiting.reduce((oldest, { atUs }) => Math.min(oldest, atUs), Infinity);
