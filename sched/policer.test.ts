import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { runs } from '../test/support/runs.js';
import { arrivalsOf, seededRandom } from './arrivals.js';
import { mostArrivals } from './paper/arrivals-bound.js';
import { Policer } from './policer.js';

const tenant = fc.record({
  count: fc.integer({ min: 1, max: 5 }),
  periodUs: fc.integer({ min: 1000, max: 100_000 }),
  jitterUs: fc.integer({ min: 0, max: 150_000 }),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
});

describe('policing', () => {
  test('never refuses cameras that keep to their period and jitter', () => {
    fc.assert(
      fc.property(tenant, ({ count, periodUs, jitterUs, seed }) => {
        const random = seededRandom(seed);
        const cameras = Array.from({ length: count }, () => ({
          category: 'a',
          periodUs,
          jitterUs,
          phaseUs: Math.floor(random() * periodUs),
        }));
        const policer = new Policer(count, periodUs, jitterUs);
        for (const { atUs } of arrivalsOf(cameras, 50 * periodUs, random))
          expect(policer.offer(atUs)).toEqual({ accepted: true });
      }),
    );
  });

  test('lets through no more than admission counted with, and says when the next one may come', () => {
    fc.assert(
      fc.property(tenant, ({ count, periodUs, jitterUs, seed }) => {
        const random = seededRandom(seed);
        const policer = new Policer(count, periodUs, jitterUs);
        const passed: number[] = [];
        let nowUs = 0;
        for (let i = 0; i < 300; i++) {
          nowUs += Math.floor((random() * periodUs) / count);
          const verdict = policer.offer(nowUs);
          if (verdict.accepted) passed.push(nowUs);
          else {
            expect(verdict.retryAfterUs).toBeGreaterThan(0);
            if (i % 7 === 0) {
              nowUs += verdict.retryAfterUs;
              expect(policer.offer(nowUs).accepted).toBe(true);
              passed.push(nowUs);
            }
          }
        }
        const tooMany = passed.some((fromUs, i) =>
          passed
            .slice(i)
            .some((toUs, n) => n + 1 > mostArrivals([{ count, periodUs, jitterUs, deadlineUs: 1 }], toUs - fromUs + 1)),
        );
        expect(tooMany).toBe(false);
      }),
      { numRuns: runs(50) },
    );
  });

  test('counts as many frames that could come as it names instants for them', () => {
    fc.assert(
      fc.property(tenant, fc.nat(200_000), ({ count, periodUs, jitterUs, seed }, aheadUs) => {
        const random = seededRandom(seed);
        const policer = new Policer(count, periodUs, jitterUs);
        const into = new Float64Array(5000);
        for (let nowUs = 0, i = 0; i < 50; i++) {
          nowUs += Math.floor((random() * periodUs) / count);
          policer.offer(nowUs);
          expect(policer.mostBy(nowUs, nowUs + aheadUs)).toBe(policer.possible(nowUs, nowUs + aheadUs, into));
        }
      }),
    );
  });
});
