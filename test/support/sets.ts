import fc from 'fast-check';
import type { Category, Streams } from '../../sched/category.js';
import type { Camera } from '../../sched/arrivals.js';
import type { DispatchCategory } from '../../sched/paper/config.js';
import type { CategoryDemand } from '../../sched/paper/demand.js';
import type { WcetPoint } from '../../sched/wcet.js';
import { WcetTable } from '../../sched/wcet.js';

/** Random workloads for the property tests: everything that admission may be asked, good and bad. */

const streams: fc.Arbitrary<Streams> = fc
  .record({
    count: fc.integer({ min: 1, max: 6 }),
    framesPerSecond: fc.constantFrom(1, 5, 7.3, 10, 15, 24, 25, 30, 60),
    deadlineMs: fc.integer({ min: 20, max: 500 }),
    jitterShare: fc.constantFrom(0, 0, 0.1, 0.5, 1, 1.7),
  })
  .map(({ count, framesPerSecond, deadlineMs, jitterShare }) => {
    const periodUs = Math.floor(1_000_000 / framesPerSecond);
    return { count, periodUs, jitterUs: Math.floor(periodUs * jitterShare), deadlineUs: deadlineMs * 1000 };
  });

/** E(n) measured at a few sizes: affine, stepped, superlinear, even falling. */
export const wcetPoints: fc.Arbitrary<WcetPoint[]> = fc
  .record({
    sizes: fc.uniqueArray(fc.integer({ min: 1, max: 32 }), { minLength: 1, maxLength: 6 }),
    fixedUs: fc.integer({ min: 100, max: 8000 }),
    perFrameUs: fc.integer({ min: 50, max: 2000 }),
    noise: fc.array(fc.double({ min: 0.7, max: 1.5, noNaN: true }), { minLength: 6, maxLength: 6 }),
  })
  .map(({ sizes, fixedUs, perFrameUs, noise }) =>
    sizes.map((batch, i) => ({ batch, wcetUs: Math.ceil((fixedUs + perFrameUs * batch) * noise[i % noise.length]!) })),
  );

export const wcetTable: fc.Arbitrary<WcetTable> = wcetPoints.map((points) => new WcetTable(points));

export const categories: fc.Arbitrary<Category[]> = fc
  .array(fc.record({ wcet: wcetTable, streams: fc.array(streams, { minLength: 1, maxLength: 4 }) }), {
    minLength: 1,
    maxLength: 5,
  })
  .map((list) => list.map((category, i) => ({ ...category, name: `c${i}` })));

/** What the dispatcher is programmed with once windows are chosen. */
export function dispatchCategories(
  list: readonly Category[],
  demands: readonly CategoryDemand[],
  offsetUs: (index: number) => number = () => 0,
): DispatchCategory[] {
  return list.map(({ name, wcet }, i) => ({
    name,
    wcet,
    windowUs: demands[i]!.windowUs,
    offsetUs: offsetUs(i),
    relativeDeadlineUs: demands[i]!.relativeDeadlineUs,
  }));
}

/** One camera per stream, with phases drawn by `random` in [0, T). */
export function camerasOf(list: readonly Category[], random: () => number): Camera[] {
  return list.flatMap(({ name, streams: all }) =>
    all.flatMap(({ count, periodUs, jitterUs }) =>
      Array.from({ length: count }, () => ({
        category: name,
        periodUs,
        jitterUs,
        phaseUs: Math.floor(random() * periodUs),
      })),
    ),
  );
}

/** Ways for phases and jitter to fall: independent, all at once, and jitter at its extremes. */
export const fallOfFrames: fc.Arbitrary<{ phases: 'random' | 'together'; jitter: 'random' | 'extreme'; seed: number }> =
  fc.record({
    phases: fc.constantFrom('random', 'together'),
    jitter: fc.constantFrom('random', 'extreme'),
    seed: fc.integer({ min: 0, max: 2 ** 31 }),
  });
