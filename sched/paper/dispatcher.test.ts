import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { runs } from '../../test/support/runs.js';
import { camerasOf, categories, dispatchCategories, fallOfFrames } from '../../test/support/sets.js';
import type { Arrival } from '../arrivals.js';
import { arrivalsOf, seededRandom } from '../arrivals.js';
import type { DispatchCategory, DispatchConfig } from './config.js';
import { Dispatcher } from './dispatcher.js';
import { testImitator } from './imitator.js';
import type { Job } from './ready.js';
import { ReplayReady, byEdf } from './ready.js';
import type { SimulatedRun } from './simulate.js';
import { simulate } from './simulate.js';
import { WcetTable } from '../wcet.js';
import { chooseWindows } from './windows.js';

const HORIZON_US = 1_000_000;
const config = (realTime: DispatchCategory[], more: Partial<DispatchConfig> = {}): DispatchConfig => ({
  realTime,
  bestEffort: [],
  bestEffortUs: 0,
  earlyRelease: false,
  ...more,
});
const single = (
  name: string,
  wcetUs: number,
  windowUs: number,
  relativeDeadlineUs: number,
  offsetUs = 0,
): DispatchCategory => ({
  name,
  wcet: new WcetTable([{ batch: 1, wcetUs }]),
  windowUs,
  offsetUs,
  relativeDeadlineUs,
});

describe('the DisBatcher', () => {
  const table = new WcetTable([
    { batch: 1, wcetUs: 3000 },
    { batch: 4, wcetUs: 6000 },
  ]);
  const a: DispatchCategory = { name: 'a', wcet: table, windowUs: 10_000, offsetUs: 0, relativeDeadlineUs: 10_000 };

  test('makes one job of a window’s frames, at its end; an instant on the border belongs to the next window', () => {
    const dispatcher = new Dispatcher<string>(config([a]));
    expect(dispatcher.arrive('a', 'x', 0)).toBe(true);
    dispatcher.arrive('a', 'y', 9_999);
    expect(dispatcher.next(9_999)).toEqual({ waitUntilUs: 10_000 });
    dispatcher.arrive('a', 'z', 10_000);
    expect(dispatcher.next(10_000)).toMatchObject({
      run: { category: 'a', kind: 'window', frames: ['x', 'y'], releaseUs: 10_000, deadlineUs: 20_000, wcetUs: 6000 },
    });
    expect(dispatcher.next(12_000)).toEqual({ waitUntilUs: Infinity });
    dispatcher.finish(15_000);
    expect(dispatcher.next(15_000)).toEqual({ waitUntilUs: 20_000 });
    expect(dispatcher.next(20_000)).toMatchObject({ run: { frames: ['z'], releaseUs: 20_000 } });
  });

  test('makes no job of an empty window', () => {
    const dispatcher = new Dispatcher<string>(config([a]));
    expect(dispatcher.next(50_000)).toEqual({ waitUntilUs: Infinity });
    dispatcher.arrive('a', 'x', 71_000);
    expect(dispatcher.next(71_000)).toEqual({ waitUntilUs: 80_000 });
  });

  test('refuses frames of a category that it was not given', () => {
    expect(new Dispatcher<string>(config([a])).arrive('b', 'x', 0)).toBe(false);
  });

  test('runs frames early only when they end before any window can close', () => {
    const b: DispatchCategory = { ...a, name: 'b', windowUs: 7_000 };
    const dispatcher = new Dispatcher<string>(config([a, b], { earlyRelease: true }));
    dispatcher.arrive('a', 'x', 1_000);
    dispatcher.arrive('a', 'y', 1_000);
    // 6 ms for both would reach b's window end at 7 ms exactly: allowed. At 1.001 ms only one would end in time.
    expect(dispatcher.next(1_001)).toMatchObject({ run: { kind: 'early', frames: ['x'], wcetUs: 3000 } });
    dispatcher.finish(4_001);
    expect(dispatcher.next(4_001)).toEqual({ waitUntilUs: 10_000 });
    expect(dispatcher.next(10_000)).toMatchObject({ run: { kind: 'window', frames: ['y'] } });
  });

  test('runs best effort in turns, only when no real-time job is ready, within the allowance or the gap', () => {
    const dispatcher = new Dispatcher<string>(
      config([a], {
        bestEffort: [
          { name: 'p', wcet: table },
          { name: 'q', wcet: table },
        ],
        bestEffortUs: 3000,
      }),
    );
    for (const frame of ['1', '2', '3', '4', '5']) dispatcher.arrive('p', frame, 0);
    dispatcher.arrive('q', '6', 0);
    dispatcher.arrive('a', 'x', 1);
    expect(dispatcher.next(1)).toMatchObject({ run: { category: 'p', frames: ['1', '2', '3', '4'] } }); // ends at 6001 < 10000
    dispatcher.finish(6_001);
    expect(dispatcher.next(6_001)).toMatchObject({ run: { category: 'q', frames: ['6'] } });
    dispatcher.finish(9_001);
    expect(dispatcher.next(9_001)).toMatchObject({ run: { category: 'p', frames: ['5'], deadlineUs: Infinity } }); // blocks, as admitted
    dispatcher.finish(12_001);
    expect(dispatcher.next(12_001)).toMatchObject({ run: { category: 'a' } });
  });
});

