import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { among, runs } from '../test/support/runs.js';
import type { AdmittedSet, Fall } from '../test/support/rounds.js';
import { admittedSet, durations, falls, framesOf, KINDS, offerOf, workload } from '../test/support/rounds.js';
import type { Arrival } from './arrivals.js';
import { seededRandom } from './arrivals.js';
import type { BatcherConfig } from './queue.js';
import { Batcher } from './batcher.js';
import { DueCurve } from './curve.js';
import type { FrameOffer } from './frame.js';
import { chooseRounds } from './rounds.js';
import { simulate } from './simulate.js';
import { WcetTable } from './wcet.js';

const sets = KINDS.flatMap((kind) =>
  [1, 2, 4, 8].map((k) => admittedSet(workload(kind, k, 1), k % 4 === 0 ? 'least' : 'grown')),
);
const UNTIL_US = 2_000_000;

interface Judgement {
  promised: number;
  late: number;
  spareInTime: number;
}

/** Runs a set in virtual time and counts promised frames that are late or unanswered. */
function judge(
  { config, cameras }: AdmittedSet,
  fall: Fall,
  { inflated = 1, flood = true, eager = true, adaptation = false } = {},
): Judgement {
  const seen: Judgement = { promised: 0, late: 0, spareInTime: 0 };
  const frames = framesOf(cameras, fall, UNTIL_US, (camera) => flood || cameras[camera]!.promised);
  const count = ({ camera, atUs }: Arrival, endUs: number): void => {
    const { promised, deadlineUs } = cameras[camera]!;
    const inTime = endUs <= atUs + deadlineUs;
    if (promised) seen.promised++;
    if (promised && !inTime) seen.late++;
    if (!promised && inTime) seen.spareInTime++;
  };
  for (const { run, endUs } of simulate({
    config: { ...config, eager, adaptation },
    arrivals: frames,
    offerOf: offerOf(cameras),
    executeUs: durations(fall, inflated),
    gaveUp: (given) => given.forEach(({ frame }) => count(frame, Infinity)),
  }))
    for (const frame of run.frames) count(frame, endUs);
  return seen;
}

const modes = fc.record({ flood: fc.boolean(), eager: fc.boolean(), adaptation: fc.boolean() });

describe('a set that was admitted', () => {
  test('has no promised frame late, whatever phases, jitter and early ends, alone and beside a flood (Theorems 1 and 3)', () => {
    let promised = 0;
    let spare = 0;
    fc.assert(
      fc.property(fc.nat(sets.length - 1), falls, modes, (set, fall, mode) => {
        const seen = judge(sets[set]!, fall, mode);
        promised += seen.promised;
        spare += seen.spareInTime;
        expect(seen.late).toBe(0);
      }),
      { numRuns: runs(300) },
    );
    expect(promised).toBeGreaterThan(20_000);
    expect(spare).toBeGreaterThan(1000);
  });

  test('would have late ones if runs took 3 % longer than was promised by', () => {
    const fall: Fall = { phases: 'together', jitter: 'first', runs: 'wcet', seed: 1 };
    const late = sets.map((set) => judge(set, fall, { inflated: 1.03 }).late);
    expect(late.filter((each) => each > 0).length).toBeGreaterThan(2);
  });

  test('has none late when every stream begins just after a visit of its category has begun', () => {
    for (const set of sets) {
      const starts: { category: string; atUs: number }[] = [];
      const fall: Fall = { phases: 'random', jitter: 'first', runs: 'wcet', seed: 5 };
      const cameras = set.cameras.filter(({ promised }) => promised);
      const only = { ...set, cameras };
      const config = {
        ...set.config,
        categories: set.config.categories.map((category, c) => ({
          ...category,
          promised: new Map(
            cameras.flatMap((camera, i) => (camera.category === c ? [[`t${i}`, camera] as const] : [])),
          ),
        })),
      };
      for (const { run, startUs } of simulate({
        config,
        arrivals: framesOf(cameras, fall, 500_000),
        offerOf: offerOf(cameras),
      }))
        starts.push({ category: run.category, atUs: startUs });
      for (const pick of [3, 11, 19]) {
        const afterUs = cameras.map(
          ({ category }) => starts.filter((each) => each.category === `c${category}`)[pick]?.atUs ?? 0,
        );
        const arrivals = cameras.flatMap(({ periodUs, category }, i) =>
          Array.from({ length: Math.floor(UNTIL_US / periodUs) }, (_, k) => ({
            atUs: afterUs[i]! + 1 + k * periodUs,
            category: `c${category}`,
            camera: i,
          })),
        );
        arrivals.sort((a, b) => a.atUs - b.atUs);
        for (const { run, endUs } of simulate({ config, arrivals, offerOf: offerOf(only.cameras) }))
          for (const { camera, atUs } of run.frames)
            expect(endUs).toBeLessThanOrEqual(atUs + cameras[camera]!.deadlineUs);
      }
    }
  });
});

