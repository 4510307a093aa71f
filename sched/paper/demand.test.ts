import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { among, runs } from '../../test/support/runs.js';
import { camerasOf, categories, dispatchCategories, fallOfFrames, wcetPoints } from '../../test/support/sets.js';
import { arrivalsOf, seededRandom } from '../arrivals.js';
import type { Category } from '../category.js';
import { shortestDeadlineUs } from '../category.js';
import { mostArrivals } from './arrivals-bound.js';
import { CategoryDemand, testDemand } from './demand.js';
import { simulate } from './simulate.js';
import { phase1Utilization } from './utilization.js';
import { WcetTable } from '../wcet.js';
import { candidateWindows, chooseWindows } from './windows.js';

const HORIZON_US = 1_500_000;

/** Frames that miss their own deadline when a set is dispatched with the windows that admission chose. */
function missesOf(
  list: Category[],
  fall: { phases: 'random' | 'together'; jitter: 'random' | 'extreme'; seed: number },
  { early = false, finishEarly = false, bestEffortUs = 0 } = {},
): { frames: number; misses: number } {
  const random = seededRandom(fall.seed);
  const choice = chooseWindows(list, bestEffortUs);
  const cameras = camerasOf(list, fall.phases === 'random' ? random : () => 0);
  const config = {
    realTime: dispatchCategories(list, choice.demands, (i) => Math.floor(random() * choice.windowsUs[i]!)),
    bestEffort: bestEffortUs > 0 ? [{ name: 'idle', wcet: new WcetTable([{ batch: 1, wcetUs: bestEffortUs }]) }] : [],
    bestEffortUs,
    earlyRelease: early,
  };
  if (bestEffortUs > 0)
    cameras.push({ category: 'idle', periodUs: Math.ceil(bestEffortUs / 2), jitterUs: 0, phaseUs: 0 });
  const jitter = fall.jitter === 'random' ? random : () => (random() < 0.5 ? 0 : 0.9999999);
  const deadlines = new Map(list.map(({ name, streams }) => [name, shortestDeadlineUs(streams)]));
  let frames = 0;
  let misses = 0;
  for (const { job, endUs } of simulate({
    config,
    arrivals: arrivalsOf(cameras, HORIZON_US, jitter),
    ...(finishEarly ? { executeUs: (job) => Math.max(1, Math.floor(job.wcetUs * random())) } : {}),
  })) {
    if (job.kind === 'bestEffort') continue;
    for (const frame of job.frames) {
      frames++;
      if (endUs - frame.atUs > deadlines.get(frame.category)!) misses++;
    }
  }
  return { frames, misses };
}

