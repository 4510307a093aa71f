import type { WindowedCategory } from './arrivals-bound.js';
import { frameRate, shortestDeadlineUs } from '../category.js';
import { mostArrivals } from './arrivals-bound.js';

/** Rounding guard for sums that are integers in theory, in microseconds. */
const EPSILON_US = 1e-6;
/** Beyond this busy period a set is so close to saturation that it is refused instead of analysed. */
const LONGEST_BUSY_PERIOD_US = 10_000_000;

/**
 * What one category can ask of its device: C(k), the most that the jobs of any k consecutive windows cost
 * (docs/theory-paper.md, Lemma 3), and the figures that follow from it. C is remembered, so keep and reuse an instance.
 */
export class CategoryDemand {
  readonly name: string;
  readonly windowUs: number;
  /** Dmin − W: a job's deadline relative to its release. */
  readonly relativeDeadlineUs: number;
  /** E(N(W)): the longest job. */
  readonly longestJobUs: number;
  /** Long-run demand, a share of the device: no schedule can need more. */
  readonly rate: number;
  /** `fixedUs + rate * t >= dbf(t)` for every t. */
  readonly offsetUs: number;
  readonly #category: WindowedCategory;
  readonly #costs: number[] = [0];

  constructor(category: WindowedCategory) {
    const { name, windowUs, streams, wcet } = category;
    this.name = name;
    this.windowUs = windowUs;
    this.relativeDeadlineUs = shortestDeadlineUs(streams) - windowUs;
    this.longestJobUs = wcet.at(mostArrivals(streams, windowUs));
    this.#category = category;

    const framesPerUs = frameRate(streams);
    const jobsPerUs = Math.min(1 / windowUs, framesPerUs);
    // Frames beyond rate·t that an interval can hold: sum of J/T + 1.
    const burst = streams.reduce((sum, s) => sum + s.count * (s.jitterUs / s.periodUs + 1), 0);
    const lead = Math.max(0, windowUs - this.relativeDeadlineUs); // k ≤ (t + lead) / W
    let rate = this.longestJobUs / windowUs;
    let offsetUs = rate * lead;
    for (const { fixedUs, perFrameUs } of wcet.lines) {
      const lineRate = fixedUs * jobsPerUs + perFrameUs * framesPerUs;
      if (lineRate >= rate) continue;
      const byFrames = framesPerUs < 1 / windowUs ? fixedUs * burst : 0;
      rate = lineRate;
      offsetUs = lineRate * lead + byFrames + perFrameUs * burst;
    }
    this.rate = rate;
    this.offsetUs = offsetUs;
  }

  /** C(k) in microseconds. */
  cost(windows: number): number {
    for (let k = this.#costs.length; k <= windows; k++) {
      const { streams, wcet } = this.#category;
      const frames = mostArrivals(streams, k * this.windowUs);
      let least = k * this.longestJobUs;
      for (const { fixedUs, perFrameUs } of wcet.lines)
        least = Math.min(least, Math.floor(fixedUs * Math.min(k, frames) + perFrameUs * frames + EPSILON_US));
      this.#costs.push(least);
    }
    return this.#costs[Math.max(0, windows)]!;
  }

  /** dbf(t): the most work that is both released and due within any interval of length t. */
  within(intervalUs: number): number {
    if (intervalUs < this.relativeDeadlineUs) return 0;
    return this.cost(Math.floor((intervalUs - this.relativeDeadlineUs) / this.windowUs) + 1);
  }
}

/** The interval in which the device comes closest to, or furthest beyond, what it can do. */
export interface CriticalInterval {
  /** Length of the interval; the late job is due at its end. */
  readonly atUs: number;
  /** Work due within it, blocking included. */
  readonly demandUs: number;
  /** Category of the job due at its end. */
  readonly late: string;
  /** Category that asks for most of it. */
  readonly bottleneck: string;
}

export interface DemandVerdict {
  readonly accepted: boolean;
  /** Long-run demand of all categories, a share of the device. */
  readonly rate: number;
  /** Where demand divided by interval is greatest; absent for an empty device. */
  readonly critical?: CriticalInterval;
}

