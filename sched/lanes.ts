import { slackUs } from './guard.js';
import type { Queue } from './queue.js';
import type { Sequence } from './table.js';
import { sequenceOf } from './table.js';

/** A visit, and the place in the sequence after it. */
export interface Upcoming<F> {
  readonly queue: Queue<F>;
  readonly after: number;
}

/** The categories that the device visits in turn, and whose turn it is. */
export class Lanes<F> {
  readonly #lanes: readonly Queue<F>[];
  readonly #sequence: Sequence;
  #turn = 0;

  /** @param queues those with visits */
  constructor(queues: readonly Queue<F>[]) {
    this.#lanes = queues;
    this.#sequence = sequenceOf(
      queues.map(({ config: { visit } }) => visit!),
      queues.map(({ costUs }) => costUs),
    );
  }

  /** Begins where all that waits is visited in time; says whether there is such a place (docs/theory.md, Theorem 5). */
  begin(nowUs: number): boolean {
    const turn = this.#sequence.visits.findIndex((_, at) =>
      this.#lanes.every((lane, c) => lane.latestUs >= nowUs + this.#sequence.untilUs(at, c)),
    );
    this.#turn = Math.max(0, turn);
    return turn !== -1 || this.#lanes.length === 0;
  }

  /** The first visit from the turn on that finds promised frames waiting, and the place after it. */
  upcoming(): Upcoming<F> | undefined {
    const { visits } = this.#sequence;
    for (let i = 0; i < visits.length; i++) {
      const at = (this.#turn + i) % visits.length;
      const queue = this.#lanes[visits[at]!]!;
      if (queue.waiting.length > 0) return { queue, after: (at + 1) % visits.length };
    }
    return undefined;
  }

  /** The visit is over: the turn goes on behind it. */
  passed({ after }: Upcoming<F>): void {
    this.#turn = after;
  }

  /** How long something else may hold the device from now on without making a promised frame late, where that is less than wanted. */
  slackUs(nowUs: number, wantedUs: number, turn = this.#turn): number {
    return slackUs(this.#lanes, this.#sequence, turn, nowUs, wantedUs);
  }

  /** How long a visit in its turn may take: what its promised frames were counted with, more where slack behind it holds that. */
  roomUs({ queue, after }: Upcoming<F>, promised: number, wanted: number, nowUs: number): number {
    const { wcet, quota } = queue;
    const countedUs = wcet.at(Math.min(promised, quota));
    if (wcet.at(wanted) <= countedUs) return countedUs;
    return Math.max(countedUs, this.slackUs(nowUs, wcet.at(wanted), after));
  }
}