describe('reconfiguration', () => {
  const table = new WcetTable([{ batch: 4, wcetUs: 2000 }]);
  const category = (windowUs: number): DispatchCategory => ({
    name: 'a',
    wcet: table,
    windowUs,
    offsetUs: 0,
    relativeDeadlineUs: 40_000 - windowUs,
  });

  test('waits while a job runs or a window is older than its new length', () => {
    const dispatcher = new Dispatcher<string>(config([category(20_000)]));
    dispatcher.arrive('a', 'x', 1_000);
    expect(dispatcher.reconfigure(config([category(10_000)]), 15_000)).toBeUndefined();
    expect(dispatcher.next(20_000)).toMatchObject({ run: { frames: ['x'] } });
    expect(dispatcher.reconfigure(config([category(10_000)]), 21_000)).toBeUndefined();
    dispatcher.finish(22_000);
    expect(dispatcher.reconfigure(config([category(10_000)]), 22_000)).toEqual([]);
    dispatcher.arrive('a', 'y', 23_000);
    expect(dispatcher.next(23_000)).toEqual({ waitUntilUs: 32_000 });
  });

  test('closes a re-cut window at once, with the deadline its frames were promised', () => {
    const dispatcher = new Dispatcher<string>(config([category(20_000)]));
    dispatcher.arrive('a', 'x', 21_000);
    expect(dispatcher.reconfigure(config([category(10_000)]), 25_000)).toEqual([]);
    expect(dispatcher.next(25_000)).toMatchObject({ run: { frames: ['x'], releaseUs: 25_000, deadlineUs: 60_000 } });
  });

  test('hands back the frames of a category that is gone and keeps the others', () => {
    const dispatcher = new Dispatcher<string>(config([category(20_000), { ...category(20_000), name: 'b' }]));
    dispatcher.arrive('a', 'x', 1_000);
    dispatcher.arrive('b', 'y', 1_000);
    expect(dispatcher.reconfigure(config([category(20_000)]), 2_000)).toEqual(['y']);
    expect(dispatcher.next(20_000)).toMatchObject({ run: { frames: ['x'], releaseUs: 20_000 } });
  });

  test('breaks no promise: windows of one admitted set are changed to those of another under way', () => {
    fc.assert(
      fc.property(categories, fallOfFrames, fc.integer({ min: 100_000, max: 600_000 }), (list, fall, changeUs) => {
        const choice = chooseWindows(list);
        // Other windows that are accepted too, searched for among smaller and larger ones.
        const other = chooseWindows(
          list.map((c, i) => ({
            ...c,
            promisedWindowUs: Math.max(1, Math.floor(choice.windowsUs[i]! * (fall.seed % 2 ? 0.8 : 1.2))),
          })),
        );
        fc.pre(choice.verdict.accepted && other.verdict.accepted);
        const random = seededRandom(fall.seed);
        const cameras = camerasOf(list, fall.phases === 'random' ? random : () => 0);
        const deadlines = new Map(
          list.map(({ name, streams }) => [name, Math.min(...streams.map((s) => s.deadlineUs))]),
        );
        const dispatcher = new Dispatcher<Arrival>(config(dispatchCategories(list, choice.demands)));
        const next = config(dispatchCategories(list, other.demands));
        const source = [...arrivalsOf(cameras, HORIZON_US, random)];
        let changed = false;
        let nowUs = 0;
        for (let i = 0; ;) {
          if (!changed && nowUs >= changeUs) changed = dispatcher.reconfigure(next, nowUs) !== undefined;
          const decision = dispatcher.next(nowUs);
          if ('run' in decision) {
            nowUs += decision.run.wcetUs;
            for (; i < source.length && source[i]!.atUs < nowUs; i++)
              dispatcher.arrive(source[i]!.category, source[i]!, source[i]!.atUs);
            dispatcher.finish(nowUs);
            for (const frame of decision.run.frames)
              expect(nowUs - frame.atUs).toBeLessThanOrEqual(deadlines.get(frame.category)!);
            continue;
          }
          nowUs = Math.min(decision.waitUntilUs, source[i]?.atUs ?? Infinity);
          if (nowUs === Infinity) break;
          if (source[i]?.atUs === nowUs) {
            dispatcher.arrive(source[i]!.category, source[i]!, nowUs);
            i++;
          }
        }
      }),
      { numRuns: runs(500), maxSkipsPerRun: 100 },
    );
  });
});

