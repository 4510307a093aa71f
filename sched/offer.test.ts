import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { runs } from '../test/support/runs.js';
import { categories } from '../test/support/sets.js';
import { DueCurve } from './curve.js';
import { findOffer } from './offer.js';
import { chooseRounds } from './rounds.js';

describe('the offer', () => {
  const tenth = (periodUs: number): number => Math.floor(periodUs / 10);
  const asked = { count: 8, periodUs: 33_333, jitterUs: 3_333, deadlineUs: 50_000 };

  test('is the most of each that fits, the others as asked', () => {
    // A made-up device: at most 100 frames a second, and no deadline below 80 ms.
    const byRate = findOffer(asked, tenth, ({ count, periodUs }) => (count * 1e6) / periodUs <= 100.4);
    expect(byRate).toEqual({ framesPerSecond: 12.5, streams: 3 });
    expect(findOffer(asked, tenth, ({ deadlineUs }) => deadlineUs >= 80_000)).toEqual({ deadlineUs: 80_000 });
    expect(findOffer(asked, tenth, () => false)).toEqual({});
  });

  test('holds when it is taken up', () => {
    fc.assert(
      fc.property(categories, (list) => {
        const [{ streams: first, ...category }, ...others] = list as [(typeof list)[0], ...typeof list];
        const wanted = first[0]!;
        const fits = (streams: typeof wanted): boolean =>
          'visits' in
          chooseRounds(
            [...others, { ...category, streams: [streams] }].map(({ streams: own, ...rest }) => ({
              ...rest,
              curve: new DueCurve(own),
            })),
          );
        fc.pre(!fits(wanted));
        const offer = findOffer(wanted, () => wanted.jitterUs, fits);
        if (offer.streams !== undefined) expect(fits({ ...wanted, count: offer.streams })).toBe(true);
        if (offer.deadlineUs !== undefined) expect(fits({ ...wanted, deadlineUs: offer.deadlineUs })).toBe(true);
      }),
      { numRuns: runs(50), maxSkipsPerRun: 100 },
    );
  });
});
