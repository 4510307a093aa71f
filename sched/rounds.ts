import type { DueCurve } from './curve.js';
import type { Turn } from './table.js';
import { balanced, gapsUs } from './table.js';
import type { WcetTable } from './wcet.js';

const { ceil, floor, max, min } = Math;

/** What one category asks of its device. */
export interface Demand {
  readonly name: string;
  readonly wcet: WcetTable;
  readonly curve: DueCurve;
  /** When it is visited now, where it is: kept where that suffices. */
  readonly promised?: Turn | undefined;
}

/** How a category is served: at least every `gapUs` a visit of at most `quota` promised frames (docs/theory.md, Theorem 1). */
export interface Visit extends Turn {
  readonly quota: number;
  /** W: from one visit's start to the next one's, at most, for as long as frames wait. */
  readonly gapUs: number;
}

/** What stands in the way: the category that no quota helps, in the table that came closest. */
export interface Misfit {
  readonly category: string;
  /** How far apart its visits would be, and how far apart they may be for its shortest deadline and its rate. */
  readonly gapUs: number;
  readonly allowedUs: number;
  /** Whose visits take most of that gap. */
  readonly bottleneck: string;
}

export type Choice = { readonly visits: readonly Visit[] } | { readonly misfit: Misfit };

const EVERY_ROUND: Turn = { stride: 1, offset: 0 };
const MOST_ITERATIONS = 400;
const MOST_ROUNDS = 8;
/** Strides follow the categories' shortest deadlines; by how much is tried, from the whole on. */
const SCALE_STEP = 0.87;
const LEAST_SCALE = 0.05;
const NEIGHBOUR_STEP = 0.75;
const LEAST_NEIGHBOUR_SCALE = 0.2;
/** A visit takes somewhat less than a category's shortest deadline leaves. */
const DEADLINE_SHARE = 0.9;
/** What a round is taken to last when rounds are balanced; only proportions matter. */
const TYPICAL_ROUND_US = 40_000;

/**
 * The least quota, `from` or more, with which a visit at least every `gapUs` serves every frame in time: F(t) <= q * floor((t − E(q)) / W) wherever F
 * steps, and the same of the lines that bound both sides beyond the horizon; undefined when there is none.
 */
export function leastQuota({ wcet, curve }: Demand, gapUs: number, from = 1): number | undefined {
  const { us, frames } = curve.steps;
  let quota = max(from, ceil(curve.rate * gapUs - 1e-9));
  for (let settled = -1; settled !== quota;) {
    settled = quota;
    const costUs = (): number => wcet.at(quota);
    const linear = curve.rate * curve.horizonUs + curve.burst;
    let runUs = costUs();
    while (quota * ((curve.horizonUs - runUs) / gapUs - 1) < linear) {
      if (runUs + gapUs > curve.shortestUs) return undefined;
      quota++;
      runUs = costUs();
    }
    for (let i = 0; i < us.length; i++) {
      const visits = floor((us[i]! - runUs) / gapUs);
      if (visits < 1) return undefined;
      if (quota * visits >= frames[i]!) continue;
      quota = ceil(frames[i]! / visits);
      runUs = costUs();
      i--; // a longer run may end too late now for so many visits
    }
  }
  return quota;
}

/** Whether these quotas keep every promise in this table. */
export function suffices(demands: readonly Demand[], turns: readonly Turn[], quotas: readonly number[]): boolean {
  const gaps = gapsUs(turns, costsOf(demands, quotas));
  return demands.every((demand, c) => leastQuota(demand, gaps[c]!, quotas[c]) === quotas[c]);
}

/** Where a table's search for quotas ends without any: at a category whose visits would be too far apart. */
interface Stuck {
  readonly turns: readonly Turn[];
  readonly quotas: readonly number[];
  readonly at: number;
  readonly gapUs: number;
}

/** The least quotas that suffice in a table, or why there are none: complete, by the least fixed point (docs/theory.md, Theorem 2). */
export function solve(demands: readonly Demand[], turns: readonly Turn[]): Choice {
  const found = quotasIn(demands, turns);
  return 'visits' in found ? found : { misfit: misfitOf(demands, found) };
}

function quotasIn(demands: readonly Demand[], turns: readonly Turn[]): { visits: Visit[] } | Stuck {
  const quotas = demands.map(() => 1);
  const known = demands.map(() => 0);
  for (let i = 0; i < MOST_ITERATIONS; i++) {
    const gaps = gapsUs(turns, costsOf(demands, quotas));
    let changed = false;
    for (const [c, demand] of demands.entries()) {
      if (gaps[c] === known[c]) continue;
      known[c] = gaps[c]!;
      const quota = leastQuota(demand, gaps[c]!, quotas[c]);
      if (quota === undefined) return { turns, quotas, at: c, gapUs: gaps[c]! };
      changed ||= quota !== quotas[c];
      quotas[c] = quota;
    }
    if (!changed) return { visits: turns.map((turn, c) => ({ ...turn, quota: quotas[c]!, gapUs: gaps[c]! })) };
  }
  return { turns, quotas, at: 0, gapUs: gapsUs(turns, costsOf(demands, quotas))[0]! };
}

/**
 * A table, quotas and gaps that keep every promise, if one of a handful of tables does: the promised one first (so that
 * nothing needs to change), then strides by the categories' shortest deadlines, then one of them halved or doubled.
 */