describe('the worker', () => {
  test('keeps EDF’s order and never runs two jobs at once, for any set, admitted or not', () => {
    fc.assert(
      fc.property(categories, fallOfFrames, fc.boolean(), (list, fall, earlyRelease) => {
        const random = seededRandom(fall.seed);
        const choice = chooseWindows(list);
        const realTime = dispatchCategories(list, choice.demands, (i) => Math.floor(random() * choice.windowsUs[i]!));
        const runs = [
          ...simulate({
            config: config(realTime, { earlyRelease }),
            arrivals: arrivalsOf(camerasOf(list, random), 300_000, random),
            executeUs: (job) => Math.max(1, Math.floor(job.wcetUs * (0.2 + random()))),
          }),
        ];
        for (let i = 1; i < runs.length; i++) expect(runs[i]!.startUs).toBeGreaterThanOrEqual(runs[i - 1]!.endUs);
        const windows = runs.filter(({ job }) => job.kind === 'window');
        windows.forEach((run, i) => {
          // Whatever starts later was either not released yet or comes later in EDF's order.
          for (const later of windows.slice(i + 1))
            if (later.job.releaseUs <= run.startUs) expect(byEdf(run.job, later.job)).toBeLessThanOrEqual(0);
        });
      }),
      { numRuns: runs(300) },
    );
  });
});

describe('the imitator and its replay', () => {
  /** (release, WCET, deadline) = (0, 3, 20), (0.5, 10, 30), (2, 2, 6), one window of each category. */
  const realTime = [
    single('first', 3000, 1_000_000, 20_000, -1_000_000),
    single('second', 10_000, 1_000_000, 29_500, -999_500),
    single('third', 2000, 1_000_000, 4_000, -998_000),
  ];
  const arrivals: Arrival[] = [
    { atUs: -10, category: 'first', camera: 0 },
    { atUs: -10, category: 'second', camera: 1 },
    { atUs: -10, category: 'third', camera: 2 },
  ];
  const late = (runs: SimulatedRun[]): string[] =>
    runs.filter(({ job, endUs }) => endUs > job.deadlineUs).map(({ job }) => job.category);
  const firstEndsEarly = (job: Job<Arrival>): number => (job.category === 'first' ? 1000 : job.wcetUs);

  test('the counterexample: all meet at WCET, a shorter first run makes plain EDF late, replay stays in time', () => {
    const verdict = testImitator(realTime, arrivals);
    expect(verdict).toMatchObject({ accepted: true });
    expect(late([...simulate({ config: config(realTime), arrivals })])).toEqual([]);
    const edf = [...simulate({ config: config(realTime), arrivals, executeUs: firstEndsEarly })];
    expect(late(edf)).toEqual(['third']);
    expect(edf.at(-1)!.endUs).toBe(13_000);
    const replay = [
      ...simulate({
        config: config(realTime),
        arrivals,
        executeUs: firstEndsEarly,
        ready: new ReplayReady(verdict.plan),
      }),
    ];
    expect(late(replay)).toEqual([]);
    expect(replay.map(({ job }) => job.category)).toEqual(['first', 'third', 'second']);
  });

  test('what it accepts misses nothing under the assumed phases when replayed, whenever runs end, gaps used or not', () => {
    fc.assert(
      fc.property(categories, fc.integer({ min: 0, max: 2 ** 31 }), fc.boolean(), (list, seed, gaps) => {
        const random = seededRandom(seed);
        const choice = chooseWindows(list);
        const dispatch = dispatchCategories(list, choice.demands);
        const frames = [...arrivalsOf(camerasOf(list, random), HORIZON_US)];
        const verdict = testImitator(dispatch, frames);
        fc.pre(verdict.accepted);
        const background = gaps ? [{ name: 'idle', wcet: new WcetTable([{ batch: 1, wcetUs: 1500 }]) }] : [];
        const withBackground = gaps
          ? [
              ...frames,
              ...Array.from({ length: 300 }, (_, i) => ({ atUs: i * 3000, category: 'idle', camera: -1 })),
            ].sort((a, b) => a.atUs - b.atUs)
          : frames;
        const runs = [
          ...simulate({
            config: config(dispatch, { earlyRelease: gaps, bestEffort: background, bestEffortUs: 1500 }),
            arrivals: withBackground,
            executeUs: (job) => Math.max(1, Math.floor(job.wcetUs * random())),
            ready: new ReplayReady(verdict.plan),
          }),
        ];
        expect(late(runs)).toEqual([]);
        expect(runs.reduce((sum, { job }) => sum + job.frames.length, 0)).toBe(withBackground.length);
      }),
      { numRuns: runs(1500), maxSkipsPerRun: 100 },
    );
  });

  test('names the first job that would be late', () => {
    const tight = [single('slow', 8000, 10_000, 10_000), single('urgent', 2000, 10_000, 3_000)];
    expect(
      testImitator(tight, [
        { atUs: 1, category: 'slow', camera: 0 },
        { atUs: 1, category: 'urgent', camera: 0 },
      ]),
    ).toMatchObject({ accepted: true });
    const both = [single('slow', 8000, 10_000, 10_000), single('urgent', 2000, 10_500, 3_000)];
    expect(
      testImitator(both, [
        { atUs: 1, category: 'slow', camera: 0 },
        { atUs: 1, category: 'urgent', camera: 0 },
      ]),
    ).toMatchObject({
      accepted: false,
      late: { category: 'urgent', atUs: 13_500, lateByUs: 6_500 },
    });
  });
});
