import { Summary } from 'prom-client';
import { WcetTable } from '../../sched/wcet.js';
import type { Ran } from '../device/messages.js';
import type { ProfiledCategory } from './profile.js';

/** How long a run counts. */
const WINDOW_S = 5;
/** Fewer runs than this within the window say nothing. */
const LEAST_RUNS = 20;
/** A WCET that more than one run in twenty exceeds is none; measured, it is 1.2 times the 99th percentile. */
const SLOWER_P95 = 1;
/** A WCET that the slowest runs stay this far below keeps tenants away for nothing. */
const FASTER_P95 = 0.6;
const FASTER_MEDIAN = 0.8;

/** What of late the runs of a category took, in multiples of what was measured. */
export interface CategoryDrift {
  readonly runs: number;
  /** Median of actual / profiled median. */
  readonly median: number;
  /** 95th percentile of actual / WCET. */
  readonly p95OfWcet: number;
}

/** Whether the profile is wrong about a category: what it promises by is exceeded, or never needed. */
export function verdictOn({ runs, median, p95OfWcet }: CategoryDrift): 'slower' | 'faster' | undefined {
  if (runs < LEAST_RUNS) return undefined;
  if (p95OfWcet > SLOWER_P95) return 'slower';
  return median < FASTER_MEDIAN && p95OfWcet < FASTER_P95 ? 'faster' : undefined;
}

/** For a sentence: how many times as long as measured it takes. */
export const driftText = (drift: CategoryDrift): string =>
  (verdictOn(drift) === 'slower' ? Math.max(drift.median, drift.p95OfWcet) : drift.median).toFixed(2);

interface Watched {
  readonly median: WcetTable;
  readonly wcet: WcetTable;
  /** When the runs within the window ended. */
  readonly endedMs: number[];
}

/** A deviation that lasts: what passes within seconds is for adaptation to bridge. */
const PERSISTENT_MS = 12_000;

/** Which categories have deviated from their profile, in one direction, for long. */
export class Persistence {
  #since = new Map<string, { readonly verdict: string; readonly atMs: number }>();

  /** Takes note of a look at the drifts; returns the categories that are off persistently. */
  look(drifts: ReadonlyMap<string, CategoryDrift>, nowMs: number): string[] {
    const since = new Map<string, { readonly verdict: string; readonly atMs: number }>();
    for (const [name, drift] of drifts) {
      const verdict = verdictOn(drift);
      const before = this.#since.get(name);
      if (verdict !== undefined) since.set(name, before?.verdict === verdict ? before : { verdict, atMs: nowMs });
    }
    this.#since = since;
    return [...since].filter(([, { atMs }]) => nowMs - atMs >= PERSISTENT_MS).map(([name]) => name);
  }
}

/** Estimates per category how far the device has drifted from its profile: quantiles over a sliding window. */
export class DriftEstimate {
  readonly #watched = new Map<string, Watched>();
  readonly #ofMedian: Summary<'category'>;
  readonly #ofWcet: Summary<'category'>;

  constructor() {
    const common = {
      labelNames: ['category'] as const,
      maxAgeSeconds: WINDOW_S,
      ageBuckets: 5,
      pruneAgedBuckets: true,
      registers: [],
    };
    this.#ofMedian = new Summary({
      ...common,
      name: 'of_median',
      help: 'Actual / profiled median.',
      percentiles: [0.5],
    });
    this.#ofWcet = new Summary({ ...common, name: 'of_wcet', help: 'Actual / WCET.', percentiles: [0.95] });
  }

  /** What runs are compared with from now on; what was seen before is forgotten where that has changed. */
  expect(categories: readonly ProfiledCategory[], nameOf: (category: ProfiledCategory) => string): void {
    this.#watched.clear();
    this.forget();
    for (const category of categories) {
      const table = (pick: (batch: ProfiledCategory['batches'][number]) => number): WcetTable =>
        new WcetTable(category.batches.map((batch) => ({ batch: batch.size, wcetUs: pick(batch) })));
      this.#watched.set(nameOf(category), {
        median: table(({ p50Us, wcetUs }) => p50Us ?? wcetUs),
        wcet: table(({ wcetUs }) => wcetUs),
        endedMs: [],
      });
    }
  }

  /** Starts afresh: what is seen from now on counts. */
  forget(): void {
    this.#ofMedian.reset();
    this.#ofWcet.reset();
    for (const { endedMs } of this.#watched.values()) endedMs.length = 0;
  }

  note({ category: name, frames, rung, startUs, endUs, wcetUs }: Ran, nowMs: number): void {
    const watched = this.#watched.get(name);
    if (watched === undefined) return;
    const fullUs = watched.wcet.at(frames);
    const ofWcet = (endUs - startUs) / (rung === 0 ? fullUs : wcetUs);
    this.#ofMedian.observe({ category: name }, (ofWcet * fullUs) / watched.median.at(frames));
    this.#ofWcet.observe({ category: name }, ofWcet);
    watched.endedMs.push(nowMs);
  }

  async drifts(nowMs: number): Promise<Map<string, CategoryDrift>> {
    const drifts = new Map<string, CategoryDrift>();
    const [medians, wcets] = [await this.#ofMedian.get(), await this.#ofWcet.get()];
    const quantile = (of: typeof medians, category: string, wanted: number): number =>
      of.values.find(({ labels }) => {
        const { category: name, quantile: which } = labels as Record<string, string | number>;
        return name === category && which === wanted;
      })?.value ?? 0;
    for (const [category, { endedMs }] of this.#watched) {
      const first = endedMs.findIndex((atMs) => atMs > nowMs - 1000 * WINDOW_S);
      endedMs.splice(0, first === -1 ? endedMs.length : first);
      if (endedMs.length > 0)
        drifts.set(category, {
          runs: endedMs.length,
          median: quantile(medians, category, 0.5),
          p95OfWcet: quantile(wcets, category, 0.95),
        });
    }
    return drifts;
  }
}
