import { describe, expect, test } from '@jest/globals';
import type { Outcome, Strained } from '../test/support/overruns.js';
import { runStrained, strainedSet } from '../test/support/overruns.js';
import type { Arrival } from './arrivals.js';
import { DueCurve } from './curve.js';
import { chooseRounds } from './rounds.js';
import { simulate } from './simulate.js';
import { WcetTable } from './wcet.js';

/** Random admitted sets with overruns of up to 3x for up to 2 s, each run with and without adaptation. */
const SETS = 150;
const cases: { set: Strained; without: Outcome; adapted: Outcome }[] = Array.from({ length: SETS }, (_, i) => {
  const set = strainedSet(i + 1);
  return { set, without: runStrained(set, false), adapted: runStrained(set, true) };
});

describe('an admitted set whose runs take longer than measured for a while', () => {
  test('misses at most half as often with adaptation as without it (geometric mean)', () => {
    const strained = cases.filter(({ without, adapted }) => without.misses + adapted.misses > 0);
    expect(strained.length).toBeGreaterThan(SETS / 4);
    const logs = strained.map(({ without, adapted }) => Math.log((adapted.misses + 1) / (without.misses + 1)));
    expect(Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length)).toBeLessThanOrEqual(0.5);
  });

  test('computes no tenant’s frames at a smaller shape than it allows', () => {
    const degraded = cases.flatMap(({ set, adapted }) =>
      [...adapted.degraded].map(([camera, rung]) => ({ rung, deepest: set.tenantOf[camera]!.deepest })),
    );
    expect(degraded.length).toBeGreaterThan(0);
    for (const { rung, deepest } of degraded) expect(rung).toBeLessThanOrEqual(deepest);
  });

  test('is back at the full shape, paid off, after the excess', () => {
    for (const { adapted } of cases) {
      const last = new Map(adapted.runs.map((run) => [run.run.category, run]));
      for (const { rung, penaltyUs } of last.values()) expect({ rung, penaltyUs }).toEqual({ rung: 0, penaltyUs: 0 });
    }
  });

  test('answers or gives up every frame', () => {
    for (const { without, adapted } of cases) {
      const answered = (outcome: Outcome): number => outcome.runs.reduce((sum, { run }) => sum + run.frames.length, 0);
      expect(answered(without)).toBe(without.frames);
      expect(answered(adapted) + adapted.dropped).toBe(adapted.frames);
    }
  });

  // docs/theory.md, Theorem 4: the excess since the device was idle last bounds the lateness of whoever is not given up.
  test('is late by no more than the excess that happened since the device was last idle', () => {
    let late = 0;
    for (const { set, without } of cases) {
      let [excessUs, lastEndUs] = [0, 0];
      for (const { run, startUs, endUs } of without.runs) {
        if (startUs > lastEndUs) excessUs = 0;
        excessUs += Math.max(0, endUs - startUs - run.wcetUs);
        lastEndUs = endUs;
        for (const { camera, atUs } of run.frames) {
          const overdueUs = endUs - atUs - set.tenantOf[camera]!.streams.deadlineUs;
          if (overdueUs <= 0) continue;
          late++;
          expect(overdueUs).toBeLessThanOrEqual(excessUs);
        }
      }
    }
    expect(late).toBeGreaterThan(1000);
  });
});

describe('one long overrun', () => {
  test('starves nobody: an estimate that only runs can correct keeps no run from happening', () => {
    const tables = [
      {
        name: 'a',
        wcet: new WcetTable([
          { batch: 1, wcetUs: 14_000 },
          { batch: 2, wcetUs: 15_000 },
        ]),
      },
      { name: 'b', wcet: new WcetTable([{ batch: 1, wcetUs: 4000 }]) },
    ];
    const streams = [
      { count: 2, periodUs: 100_000, jitterUs: 0, deadlineUs: 60_000 },
      { count: 1, periodUs: 33_333, jitterUs: 0, deadlineUs: 50_000 },
    ];
    const choice = chooseRounds(tables.map((each, i) => ({ ...each, curve: new DueCurve([streams[i]!]) })));
    if ('misfit' in choice) throw new Error('it must be admitted');
    const arrivals: Arrival[] = [];
    for (let atUs = 0; atUs < 20e6; atUs += 100_000)
      for (const phaseUs of [3000, 51_000]) arrivals.push({ atUs: atUs + phaseUs, category: 'a', camera: 0 });
    for (let atUs = 1000; atUs < 20e6; atUs += 33_333) arrivals.push({ atUs, category: 'b', camera: 1 });
    arrivals.sort((x, y) => x.atUs - y.atUs);
    let hit = false;
    const given: Arrival[] = [];
    for (const _ of simulate({
      config: {
        adaptation: true,
        categories: tables.map(({ name, wcet }, i) => ({
          name,
          ladder: [wcet],
          visit: choice.visits[i]!,
          promised: new Map([[name, streams[i]!]]),
        })),
      },
      arrivals,
      offerOf: ({ category, camera, atUs }) => ({
        tenant: category,
        promised: true,
        deepest: 0,
        late: 'drop',
        dueUs: atUs + streams[camera]!.deadlineUs,
      }),
      gaveUp: (frames) => given.push(...frames.map(({ frame }) => frame)),
      executeUs: ({ category, wcetUs }, startUs) => {
        if (hit || startUs < 1e6 || category !== 'a') return 0.8 * wcetUs;
        hit = true;
        return 280_000;
      },
    }));
    expect(given.length).toBeGreaterThan(0);
    expect(Math.max(...given.map(({ atUs }) => atUs))).toBeLessThan(2e6);
  });
});
