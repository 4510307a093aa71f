import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { runs } from '../../test/support/runs.js';
import type { FrameTerms } from '../frame.js';
import type { Job } from './ready.js';
import { FIRM } from '../frame.js';
import type { Rescue } from './rescue.js';
import { rescue } from './rescue.js';
import { WcetTable } from '../wcet.js';

const affine = (fixedUs: number, perFrameUs: number): WcetTable =>
  new WcetTable([1, 2, 4, 8].map((batch) => ({ batch, wcetUs: fixedUs + perFrameUs * batch })));
/** E(n) = 1000 + 2000n, then half and a quarter of it. */
const LADDER = [affine(1000, 2000), affine(500, 1000), affine(250, 500)];
const calm = { rung: 0, pace: 1 };

function jobOf(terms: readonly Partial<FrameTerms>[], deadlineUs: number): Job<number> {
  const budgetUs = LADDER[0]!.at(terms.length);
  return {
    category: 'a',
    kind: 'window',
    frames: terms.map((_, i) => i),
    terms: terms.map((each) => ({ ...FIRM, dueUs: deadlineUs, ...each })),
    rung: 0,
    releaseUs: 0,
    deadlineUs,
    wcetUs: budgetUs,
    budgetUs,
  };
}

describe('a job about to start', () => {
  test('runs as it is while there is time', () => {
    const job = jobOf([{ deepest: 2 }, {}], 5000);
    expect(rescue(job, LADDER, calm, 0)).toEqual({ run: job, dropped: [] });
  });

  test('runs at the wanted shape where all its tenants allow it', () => {
    const { run } = rescue(jobOf([{ deepest: 1 }, { deepest: 2 }], 9000), LADDER, { rung: 1, pace: 1 }, 0);
    expect(run).toMatchObject({ rung: 1, wcetUs: 2500, budgetUs: 5000 });
  });

  test('runs at a smaller shape than wanted where only that is in time', () => {
    expect(rescue(jobOf([{ deepest: 2 }, { deepest: 2 }], 2000), LADDER, calm, 0).run).toMatchObject({ rung: 2 });
    // The pace of late says that even the middle shape would take 4000.
    const slow = { rung: 0, pace: 1.6 };
    expect(rescue(jobOf([{ deepest: 2 }, { deepest: 2 }], 3000), LADDER, slow, 0).run).toMatchObject({ rung: 2 });
  });

  test('is split by what its tenants allow, if that takes no more than was counted for the whole', () => {
    const terms = [{ deepest: 2 }, {}, { deepest: 2 }, { deepest: 2 }];
    const { run, back } = rescue(jobOf(terms, 9000), LADDER, { rung: 1, pace: 1 }, 0);
    expect(run).toMatchObject({ frames: [0, 2, 3], rung: 1, wcetUs: 4500, budgetUs: 6000 });
    expect(back).toMatchObject({ frames: [1], budgetUs: 3000 });
    // Where a run costs much by itself, two runs would take longer than one at the full shape.
    const fixedCosts = [affine(3000, 1000), affine(1500, 500)];
    const pair = rescue(jobOf([{ deepest: 1 }, {}], 9000), fixedCosts, { rung: 1, pace: 1 }, 0);
    expect(pair).toMatchObject({ run: { frames: [0, 1], rung: 0 } });
    expect(pair.back).toBeUndefined();
  });

  test('that is too late saves the frames that can be saved; the others wait or go, as their tenants wish', () => {
    const terms: Partial<FrameTerms>[] = [
      { dueUs: 2000 },
      { dueUs: 6000 },
      { dueUs: 2000, late: 'drop' },
      { dueUs: 6000 },
    ];
    const outcome = rescue(jobOf(terms, 2000), LADDER, calm, 0);
    expect(outcome).toMatchObject({ run: { frames: [1, 3] }, late: { frames: [0] }, dropped: [2] });
    expect(rescue(jobOf([{}, { late: 'drop' }], 1000), LADDER, calm, 0)).toMatchObject({
      late: { frames: [0] },
      dropped: [1],
    });
  });

  test('never loses a frame, never goes deeper than a tenant allows, never plans more than was counted', () => {
    const terms = fc.array(
      fc.record({
        deepest: fc.integer({ min: 0, max: 2 }),
        dueUs: fc.integer({ min: 0, max: 40_000 }),
        late: fc.constantFrom('serve' as const, 'drop' as const),
      }),
      { minLength: 1, maxLength: 12 },
    );
    const strain = fc.record({
      rung: fc.integer({ min: 0, max: 2 }),
      pace: fc.double({ min: 0.5, max: 3, noNaN: true }),
    });
    fc.assert(
      fc.property(terms, strain, fc.integer({ min: 0, max: 30_000 }), (all, strained, deadlineUs) => {
        const job = jobOf(all, deadlineUs);
        const answered: number[] = [];
        let plannedUs = 0;
        let left: Job<number> | undefined = job;
        for (let turns = 0; left !== undefined; turns++) {
          expect(turns).toBeLessThan(all.length + 1);
          const { run, back, late, dropped }: Rescue<number> = rescue(left, LADDER, strained, plannedUs);
          answered.push(...(run?.frames ?? []), ...(late?.frames ?? []), ...dropped);
          for (const frame of run?.frames ?? []) expect(run!.rung).toBeLessThanOrEqual(all[frame]!.deepest);
          for (const frame of dropped) expect(all[frame]!.late).toBe('drop');
          for (const frame of late?.frames ?? []) expect(all[frame]!.late).toBe('serve');
          plannedUs += run?.wcetUs ?? 0;
          left = back;
        }
        expect(answered.sort((a, b) => a - b)).toEqual(job.frames);
        expect(plannedUs).toBeLessThanOrEqual(job.budgetUs);
      }),
      { numRuns: runs(500) },
    );
  });
});
