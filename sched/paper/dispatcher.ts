import TinyQueue from 'tinyqueue';
import { Adaptation } from '../adaptation.js';
import type { FrameTerms } from '../frame.js';
import { FIRM } from '../frame.js';
import type { Job, ReadyJobs } from './ready.js';
import { EdfReady } from './ready.js';
import { rescue } from './rescue.js';
import type { WcetTable } from '../wcet.js';
import { BestEffort } from './best-effort.js';
import type { DispatchCategory, DispatchConfig } from './config.js';
import { deadlineSpanUs, nextEndUs } from './config.js';

/** What the device should do now. */
export type Decision<F> = ({ readonly run: Job<F> } | { readonly waitUntilUs: number }) & {
  /** Frames given up: too late for tenants who do not want late answers, or far too late for anybody. */
  readonly dropped?: readonly F[];
};

/** A late frame is given up when its answer is overdue by this long. */
const LONGEST_LATENESS_US = 2_000_000;

interface OpenWindow<F> extends DispatchCategory {
  frames: F[];
  terms: FrameTerms[];
  /** End of the window that holds `frames`. */
  endUs: number;
}

/**
 * The DisBatcher and its worker on one device, as a state machine: events with their times in, decisions out, no
 * clock. The agent drives it in real time, the imitator and `deeprt simulate` in virtual time (docs/theory-paper.md, "One
 * scheduler, two clocks"). Times are integer microseconds and must not go back, but for frames: one that is reported
 * late joins the window that is open.
 */
export class Dispatcher<F> {
  readonly #ready: ReadyJobs<F>;
  #config: DispatchConfig;
  #categories = new Map<string, OpenWindow<F>>();
  readonly #bestEffort = new BestEffort<F>();
  /** Windows that hold frames, by their end. An empty window makes no job, so it needs no event. */
  #open = new TinyQueue<OpenWindow<F>>([], byEnd);
  #nowUs = -Infinity;
  #running: { job: Job<F>; sinceUs: number } | undefined;
  #adaptation: Adaptation | undefined;
  #ladders = new Map<string, readonly WcetTable[]>();
  /** Jobs that are late already, and wait for time that nobody else wants. */
  #late: Job<F>[] = [];

  constructor(config: DispatchConfig, ready: ReadyJobs<F> = new EdfReady<F>()) {
    this.#config = config;
    this.#ready = ready;
    this.#install(config);
  }

  /** The job on the device, if any. */
  get running(): Job<F> | undefined {
    return this.#running?.job;
  }

  /** The Adaptation Module's view of a category: its penalty in microseconds and the rung its jobs run at. */
  adapted(category: string): { penaltyUs: number; rung: number } {
    return {
      penaltyUs: this.#adaptation?.penaltyUs(category) ?? 0,
      rung: this.#adaptation?.strain(category).rung ?? 0,
    };
  }