export function chooseRounds(demands: readonly Demand[]): Choice {
  if (demands.length === 0) return { visits: [] };
  const shortestUs = min(...demands.map(({ curve }) => curve.shortestUs));
  const stridesAt = (scale: number): number[] =>
    demands.map(({ curve }) => powerOfTwo((DEADLINE_SHARE * curve.shortestUs) / (shortestUs * scale)));
  const weights = (strides: readonly number[]): number[] =>
    demands.map(({ wcet, curve }, c) => wcet.at(max(1, ceil(curve.rate * TYPICAL_ROUND_US * strides[c]!))));
  const tried = new Set<string>();
  let closest: Stuck | undefined;
  const excess = ({ at, quotas, gapUs }: Stuck): number =>
    gapUs / max(1, demands[at]!.curve.shortestUs - demands[at]!.wcet.at(quotas[at]!));
  const attempt = (turns: readonly Turn[]): Choice | undefined => {
    const found = quotasIn(demands, turns);
    if ('visits' in found) return found;
    if (closest === undefined || excess(found) < excess(closest)) closest = found;
    return undefined;
  };
  if (demands.some(({ promised }) => promised !== undefined)) {
    const kept = attempt(demands.map(({ promised = EVERY_ROUND }) => promised));
    if (kept !== undefined) return kept;
  }
  for (const strides of candidateStrides(demands, stridesAt)) {
    const key = strides.join();
    if (tried.has(key)) continue;
    tried.add(key);
    const choice = attempt(balanced(strides, weights(strides)));
    if (choice !== undefined) return choice;
  }
  return { misfit: misfitOf(demands, closest!) };
}

function* candidateStrides(
  demands: readonly Demand[],
  stridesAt: (scale: number) => number[],
): Generator<readonly number[]> {
  if (demands.some(({ promised }) => promised !== undefined))
    yield demands.map(({ promised = EVERY_ROUND }) => promised.stride);
  for (let scale = 1; scale > LEAST_SCALE; scale *= SCALE_STEP) yield stridesAt(scale);
  for (let scale = 1; scale > LEAST_NEIGHBOUR_SCALE; scale *= NEIGHBOUR_STEP) {
    const strides = stridesAt(scale);
    for (const [c, stride] of strides.entries())
      for (const other of [stride / 2, stride * 2])
        if (other >= 1 && other <= MOST_ROUNDS) yield strides.with(c, other);
  }
}

/**
 * Larger quotas as far as all promises are still kept: larger batches, and quicker recovery after an overrun. What is
 * admitted next starts from the least ones again, so they cost nobody a place.
 */
export function grown(demands: readonly Demand[], visits: readonly Visit[]): Visit[] {
  let quotas = visits.map(({ quota }) => quota);
  const most = demands.map(({ wcet }, c) => max(quotas[c]!, wcet.largestBatch));
  const take = (wanted: readonly number[]): boolean => {
    if (wanted.every((quota, c) => quota === quotas[c]) || !suffices(demands, visits, wanted)) return false;
    quotas = [...wanted];
    return true;
  };
  for (let factor = 2; factor > 1.02; factor = 1 + (factor - 1) / 2)
    while (take(quotas.map((quota, c) => min(most[c]!, ceil(quota * factor)))));
  for (let changed = true; changed;) {
    changed = false;
    for (const c of quotas.keys()) if (quotas[c]! < most[c]! && take(quotas.with(c, quotas[c]! + 1))) changed = true;
  }
  const gaps = gapsUs(visits, costsOf(demands, quotas));
  return visits.map((visit, c) => ({ ...visit, quota: quotas[c]!, gapUs: gaps[c]! }));
}

/** The share of the device that a category's frames take in full visits. */
export const utilizationOf = ({ wcet, curve }: Pick<Demand, 'wcet' | 'curve'>, quota: number): number =>
  (curve.rate * wcet.at(quota)) / quota;

/** The least share of the device that a category's frames could ever take. */
export function leastUtilization({ wcet, curve }: Demand): number {
  let perFrameUs = Infinity;
  for (let n = 1; n <= wcet.largestBatch; n++) perFrameUs = min(perFrameUs, (wcet.at(n) - wcet.overheadUs) / n);
  return curve.rate * perFrameUs;
}

const costsOf = (demands: readonly Demand[], quotas: readonly number[]): number[] =>
  demands.map(({ wcet }, c) => wcet.at(quotas[c]!));

/** How far apart a category's visits may be at most, where so far is too far, within a thousandth of that. */
function longestGapUs(demand: Demand, tooFarUs: number): number {
  let [low, high] = [0, tooFarUs];
  while (high - low > tooFarUs / 1000) {
    const middle = (low + high) / 2;
    if (leastQuota(demand, middle) === undefined) high = middle;
    else low = middle;
  }
  return low;
}

const powerOfTwo = (x: number): number => min(MOST_ROUNDS, 2 ** max(0, floor(Math.log2(x) + 1e-9)));

function misfitOf(demands: readonly Demand[], { turns, quotas, at, gapUs }: Stuck): Misfit {
  const shares = costsOf(demands, quotas).map((costUs, c) => costUs / turns[c]!.stride);
  const most = shares.indexOf(max(...shares));
  const [{ name: category }, { name: bottleneck }] = [demands[at]!, demands[most]!];
  return { category, gapUs, allowedUs: longestGapUs(demands[at]!, gapUs), bottleneck };
}
