import TinyQueue from 'tinyqueue';
import type { FrameTerms } from '../frame.js';

/** One batch: the frames of one category from one window (or an early or best-effort part of them). */
export interface Job<F> {
  readonly category: string;
  readonly kind: 'window' | 'early' | 'bestEffort' | 'late';
  readonly frames: readonly F[];
  /** In the order of the frames. */
  readonly terms: readonly FrameTerms[];
  /** The shape it runs at: 0 the full one, each further one the next smaller. */
  readonly rung: number;
  /** The window's end; for early and best-effort jobs the instant of the decision. */
  readonly releaseUs: number;
  /** Absolute; Infinity for best effort. */
  readonly deadlineUs: number;
  /** E of this batch at its shape. */
  readonly wcetUs: number;
  /** What admission counted it with: E at the full shape, or its share when a job was split. */
  readonly budgetUs: number;
}

/** Which of the released jobs runs next. */
export interface ReadyJobs<F> {
  push(job: Job<F>): void;
  /** Takes the job to run now; undefined when none may run. */
  take(nowUs: number): Job<F> | undefined;
  /** Whether released jobs wait. */
  readonly empty: boolean;
  /** Until when, seen from now, nobody was promised the device; undefined: ask the windows. */
  gapEndUs(nowUs: number): number | undefined;
  /** When `take` may answer differently although nothing was pushed. */
  wakeUs(nowUs: number): number;
}

/** EDF's order: earliest deadline, then earliest release, then category name (design of the worker, section 4.2). */
export function byEdf(a: Job<unknown>, b: Job<unknown>): number {
  return (
    a.deadlineUs - b.deadlineUs ||
    a.releaseUs - b.releaseUs ||
    (a.category < b.category ? -1 : a.category > b.category ? 1 : 0)
  );
}

/** Non-preemptive earliest-deadline-first. */
export class EdfReady<F> implements ReadyJobs<F> {
  readonly #heap = new TinyQueue<Job<F>>([], byEdf);

  push(job: Job<F>): void {
    this.#heap.push(job);
  }

  take(): Job<F> | undefined {
    return this.#heap.pop();
  }

  get empty(): boolean {
    return this.#heap.length === 0;
  }

  gapEndUs(): undefined {
    return undefined;
  }

  wakeUs(): number {
    return Infinity;
  }
}

/** A job's place in the order that the imitator found. */
export interface PlannedJob {
  readonly category: string;
  /** Window end: together with the category it names the job. */
  readonly releaseUs: number;
  /** When the imitator started it. */
  readonly startUs: number;
}

/**
 * Order-preserving replay of what the imitator admitted (docs/theory-paper.md, Theorem 4): jobs run in the order simulated,
 * each at max(its release, the previous finish), so none ends later than simulated even when others end early.
 * Plain EDF would not do: it is not sustainable when runs are shorter than their WCET.
 */
export class ReplayReady<F> implements ReadyJobs<F> {
  readonly #plan: readonly PlannedJob[];
  readonly #waiting = new Map<string, Job<F>>();
  #next = 0;

  constructor(plan: readonly PlannedJob[]) {
    this.#plan = plan;
  }

  push(job: Job<F>): void {
    this.#waiting.set(keyOf(job), job);
  }

  take(nowUs: number): Job<F> | undefined {
    const planned = this.#skipEmpty(nowUs);
    if (planned === undefined) return undefined;
    const job = this.#waiting.get(keyOf(planned));
    if (job === undefined) return undefined;
    this.#waiting.delete(keyOf(planned));
    this.#next++;
    return job;
  }

  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  gapEndUs(nowUs: number): number {
    return this.#skipEmpty(nowUs)?.startUs ?? Infinity;
  }

  wakeUs(nowUs: number): number {
    return this.empty ? Infinity : (this.#skipEmpty(nowUs)?.releaseUs ?? Infinity);
  }

  /** The next planned job that is there or may still come; one whose window closed without frames is passed over. */
  #skipEmpty(nowUs: number): PlannedJob | undefined {
    for (; ; this.#next++) {
      const planned = this.#plan[this.#next];
      if (planned === undefined || planned.releaseUs > nowUs || this.#waiting.has(keyOf(planned))) return planned;
    }
  }
}

function keyOf({ category, releaseUs }: { category: string; releaseUs: number }): string {
  return `${category}@${releaseUs}`;
}