/**
 * Admission, phase 2, `demand`: holds for every phase and every jitter up to J (docs/theory-paper.md, Theorem 3).
 * Accepted when the long-run rate is below 1 and, up to the longest busy period, no interval holds more due work
 * than its length, the longest lower-priority run that may just have begun included.
 *
 * @param bestEffortUs longest best-effort run that may block real-time work
 * @param soon look only at the first intervals: for searches that compare; such a verdict is no promise
 */
export function testDemand(
  categories: readonly CategoryDemand[],
  bestEffortUs = 0,
  { soon: onlySoon = false } = {},
): DemandVerdict {
  let rate = 0;
  for (const category of categories) rate += category.rate;
  if (categories.length === 0) return { accepted: true, rate };

  // Most sets that fail do so soon: look there before bounding the busy period.
  let longestUs = 0;
  for (const category of categories) longestUs = Math.max(longestUs, category.relativeDeadlineUs + category.windowUs);
  const soonUs = 2 * longestUs;
  const soon = mostCritical(categories, bestEffortUs, soonUs);
  if (rate >= 1 || soon.demandUs > soon.atUs) return { accepted: false, rate, critical: soon };
  if (onlySoon) return { accepted: true, rate, critical: soon };

  const endUs = busyPeriodBoundUs(categories, bestEffortUs, rate);
  if (endUs > LONGEST_BUSY_PERIOD_US) return { accepted: false, rate, critical: soon };
  const critical = endUs <= soonUs ? soon : mostCritical(categories, bestEffortUs, endUs);
  return { accepted: critical.demandUs <= critical.atUs, rate, critical };
}

/** No deadline is missed after an interval longer than this if none is missed before (docs/theory-paper.md, Lemma 4). */
function busyPeriodBoundUs(categories: readonly CategoryDemand[], bestEffortUs: number, rate: number): number {
  let blockingUs = bestEffortUs;
  let offsetsUs = 0;
  for (const category of categories) {
    blockingUs = Math.max(blockingUs, category.longestJobUs);
    offsetsUs += category.offsetUs;
  }
  const byRate = Math.max(0, blockingUs + offsetsUs) / (1 - rate);
  const limit = Math.min(byRate, LONGEST_BUSY_PERIOD_US);
  let busyUs = 1;
  while (busyUs <= limit) {
    let workUs = blockingUs;
    for (const category of categories) workUs += category.cost(Math.ceil(busyUs / category.windowUs));
    if (workUs <= busyUs) return busyUs;
    busyUs = workUs;
  }
  return byRate;
}

/** Demand changes only where some job can be due, so only those instants are looked at. */
function mostCritical(categories: readonly CategoryDemand[], bestEffortUs: number, endUs: number): CriticalInterval {
  let worst = { atUs: 1, demandUs: 0, late: '' };
  for (const category of categories) {
    // The first instant is always looked at: a device whose first job is already late has no busy period to speak of.
    for (let atUs = category.relativeDeadlineUs; atUs === category.relativeDeadlineUs || atUs <= endUs;) {
      const demandUs = demandAt(categories, bestEffortUs, atUs);
      if (demandUs * worst.atUs > worst.demandUs * Math.max(atUs, 1))
        worst = { atUs: Math.max(atUs, 1), demandUs, late: category.name };
      atUs += category.windowUs;
    }
  }
  const largest = categories.reduce((a, b) => (b.within(worst.atUs) > a.within(worst.atUs) ? b : a));
  return { ...worst, bottleneck: largest.name };
}

/** All work due within an interval of this length, with the longest run that may block it. */
export function demandAt(categories: readonly CategoryDemand[], bestEffortUs: number, atUs: number): number {
  let workUs = 0;
  let blockingUs = bestEffortUs;
  for (const category of categories) {
    workUs += category.within(atUs);
    if (category.relativeDeadlineUs > atUs && category.longestJobUs > blockingUs) blockingUs = category.longestJobUs;
  }
  return workUs + blockingUs;
}
