import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { among, runs } from '../test/support/runs.js';
import { admitted, KINDS, workload } from '../test/support/rounds.js';
import { categories, wcetTable } from '../test/support/sets.js';
import type { Streams } from './category.js';
import { DueCurve } from './curve.js';
import { mergeStreams, mostArrivals } from './paper/arrivals-bound.js';
import { CategoryDemand, testDemand } from './paper/demand.js';
import type { Demand } from './rounds.js';
import { chooseRounds, grown, leastQuota, solve, suffices } from './rounds.js';
import { gapsUs, sequenceOf, visitOrder } from './table.js';
import { WcetTable } from './wcet.js';

const ms = 1000;
const affine = (fixedMs: number, perFrameMs: number): WcetTable =>
  new WcetTable(
    Array.from({ length: 16 }, (_, i) => ({ batch: i + 1, wcetUs: ms * (fixedMs + perFrameMs * (i + 1)) })),
  );
const camera = (periodMs: number, deadlineMs: number, jitterMs = 0): Streams => ({
  count: 1,
  periodUs: ms * periodMs,
  jitterUs: ms * jitterMs,
  deadlineUs: ms * deadlineMs,
});
const demand = (name: string, wcet: WcetTable, ...streams: Streams[]): Demand => ({
  name,
  wcet,
  curve: new DueCurve(streams),
});

describe('the curve of frames that arrive and are due', () => {
  const streams = fc.array(
    fc.record({
      count: fc.integer({ min: 1, max: 4 }),
      periodUs: fc.integer({ min: 5000, max: 400_000 }),
      jitterUs: fc.integer({ min: 0, max: 500_000 }),
      deadlineUs: fc.integer({ min: 5000, max: 1_600_000 }),
    }),
    { minLength: 1, maxLength: 6 },
  );
  const exactly = (all: readonly Streams[], t: number): number =>
    all.reduce(
      (sum, s) =>
        sum + (t < s.deadlineUs ? 0 : s.count * (Math.floor((t - s.deadlineUs + s.jitterUs) / s.periodUs) + 1)),
      0,
    );

  test('bounds F(t) from above at every step, closely, and by its line beyond', () => {
    fc.assert(
      fc.property(streams, fc.integer({ min: 1, max: 20_000_000 }), (all, t) => {
        const curve = new DueCurve(all);
        let bound = 0;
        const { us, frames } = curve.steps;
        us.forEach((stepUs, i) => {
          if (stepUs <= t) bound = frames[i]!;
        });
        if (t <= curve.horizonUs) expect(bound).toBeGreaterThanOrEqual(exactly(all, t));
        if (t <= curve.horizonUs) expect(bound).toBeLessThanOrEqual(exactly(all, Math.ceil(t * 1.03)));
        if (t >= curve.horizonUs) expect(curve.rate * t + curve.burst).toBeGreaterThanOrEqual(exactly(all, t) - 1e-6);
      }),
    );
  });

  test('one more stream costs what it costs alone, and makes the same curve', () => {
    fc.assert(
      fc.property(streams, streams, (before, [more]) => {
        expect(new DueCurve(before).with(more!).steps).toEqual(new DueCurve([...before, more!]).steps);
      }),
    );
  });
});

describe('the table of visits', () => {
  const tables = fc
    .array(
      fc.record({
        power: fc.integer({ min: 0, max: 3 }),
        offset: fc.nat(7),
        costUs: fc.integer({ min: 1, max: 9000 }),
      }),
      {
        minLength: 1,
        maxLength: 6,
      },
    )
    .map((list) =>
      list.map(({ power, offset, costUs }) => ({ stride: 2 ** power, offset: offset % 2 ** power, costUs })),
    );

  test('visits everybody as often as promised, with no gap longer than is said', () => {
    fc.assert(
      fc.property(tables, (turns) => {
        const order = visitOrder(turns);
        const costs = turns.map(({ costUs }) => costUs);
        const gaps = gapsUs(turns, costs);
        const sequence = sequenceOf(turns, costs);
        for (const [c, { stride }] of turns.entries()) {
          expect(order.filter((each) => each === c)).toHaveLength(Math.max(...turns.map((t) => t.stride)) / stride);
          let longest = 0;
          for (const [at, visited] of order.entries())
            if (visited === c) longest = Math.max(longest, costs[c]! + sequence.untilUs((at + 1) % order.length, c));
          expect(longest).toBe(gaps[c]);
        }
      }),
    );
  });
});