  /** A frame has arrived. Returns false when its category is not (or no longer) programmed. */
  arrive(category: string, frame: F, atUs: number, terms: FrameTerms = FIRM): boolean {
    this.#advance(atUs);
    if (this.#bestEffort.add(category, frame)) return true;
    const window = this.#categories.get(category);
    if (window === undefined) return false;
    if (window.frames.length === 0) {
      window.endUs = nextEndUs(window, this.#nowUs);
      this.#open.push(window);
    }
    window.frames.push(frame);
    window.terms.push(terms);
    return true;
  }

  /** The run that `next` asked for has ended. */
  finish(nowUs: number): void {
    if (this.#running === undefined) throw new Error('no job is running');
    const { job, sinceUs } = this.#running;
    if (this.#categories.has(job.category))
      this.#adaptation?.ended(job.category, { ...job, actualUs: nowUs - sinceUs });
    this.#running = undefined;
    this.#advance(nowUs);
  }

  /** What to do at this instant. Never a second job while one runs. */
  next(nowUs: number): Decision<F> {
    this.#advance(nowUs);
    if (this.#running !== undefined) return { waitUntilUs: Infinity };
    const dropped: F[] = [];
    const withDropped = (): { dropped?: readonly F[] } => (dropped.length === 0 ? {} : { dropped });
    const promised = this.#promisedJob(nowUs, dropped);
    if (promised === undefined && this.#ready.empty) this.#adaptation?.recovered();
    const job = promised ?? this.#earlyJob(nowUs) ?? this.#lateJob(nowUs, dropped) ?? this.#bestEffortJob(nowUs);
    if (job !== undefined) {
      this.#running = { job, sinceUs: nowUs };
      return { run: job, ...withDropped() };
    }
    const waitUntilUs = Math.min(this.#open.peek()?.endUs ?? Infinity, this.#ready.wakeUs(nowUs));
    // Late and best-effort frames that this gap could not hold get another chance in the next one.
    const more = this.#bestEffort.waits || this.#late.length > 0;
    return { waitUntilUs: more ? Math.min(waitUntilUs, this.gapEndUs(nowUs)) : waitUntilUs, ...withDropped() };
  }

  /** The released job to run, at the shape and with the frames that the device's being behind allows. */
  #promisedJob(nowUs: number, dropped: F[]): Job<F> | undefined {
    for (;;) {
      const job = this.#ready.take(nowUs);
      const ladder = this.#adaptation === undefined || job === undefined ? undefined : this.#ladders.get(job.category);
      if (job === undefined || ladder === undefined) return job;
      const outcome = rescue(job, ladder, this.#adaptation!.strain(job.category), nowUs);
      if (outcome.back !== undefined) this.#ready.push(outcome.back);
      if (outcome.late !== undefined) this.#late.push({ ...outcome.late, kind: 'late' });
      dropped.push(...outcome.dropped);
      if (outcome.run !== undefined) return outcome.run;
    }
  }

  /**
   * Takes over another configuration without breaking a promise, if that is possible at this instant: the device must
   * be idle with nothing released, and a window that is re-cut must be no older than its new length; it is then closed
   * here and its job falls under the new configuration (docs/theory-paper.md, Theorem 5). `force` takes it over regardless.
   * Returns undefined when it is not possible yet, else the frames whose category is gone.
   */
  reconfigure(config: DispatchConfig, nowUs: number, force = false): F[] | undefined {
    this.#advance(nowUs);
    const next = new Map(config.realTime.map((category) => [category.name, category]));
    const recut = [...this.#categories.values()].filter((window) => {
      const after = next.get(window.name);
      return window.frames.length > 0 && after !== undefined && after.windowUs !== window.windowUs;
    });
    const safe =
      this.#running === undefined &&
      this.#ready.empty &&
      recut.every((window) => nowUs - (window.endUs - window.windowUs) <= next.get(window.name)!.windowUs);
    if (!safe && !force) return undefined;

    for (const window of recut) {
      const after = next.get(window.name)!;
      const longestUs = Math.max(deadlineSpanUs(window), deadlineSpanUs(after));
      this.#close(window, nowUs, window.endUs - window.windowUs + longestUs);
    }
    const before = this.#categories;
    this.#config = config;
    const dropped = this.#install(config, before, nowUs);
    for (const window of before.values()) if (!this.#categories.has(window.name)) dropped.push(...window.frames);
    return dropped;
  }

  /** @returns best-effort frames whose category is gone */
  #install(config: DispatchConfig, before = new Map<string, OpenWindow<F>>(), nowUs = 0): F[] {
    this.#open = new TinyQueue<OpenWindow<F>>([], byEnd);
    this.#categories = new Map();
    for (const category of config.realTime) {
      const old = before.get(category.name);
      const kept = old !== undefined && old.windowUs === category.windowUs;
      // A window that is re-cut, or new, starts here, so that no two of its ends are closer than W.
      const offsetUs = kept ? old.offsetUs : before.size > 0 ? nowUs : category.offsetUs;
      const window = {
        ...category,
        offsetUs,
        frames: kept ? old.frames : [],
        terms: kept ? old.terms : [],
        endUs: kept ? old.endUs : 0,
      };
      this.#categories.set(category.name, window);
      if (window.frames.length > 0) this.#open.push(window);
    }
    this.#ladders = new Map(config.realTime.map(({ name, wcet, smaller = [] }) => [name, [wcet, ...smaller]]));
    if (config.adaptation === true)
      this.#adaptation = new Adaptation(
        new Map([...this.#ladders].map(([name, ladder]) => [name, ladder.length - 1])),
        this.#adaptation,
      );
    return this.#bestEffort.install(config.bestEffort);
  }

  /** Closes every window that ends by now: its frames become one job. */
  #advance(nowUs: number): void {
    this.#nowUs = Math.max(this.#nowUs, nowUs);
    for (
      let window = this.#open.peek();
      window !== undefined && window.endUs <= this.#nowUs;
      window = this.#open.peek()
    ) {
      this.#open.pop();
      this.#close(window, window.endUs);
    }
  }

  /** Releases a window's frames as one job. */
  #close(window: OpenWindow<F>, releaseUs: number, deadlineUs = releaseUs + window.relativeDeadlineUs): void {
    this.#ready.push({
      category: window.name,
      kind: 'window',
      frames: window.frames,
      terms: window.terms,
      rung: 0,
      releaseUs,
      deadlineUs,
      ...planned(window.wcet.at(window.frames.length)),
    });
    window.frames = [];
    window.terms = [];
  }

  /**
   * Safe early release: waiting frames run before their window closes only if they end, at their WCET, before any
   * real-time job can be released, and so use time that nobody was promised.
   */
  #earlyJob(nowUs: number): Job<F> | undefined {
    if (!this.#config.earlyRelease || !this.#ready.empty) return undefined;
    const window = this.#open.peek();
    // What a strained category really takes is not known.
    if (window === undefined || this.adapted(window.name).rung > 0) return undefined;
    const count = window.wcet.largestWithin(this.gapEndUs(nowUs) - nowUs, window.frames.length);
    if (count === 0) return undefined;
    const frames = window.frames.splice(0, count);
    const terms = window.terms.splice(0, count);
    if (window.frames.length === 0) this.#open.pop();
    return {
      category: window.name,
      kind: 'early',
      frames,
      terms,
      rung: 0,
      releaseUs: nowUs,
      deadlineUs: window.endUs + window.relativeDeadlineUs,
      ...planned(window.wcet.at(count)),
    };
  }

  /** A late job, if admission's allowance for best effort or the gap holds it; what is far too late is given up. */
  #lateJob(nowUs: number, dropped: F[]): Job<F> | undefined {
    if (this.#late.length === 0 || !this.#ready.empty) return undefined;
    const hopeless = this.#late.filter((job) => nowUs - job.deadlineUs > LONGEST_LATENESS_US);
    if (hopeless.length > 0) {
      this.#late = this.#late.filter((job) => !hopeless.includes(job));
      dropped.push(...hopeless.flatMap(({ frames }) => frames));
    }
    const budgetUs = Math.max(this.#config.bestEffortUs, this.gapEndUs(nowUs) - nowUs);
    for (const [i, job] of this.#late.entries()) {
      const ladder = this.#ladders.get(job.category);
      const count = ladder?.[0]!.largestWithin(budgetUs, job.frames.length) ?? 0;
      if (count === 0) continue;
      const [frames, terms] = [job.frames.slice(0, count), job.terms.slice(0, count)];
      if (count === job.frames.length) this.#late.splice(i, 1);
      else this.#late[i] = { ...job, frames: job.frames.slice(count), terms: job.terms.slice(count) };
      return { ...job, frames, terms, rung: 0, ...planned(ladder![0]!.at(count)) };
    }
    return undefined;
  }

  /** Best effort: the longest-waiting category's frames, as many as admission's allowance or the gap holds. */
  #bestEffortJob(nowUs: number): Job<F> | undefined {
    if (!this.#ready.empty) return undefined;
    const gapUs = this.gapEndUs(nowUs) - nowUs;
    // Under replay every start is planned, so even short runs must end within the gap.
    const budgetUs = this.#ready.gapEndUs(nowUs) === undefined ? Math.max(this.#config.bestEffortUs, gapUs) : gapUs;
    return this.#bestEffort.take(budgetUs, nowUs);
  }

  /** The next instant at which a real-time job may want the device. */
  gapEndUs(nowUs: number): number {
    const planned = this.#ready.gapEndUs(nowUs);
    if (planned !== undefined) return planned;
    let endUs = Infinity;
    for (const category of this.#categories.values()) endUs = Math.min(endUs, nextEndUs(category, nowUs));
    return endUs;
  }
}

const planned = (wcetUs: number): { wcetUs: number; budgetUs: number } => ({ wcetUs, budgetUs: wcetUs });

function byEnd(a: { endUs: number }, b: { endUs: number }): number {
  return a.endUs - b.endUs;
}