describe('the demand test', () => {
  const accepted = (list: Category[], bestEffortUs = 0): boolean => chooseWindows(list, bestEffortUs).verdict.accepted;

  test('promises what every phase and jitter keeps, also when runs end early', () => {
    let promised = 0;
    fc.assert(
      fc.property(categories, fallOfFrames, fc.boolean(), (list, fall, finishEarly) => {
        fc.pre(accepted(list));
        promised++;
        expect(missesOf(list, fall, { finishEarly }).misses).toBe(0);
      }),
      { numRuns: runs(2000), maxSkipsPerRun: 100 },
    );
    expect(promised).toBeGreaterThanOrEqual(among(2000));
  });

  test('early release makes nobody late', () => {
    fc.assert(
      fc.property(categories, fallOfFrames, fc.boolean(), (list, fall, finishEarly) => {
        fc.pre(accepted(list));
        expect(missesOf(list, fall, { finishEarly, early: true }).misses).toBe(0);
      }),
      { numRuns: runs(1000), maxSkipsPerRun: 100 },
    );
  });

  test('best-effort runs within the admitted allowance make nobody late', () => {
    fc.assert(
      fc.property(categories, fallOfFrames, fc.integer({ min: 500, max: 8000 }), (list, fall, bestEffortUs) => {
        fc.pre(accepted(list, bestEffortUs));
        expect(missesOf(list, fall, { bestEffortUs, early: true }).misses).toBe(0);
      }),
      { numRuns: runs(500), maxSkipsPerRun: 100 },
    );
  });

  test('is not so strict that it promises nothing worth having', () => {
    // One camera class, alone: full batches at 30 fps; the device is busy 8·(2 + 1)/… of the time.
    const wcet = new WcetTable([1, 2, 4, 8, 16, 32].map((batch) => ({ batch, wcetUs: 2000 + 1000 * batch })));
    const streams = (count: number): Category[] => [
      { name: 'a', wcet, streams: [{ count, periodUs: 33_333, jitterUs: 3_333, deadlineUs: 200_000 }] },
    ];
    expect(accepted(streams(24))).toBe(true);
    expect(accepted(streams(34))).toBe(false);
  });

  test('phase 1 never rejects what it accepts, window by window', () => {
    fc.assert(
      fc.property(categories, (list) => {
        const choice = chooseWindows(list);
        fc.pre(choice.verdict.accepted);
        expect(choice.leastUtilization).toBeLessThan(1);
        list.forEach((category, i) => {
          const { rate } = choice.demands[i]!;
          expect(phase1Utilization(category, choice.windowsUs[i]!)).toBeLessThanOrEqual(rate + 1e-9);
        });
      }),
      { numRuns: runs(1000), maxSkipsPerRun: 100 },
    );
  });

  test('a set that the paper’s half deadline accepts is never refused', () => {
    fc.assert(
      fc.property(
        categories,
        fc.array(fc.double({ min: 0.05, max: 0.9, noNaN: true }), { minLength: 5, maxLength: 5 }),
        (list, shares) => {
          const half = list.map(
            (category) =>
              new CategoryDemand({ ...category, windowUs: Math.floor(shortestDeadlineUs(category.streams) / 2) }),
          );
          fc.pre(testDemand(half).accepted);
          // Whatever windows were promised before.
          const requests = list.map((category, i) => ({
            ...category,
            promisedWindowUs: Math.floor(shares[i]! * shortestDeadlineUs(category.streams)),
          }));
          expect(chooseWindows(list).verdict.accepted).toBe(true);
          expect(chooseWindows(requests).verdict.accepted).toBe(true);
        },
      ),
      { numRuns: runs(500), maxSkipsPerRun: 100 },
    );
  });

  test('C(k) covers every way to place frames in k windows', () => {
    fc.assert(
      fc.property(categories, fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 2 ** 31 }), (list, k, seed) => {
        const category = list[0]!;
        const random = seededRandom(seed);
        const [windowUs] = candidateWindows(category) as [number];
        const demand = new CategoryDemand({ ...category, windowUs });
        const startUs = Math.floor(random() * 500_000);
        const perWindow = new Array<number>(k).fill(0);
        for (const { atUs } of arrivalsOf(camerasOf([category], random), startUs + k * windowUs, random)) {
          const window = Math.floor((atUs - startUs) / windowUs);
          if (window >= 0 && window < k) perWindow[window]!++;
        }
        expect(perWindow.reduce((sum, n) => sum + n, 0)).toBeLessThanOrEqual(
          mostArrivals(category.streams, k * windowUs),
        );
        expect(perWindow.reduce((sum, n) => sum + category.wcet.at(n), 0)).toBeLessThanOrEqual(demand.cost(k));
      }),
      { numRuns: runs(1000) },
    );
  });

  test('the demand bound stays below its affine bound, which ends the search', () => {
    fc.assert(
      fc.property(categories, fc.integer({ min: 0, max: 3_000_000 }), (list, atUs) => {
        const demand = new CategoryDemand({ ...list[0]!, windowUs: candidateWindows(list[0]!)[0]! });
        expect(demand.within(atUs)).toBeLessThanOrEqual(demand.offsetUs + demand.rate * atUs + 1e-3);
      }),
    );
  });
});

describe('E(n)', () => {
  test('is never below a measurement, never falls, and stays below every line', () => {
    fc.assert(
      fc.property(wcetPoints, fc.integer({ min: 0, max: 500 }), (points, overheadUs) => {
        const table = new WcetTable(points, overheadUs);
        for (const { batch, wcetUs } of points) expect(table.at(batch)).toBeGreaterThanOrEqual(wcetUs + overheadUs);
        for (let n = 1; n <= 4 * table.largestBatch; n++) {
          expect(table.at(n)).toBeGreaterThanOrEqual(table.at(n - 1));
          for (const { fixedUs, perFrameUs } of table.lines)
            expect(fixedUs + perFrameUs * n).toBeGreaterThanOrEqual(table.at(n) - 1e-6);
        }
      }),
    );
  });

  test('between measured sizes takes the next larger one, beyond the largest counts several runs', () => {
    const table = new WcetTable([
      { batch: 1, wcetUs: 3000 },
      { batch: 4, wcetUs: 6000 },
      { batch: 8, wcetUs: 10_000 },
    ]);
    expect([0, 1, 2, 4, 5, 8, 9, 12, 16, 20].map((n) => table.at(n))).toEqual([
      0, 3000, 6000, 6000, 10_000, 10_000, 13_000, 16_000, 20_000, 26_000,
    ]);
    expect(table.largestWithin(9_999, 100)).toBe(4);
    expect(table.largestWithin(2_999, 100)).toBe(0);
    expect(table.largestWithin(16_000, 100)).toBe(12);
  });

  test('refuses tables that mean nothing', () => {
    expect(() => new WcetTable([])).toThrow('at least one');
    expect(() => new WcetTable([{ batch: 0, wcetUs: 1 }])).toThrow('batch size 0');
    expect(() => new WcetTable([{ batch: 1, wcetUs: 1.5 }])).toThrow('positive integer');
  });
});
