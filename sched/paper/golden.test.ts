import { describe, expect, test } from '@jest/globals';
import type { Arrival } from '../arrivals.js';
import { mostArrivals } from './arrivals-bound.js';
import { CategoryDemand, testDemand } from './demand.js';
import { simulate } from './simulate.js';
import { phase1Utilization } from './utilization.js';
import { WcetTable } from '../wcet.js';
import { chooseWindows } from './windows.js';

/** The cases that docs/theory-paper.md works out by hand, with its figures. */
const ms = (milliseconds: number): number => Math.round(milliseconds * 1000);
const table = (...points: [number, number][]): WcetTable =>
  new WcetTable(points.map(([batch, wcet]) => ({ batch, wcetUs: ms(wcet) })));
const stream = (count: number, period: number, deadline: number, jitter = 0) => ({
  count,
  periodUs: ms(period),
  deadlineUs: ms(deadline),
  jitterUs: ms(jitter),
});

describe('golden cases', () => {
  test('one category', () => {
    const category = { name: 'c', wcet: table([1, 4], [2, 6], [4, 10]), streams: [stream(2, 50, 100)] };
    const demand = new CategoryDemand({ ...category, windowUs: ms(50) });
    expect(phase1Utilization(category, ms(50))).toBeCloseTo(0.12);
    expect(demand.longestJobUs).toBe(ms(6));
    expect(demand.rate).toBeCloseTo(0.12);
    expect([49, 50, 99, 100, 150].map((t) => demand.within(ms(t)) / 1000)).toEqual([0, 6, 6, 12, 18]);
    expect(testDemand([demand])).toMatchObject({
      accepted: true,
      critical: { atUs: ms(50), demandUs: ms(6), late: 'c' },
    });
  });

  test('two categories with blocking: the paper’s windows fail by 4 ms, other windows hold', () => {
    const urgent = { name: 'urgent', wcet: table([1, 2]), streams: [stream(1, 20, 20)] };
    const slow = { name: 'slow', wcet: table([1, 12]), streams: [stream(1, 100, 100)] };
    const paper = [urgent, slow].map(
      (category) => new CategoryDemand({ ...category, windowUs: category.streams[0]!.deadlineUs / 2 }),
    );
    expect(testDemand(paper)).toMatchObject({
      accepted: false,
      critical: { atUs: ms(10), demandUs: ms(14), late: 'urgent' },
    });
    const other = [new CategoryDemand({ ...urgent, windowUs: ms(5) }), paper[1]!];
    expect(testDemand(other)).toMatchObject({ accepted: true, critical: { atUs: ms(15), demandUs: ms(14) } });
    expect(chooseWindows([urgent, slow])).toMatchObject({ verdict: { accepted: true }, windowsUs: [ms(5), ms(50)] });
  });

  test('an empty window makes no job', () => {
    const arrivals: Arrival[] = [5, 65].map((at) => ({ atUs: ms(at), category: 'c', camera: 0 }));
    const realTime = [{ name: 'c', wcet: table([1, 3]), windowUs: ms(20), offsetUs: 0, relativeDeadlineUs: ms(20) }];
    const config = { realTime, bestEffort: [], bestEffortUs: 0, earlyRelease: false };
    const runs = [...simulate({ config, arrivals })].map(({ job, startUs, endUs }) =>
      [job.releaseUs, startUs, endUs, job.deadlineUs].map((us) => us / 1000),
    );
    expect(runs).toEqual([
      [20, 20, 23, 40],
      [80, 80, 83, 100],
    ]);
  });

  test('a batch above the largest measured is several runs', () => {
    const wcet = table([1, 3], [4, 6]);
    expect([4, 5, 8, 9].map((n) => wcet.at(n) / 1000)).toEqual([6, 9, 12, 15]);
    const demand = new CategoryDemand({ name: 'c', wcet, streams: [stream(9, 100, 100)], windowUs: ms(50) });
    expect(demand.longestJobUs).toBe(ms(15));
  });

  test('jitter', () => {
    const most = (jitter: number): number => mostArrivals([stream(1, 33, 100, jitter)], ms(30));
    expect([0, 3, 4, 36, 37].map(most)).toEqual([1, 1, 2, 2, 3]);
  });

  test('a deadline shorter than the WCET fits no window', () => {
    const hopeless = { name: 'c', wcet: table([1, 5]), streams: [stream(1, 1000, 4)] };
    const { verdict } = chooseWindows([hopeless]);
    expect(verdict.accepted).toBe(false);
    expect(verdict.critical!.demandUs).toBe(ms(5));
    expect(verdict.critical!.atUs).toBeLessThan(ms(4));
  });
});