describe('taking over another table (Theorem 5)', () => {
  /** Of the same cameras several subsets, each admitted by itself, under the same names. */
  const pools = KINDS.flatMap((kind) =>
    [1, 2, 4, 8].map((k) => {
      const load = workload(kind, k, 2, undefined, 80);
      const random = seededRandom(k);
      const subsets = Array.from({ length: 4 }, (_, n) => {
        const order = load.cameras.map((__, i) => i).filter(() => random() < 0.7);
        const set = admittedSet(
          { ...load, cameras: order.map((i) => load.cameras[i]!) },
          n % 2 === 0 ? 'least' : 'grown',
        );
        const promised = new Set(order.filter((__, j) => set.cameras[j]!.promised));
        const config: BatcherConfig = {
          categories: set.config.categories.map((category, c) => ({
            ...category,
            promised: new Map(
              [...promised].filter((i) => load.cameras[i]!.category === c).map((i) => [`t${i}`, load.cameras[i]!]),
            ),
          })),
        };
        return { config, promised };
      });
      return { load, subsets };
    }),
  );

  test('under full load makes no frame late of whoever is promised something before and after', () => {
    let [changes, frames] = [0, 0];
    fc.assert(
      fc.property(
        fc.nat(pools.length - 1),
        fc.shuffledSubarray([0, 1, 2, 3], { minLength: 3 }),
        falls,
        (pool, order, fall) => {
          const { load, subsets: all4 } = pools[pool]!;
          const subsets = order.map((n) => all4[n]!);
          const tookOverUs = [0];
          let pending = 0;
          const nextConfig = (): { config: BatcherConfig; fromUs: number } | undefined => {
            pending++;
            return pending < subsets.length
              ? { config: subsets[pending]!.config, fromUs: tookOverUs.at(-1)! + 300_000 }
              : undefined;
          };
          // Leavers stop sending when the change is asked for, joiners start when it is made: as the agent has it.
          const current = (): number => tookOverUs.length - 1;
          const sends = (camera: number, atUs: number): boolean => {
            const now = subsets[current()]!;
            const asked = pending < subsets.length && atUs >= tookOverUs.at(-1)! + 300_000 ? subsets[pending]! : now;
            return now.promised.has(camera) && asked.promised.has(camera);
          };
          const all = framesOf(load.cameras, fall, 1_500_000);
          for (const { run, endUs } of simulate({
            config: subsets[0]!.config,
            arrivals: (function* () {
              for (const frame of all) if (sends(frame.camera, frame.atUs)) yield frame;
            })(),
            offerOf: ({ camera, atUs }) => ({
              tenant: `t${camera}`,
              promised: true,
              deepest: 0,
              late: 'drop',
              dueUs: atUs + load.cameras[camera]!.deadlineUs,
            }),
            executeUs: durations(fall),
            nextConfig,
            tookOver: (atUs) => tookOverUs.push(atUs),
          }))
            for (const { camera, atUs } of run.frames) {
              frames++;
              expect(endUs).toBeLessThanOrEqual(atUs + load.cameras[camera]!.deadlineUs);
            }
          changes += tookOverUs.length - 1;
        },
      ),
      { numRuns: runs(200) },
    );
    expect(frames).toBeGreaterThan(among(5000));
    expect(changes).toBeGreaterThan(among(60));
  });

  test('waits where one category gives most of its time to another while its frames still wait', () => {
    const x = new WcetTable(Array.from({ length: 16 }, (_, i) => ({ batch: i + 1, wcetUs: 2000 * (i + 1) })));
    const y = new WcetTable([{ batch: 1, wcetUs: 2000 }]);
    const configOf = (
      ...list: { name: string; wcet: WcetTable; count: number; periodUs: number; deadlineUs: number }[]
    ): BatcherConfig => {
      const streams = list.map(({ count, periodUs, deadlineUs }) => ({ count, periodUs, jitterUs: 0, deadlineUs }));
      const choice = chooseRounds(
        list.map(({ name, wcet }, i) => ({ name, wcet, curve: new DueCurve([streams[i]!]) })),
      );
      if ('misfit' in choice) throw new Error('admitted');
      return {
        categories: list.map(({ name, wcet }, i) => ({
          name,
          ladder: [wcet],
          visit: choice.visits[i]!,
          promised: new Map([[name, streams[i]!]]),
        })),
      };
    };
    const xs = (count: number) => ({ name: 'x', wcet: x, count, periodUs: 100_000, deadlineUs: 200_000 });
    const offer = (category: string, atUs: number, deadlineUs: number): FrameOffer => ({
      category,
      tenant: category,
      atUs,
      promised: true,
      deepest: 0,
      late: 'drop',
      dueUs: atUs + deadlineUs,
    });
    const batcher = new Batcher<number>(configOf(xs(16)));
    for (let i = 0; i < 16; i++) batcher.arrive(i, offer('x', 0, 200_000));
    const after = configOf(xs(1), { name: 'y', wcet: y, count: 1, periodUs: 20_000, deadlineUs: 20_000 });
    let nowUs = 0;
    for (; !batcher.reconfigure(after, nowUs);) {
      const { run } = batcher.next(nowUs);
      nowUs += run!.wcetUs;
      batcher.finish(nowUs);
    }
    batcher.arrive(99, offer('y', nowUs, 20_000));
    const dueUs = nowUs + 20_000;
    for (;;) {
      const { run } = batcher.next(nowUs);
      nowUs += run!.wcetUs;
      batcher.finish(nowUs);
      if (run!.category === 'y') break;
    }
    expect(nowUs).toBeLessThanOrEqual(dueUs);
  });
});