describe('quotas', () => {
  test('golden cases, worked by hand in docs/theory.md', () => {
    const alone = solve([demand('a', affine(2, 2), camera(50, 100), camera(50, 100))], [{ stride: 1, offset: 0 }]);
    expect(alone).toEqual({ visits: [{ stride: 1, offset: 0, quota: 1, gapUs: 4 * ms }] });
    const common = solve(
      [demand('urgent', affine(1, 1), camera(20, 20)), demand('slow', affine(10, 2), camera(100, 100))],
      [
        { stride: 1, offset: 0 },
        { stride: 1, offset: 0 },
      ],
    );
    expect(common).toMatchObject({
      visits: [
        { quota: 1, gapUs: 14 * ms },
        { quota: 1, gapUs: 14 * ms },
      ],
    });
    // Refused by windows of Dmin/2: the slow one may have just begun.
    const two = chooseRounds([
      demand('urgent', affine(1, 1), camera(20, 20)),
      demand('slow', affine(10, 2), camera(100, 100)),
    ]);
    expect(two).toMatchObject({ visits: [{ quota: 1 }, { quota: 1 }] });
    const never = chooseRounds([demand('a', affine(5, 1), camera(100, 5))]);
    expect(never).toMatchObject({ misfit: { category: 'a', gapUs: 6 * ms, allowedUs: 0 } });
    // Visits every 26 ms end in time for the first frames; those that come every 25 ms they do not keep up with.
    const crowd = Array.from({ length: 4 }, () => camera(25, 40));
    const many = solve(
      [demand('a', affine(2, 3), ...crowd), demand('b', affine(11, 1), camera(100, 100))],
      [
        { stride: 1, offset: 0 },
        { stride: 1, offset: 0 },
      ],
    );
    if (!('misfit' in many)) throw new Error('no quota serves them');
    expect(many.misfit).toMatchObject({ category: 'a', gapUs: 26 * ms, bottleneck: 'a' });
    expect(many.misfit.allowedUs).toBeGreaterThan(24 * ms);
    expect(many.misfit.allowedUs).toBeLessThan(25 * ms);
  });

  test('the least fixed point finds quotas whenever there are any (Theorem 2)', () => {
    const tiny = fc.array(
      fc.record({
        fixed: fc.integer({ min: 1, max: 4 }),
        perFrame: fc.integer({ min: 1, max: 3 }),
        stride: fc.constantFrom(1, 1, 2),
        cameras: fc.array(
          fc.record({
            period: fc.constantFrom(12, 18, 24, 30, 36),
            deadline: fc.integer({ min: 10, max: 40 }),
            jitter: fc.constantFrom(0, 0, 6),
          }),
          { minLength: 1, maxLength: 2 },
        ),
      }),
      { minLength: 1, maxLength: 3 },
    );
    const seen = { some: 0, none: 0 };
    fc.assert(
      fc.property(tiny, (list) => {
        const demands = list.map(({ fixed, perFrame, cameras }, i) =>
          demand(
            `c${i}`,
            affine(fixed, perFrame),
            ...cameras.map(({ period, deadline, jitter }) => camera(period, deadline, jitter)),
          ),
        );
        const turns = list.map(({ stride }, i) => ({ stride: i === 0 ? 1 : stride, offset: 0 }));
        const choice = solve(demands, turns);
        let any = false;
        const quotas = demands.map(() => 1);
        const search = (c: number): void => {
          if (c === demands.length) any ||= suffices(demands, turns, quotas);
          else for (quotas[c] = 1; quotas[c] <= 6 && !any; quotas[c]++) search(c + 1);
        };
        search(0);
        if ('visits' in choice) {
          if (choice.visits.every(({ quota }) => quota <= 6)) expect(any).toBe(true);
          expect(
            suffices(
              demands,
              turns,
              choice.visits.map(({ quota }) => quota),
            ),
          ).toBe(true);
        } else {
          expect(any).toBe(false);
          // What stands in the way is so: a quota where visits are as near as is said, none where they are as far as they would be.
          const { category, gapUs, allowedUs } = choice.misfit;
          const one = demands.find(({ name }) => name === category)!;
          expect(leastQuota(one, gapUs)).toBeUndefined();
          if (allowedUs > 0) expect(leastQuota(one, allowedUs)).toBeGreaterThan(0);
          expect(allowedUs).toBeLessThan(gapUs);
        }
        seen['visits' in choice ? 'some' : 'none']++;
      }),
      { numRuns: runs(400) },
    );
    expect(Math.min(seen.some, seen.none)).toBeGreaterThan(among(20));
  });

  test('grown quotas are no smaller and still keep every promise', () => {
    for (const kind of KINDS)
      for (const k of [1, 4]) {
        const { demands } = admitted(workload(kind, k, 3));
        const choice = chooseRounds(demands);
        if ('misfit' in choice) throw new Error('admitted');
        const more = grown(demands, choice.visits);
        more.forEach(({ quota, gapUs }, c) => {
          expect(quota).toBeGreaterThanOrEqual(choice.visits[c]!.quota);
          expect(leastQuota(demands[c]!, gapUs, quota)).toBe(quota);
        });
      }
  });

  /** The plain rule that the paper's admission comes down to: W = Dmin/2, every window counted in full. */
  const plainAccepts = (list: readonly { name: string; wcet: WcetTable; streams: readonly Streams[] }[]): boolean => {
    const demands = list.map((category) => {
      const windowUs = Math.max(1, Math.floor(Math.min(...category.streams.map(({ deadlineUs }) => deadlineUs)) / 2));
      return new CategoryDemand({ ...category, windowUs, streams: mergeStreams(category.streams) });
    });
    const longestUs = demands.map((each, i) => list[i]!.wcet.at(mostArrivals(list[i]!.streams, each.windowUs)));
    return demands.every((each, i) => longestUs[i]! <= each.relativeDeadlineUs) && testDemand(demands).accepted;
  };

  test('nothing that W = D/2 accepts is refused, over wide families', () => {
    const wide = fc
      .array(
        fc.record({
          wcet: wcetTable,
          scaleMs: fc.constantFrom(16, 50, 160, 500, 1600),
          cameras: fc.array(
            fc.record({
              share: fc.double({ min: 0.3, max: 1, noNaN: true }),
              period: fc.integer({ min: 10, max: 400 }),
              jitter: fc.constantFrom(0, 2, 5, 20),
            }),
            { minLength: 1, maxLength: 5 },
          ),
        }),
        { minLength: 1, maxLength: 20 },
      )
      .map((list) =>
        list.map(({ wcet, scaleMs, cameras }, i) => ({
          name: `c${i}`,
          wcet,
          streams: cameras.map(({ share, period, jitter }) =>
            camera(period, Math.max(16, Math.round(share * scaleMs)), jitter),
          ),
        })),
      );
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(wide, categories), (all) => {
        // As many of the categories as the plain rule takes.
        for (let count = all.length; count > 0; count--) {
          const list = all.slice(0, count);
          if (!plainAccepts(list)) continue;
          accepted++;
          expect(
            'visits' in chooseRounds(list.map(({ streams, ...rest }) => ({ ...rest, curve: new DueCurve(streams) }))),
          ).toBe(true);
          return;
        }
      }),
      { numRuns: runs(600) },
    );
    expect(accepted).toBeGreaterThan(among(150));
  });
});
