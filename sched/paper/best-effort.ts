import { FIRM } from '../frame.js';
import type { WcetTable } from '../wcet.js';
import type { BestEffortCategory } from './config.js';
import type { Job } from './ready.js';

interface Waiting<F> {
  readonly wcet: WcetTable;
  frames: F[];
}

/** Frames of categories without deadlines, which wait for time that nobody was promised. */
export class BestEffort<F> {
  #categories = new Map<string, Waiting<F>>();

  /** @returns frames whose category is gone */
  install(categories: readonly BestEffortCategory[]): F[] {
    const before = this.#categories;
    this.#categories = new Map(
      categories.map(({ name, wcet }) => [name, { wcet, frames: before.get(name)?.frames ?? [] }]),
    );
    return [...before].flatMap(([name, { frames }]) => (this.#categories.has(name) ? [] : frames));
  }

  /** Says whether there is such a category. */
  add(category: string, frame: F): boolean {
    const waiting = this.#categories.get(category);
    waiting?.frames.push(frame);
    return waiting !== undefined;
  }

  get waits(): boolean {
    for (const { frames } of this.#categories.values()) if (frames.length > 0) return true;
    return false;
  }

  /** The longest-waiting category's frames, as many as the time holds. */
  take(budgetUs: number, nowUs: number): Job<F> | undefined {
    for (const [name, waiting] of this.#categories) {
      if (waiting.frames.length === 0) continue;
      const { wcet } = waiting;
      const count = wcet.largestWithin(budgetUs, Math.min(waiting.frames.length, wcet.largestBatch));
      if (count === 0) continue;
      const frames = waiting.frames.splice(0, count);
      // Round robin: whoever was served goes to the end of the map's order.
      this.#categories.delete(name);
      this.#categories.set(name, waiting);
      const wcetUs = wcet.at(count);
      const terms = frames.map(() => FIRM);
      const times = { releaseUs: nowUs, deadlineUs: Infinity, wcetUs, budgetUs: wcetUs };
      return { category: name, kind: 'bestEffort', frames, terms, rung: 0, ...times };
    }
    return undefined;
  }
}