describe('spare time', () => {
  const wcet = new WcetTable(Array.from({ length: 8 }, (_, i) => ({ batch: i + 1, wcetUs: 2000 + 1000 * (i + 1) })));
  const streams = { count: 1, periodUs: 33_333, jitterUs: 3333, deadlineUs: 100_000 };
  const choice = chooseRounds([{ name: 'c', wcet, curve: new DueCurve([streams]) }]);
  if ('misfit' in choice) throw new Error('admitted');
  const config: BatcherConfig = {
    categories: [{ name: 'c', ladder: [wcet], visit: choice.visits[0]!, promised: new Map([['kept', streams]]) }],
  };

  /** Frames of several tenants at so many a second, all within 100 ms; answered in time, by tenant. */
  function share(
    rates: Record<string, number>,
    extra: (name: string) => Partial<FrameOffer> = () => ({}),
  ): Record<string, number> {
    const names = Object.keys(rates);
    const arrivals = names.flatMap((_, camera) =>
      Array.from({ length: Math.floor(rates[names[camera]!]! * 10) }, (__, k) => ({
        atUs: Math.floor((k * 1e6) / rates[names[camera]!]!) + camera,
        category: 'c',
        camera,
      })),
    );
    arrivals.sort((a, b) => a.atUs - b.atUs);
    const inTime: Record<string, number> = Object.fromEntries(names.map((name) => [name, 0]));
    for (const { run, endUs } of simulate({
      config,
      arrivals,
      offerOf: ({ camera, atUs }) => ({
        tenant: names[camera]!,
        promised: names[camera] === 'kept',
        deepest: 0,
        late: 'drop',
        dueUs: atUs + 100_000,
        ...extra(names[camera]!),
      }),
    }))
      for (const { camera, atUs } of run.frames) if (endUs <= atUs + 100_000) inTime[names[camera]!]!++;
    return inTime;
  }

  test('answers what comes beyond the promise, and all of it while there is room', () => {
    expect(share({ kept: 45, other: 60 })).toEqual({ kept: 450, other: 600 });
  });

  test('a flood at 20 times its rate costs its sender only', () => {
    const capacity = (8 * 1e6) / wcet.at(8);
    const fair = (capacity - 30) / 2;
    const { kept, modest, flood } = share({ kept: 30, modest: fair * 0.95, flood: 20 * fair });
    expect(kept).toBe(300);
    expect(modest).toBeGreaterThanOrEqual(0.9 * 10 * 0.95 * fair);
    expect(flood).toBeGreaterThan(0);
  });

  test('the streams of one tenant take turns', () => {
    const capacity = (8 * 1e6) / wcet.at(8);
    const { modest, flood } = share({ modest: 0.4 * capacity, flood: 20 * capacity }, (name) => ({
      tenant: 'both',
      stream: name,
    }));
    expect(modest).toBeGreaterThanOrEqual(0.9 * 10 * 0.4 * capacity);
    expect(flood).toBeGreaterThan(0);
  });

  test('frames without a deadline get their share of it', () => {
    const arrivals = Array.from({ length: 4000 }, (_, k) => ({ atUs: k * 1000, category: 'c', camera: k % 2 }));
    const answered = [0, 0];
    for (const { run } of simulate({
      config: { categories: [{ name: 'c', ladder: [wcet], promised: new Map() }] },
      arrivals,
      offerOf: ({ camera, atUs }) => ({
        tenant: `t${camera}`,
        promised: false,
        deepest: 0,
        late: 'drop',
        dueUs: camera === 0 ? Infinity : atUs + 100_000,
      }),
    }))
      for (const { camera } of run.frames) answered[camera]!++;
    expect(answered[0]!).toBeGreaterThan(0.8 * answered[1]!);
    expect(answered[1]!).toBeGreaterThan(0.8 * answered[0]!);
  });

  test('is used at once on an idle device, however many cameras might send', () => {
    const table = (us: number): WcetTable => new WcetTable([1, 2, 4].map((batch) => ({ batch, wcetUs: us })));
    const cameras = [
      { name: 'few', table: table(1500), count: 4, periodUs: 10_000 },
      { name: 'many', table: table(900), count: 50, periodUs: 50_000 },
    ].map((each) => ({ ...each, streams: { ...each, jitterUs: each.periodUs, deadlineUs: 2_000_000 } }));
    const demands = cameras.map((each) => ({ name: each.name, wcet: each.table, curve: new DueCurve([each.streams]) }));
    const rounds = chooseRounds(demands);
    if ('misfit' in rounds) throw new Error('admitted');
    const batcher = new Batcher<number>({
      categories: cameras.map((each, i) => ({
        name: each.name,
        ladder: [each.table],
        visit: rounds.visits[i]!,
        promised: new Map([[each.name, each.streams]]),
      })),
    });
    batcher.arrive(1, {
      category: 'few',
      tenant: 'anybody',
      promised: false,
      atUs: 5,
      dueUs: Infinity,
      deepest: 0,
      late: 'serve',
    });
    expect(batcher.next(5).run?.frames).toEqual([1]);
  });

  test('the newest spare frame of a stream replaces those that wait, where its tenant wants that', () => {
    const batcher = new Batcher<number>(config);
    const offer = {
      category: 'c',
      tenant: 'x',
      promised: false,
      deepest: 0,
      late: 'drop' as const,
      stream: '1',
      replacesOlder: true,
    };
    for (let i = 0; i < 5; i++) batcher.arrive(i, { ...offer, atUs: i, dueUs: 500_000 });
    const { run, givenUp } = batcher.next(10);
    expect(run?.frames).toEqual([4]);
    expect(givenUp).toEqual([0, 1, 2, 3].map((frame) => ({ frame, why: 'replaced' })));
  });

  test('is bounded for each tenant, and a frame that cannot be in time is given up at once', () => {
    const batcher = new Batcher<number>({ categories: [{ name: 'c', ladder: [wcet], promised: new Map() }] });
    const offer = { category: 'c', tenant: 'x', atUs: 0, promised: false, deepest: 0, late: 'drop' as const };
    for (let i = 0; i < 100; i++) batcher.arrive(i, { ...offer, dueUs: 1000 });
    const { run, givenUp } = batcher.next(0);
    expect(run).toBeUndefined();
    expect(givenUp.filter(({ why }) => why === 'full')).toHaveLength(36);
    expect(givenUp.filter(({ why }) => why === 'late')).toHaveLength(64);
    batcher.arrive(200, { ...offer, category: 'gone', dueUs: 1e6 });
    expect(batcher.next(1).givenUp).toEqual([{ frame: 200, why: 'withdrawn' }]);
  });

  test('a camera that is a little fast loses nothing on a device that has room', () => {
    const fast = share({ kept: 30.6 });
    expect(fast['kept']).toBe(306);
  });
});
