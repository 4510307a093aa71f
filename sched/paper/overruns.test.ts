import { describe, expect, test } from '@jest/globals';
import type { Outcome, Strained } from '../../test/support/paper-overruns.js';
import { runStrained, strainedSet } from '../../test/support/paper-overruns.js';

/** Random admitted sets with overruns of up to 3x for up to 2 s, each run with and without adaptation. */
const SETS = 150;
const cases: { set: Strained; without: Outcome; adapted: Outcome }[] = Array.from({ length: SETS }, (_, i) => {
  const set = strainedSet(i + 1);
  return { set, without: runStrained(set, false), adapted: runStrained(set, true) };
});

describe('an admitted set whose runs take longer than measured for a while', () => {
  test('misses at most half as often with adaptation as without it (geometric mean)', () => {
    const strained = cases.filter(({ without, adapted }) => without.misses + adapted.misses > 0);
    expect(strained.length).toBeGreaterThan(SETS / 2);
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
      const last = new Map(adapted.runs.map((run) => [run.job.category, run]));
      for (const { rung, penaltyUs } of last.values()) expect({ rung, penaltyUs }).toEqual({ rung: 0, penaltyUs: 0 });
    }
  });

  test('answers or gives up every frame, and only frames of tenants who want no late answer unless it is far too late', () => {
    for (const { without, adapted } of cases) {
      const answered = (outcome: Outcome): number => outcome.runs.reduce((sum, { job }) => sum + job.frames.length, 0);
      expect(answered(without)).toBe(without.frames);
      expect(answered(adapted) + adapted.dropped).toBe(adapted.frames);
    }
  });

  // docs/theory-paper.md, Theorem 6.
  test('is late by no more than the excess that happened since the device was last idle', () => {
    let [late, tight] = [0, 0];
    for (const { without, adapted } of cases)
      for (const { runs } of [without, adapted]) {
        let [excessUs, lastEndUs] = [0, 0];
        for (const { job, startUs, endUs } of runs) {
          // Early, late and best-effort jobs start only while nothing is released.
          if (startUs > lastEndUs || job.kind !== 'window') excessUs = 0;
          excessUs += Math.max(0, endUs - startUs - job.wcetUs);
          lastEndUs = endUs;
          if (job.kind !== 'window' || endUs <= job.deadlineUs) continue;
          late++;
          expect(endUs - job.deadlineUs).toBeLessThanOrEqual(excessUs);
          if (endUs - job.deadlineUs > 0.8 * excessUs) tight++;
        }
      }
    expect(late).toBeGreaterThan(1000);
    expect(tight).toBeGreaterThan(0);
  });
});
