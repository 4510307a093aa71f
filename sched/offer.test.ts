import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { categories } from '../test/support/sets.js';
import { findOffer } from './offer.js';
import { chooseWindows } from './windows.js';

describe('the offer', () => {
  const asked = { count: 8, periodUs: 33_333, jitterUs: 3_333, deadlineUs: 50_000 };

  test('is the most of each that fits, the others as asked', () => {
    // A made-up device: at most 100 frames a second, and no deadline below 80 ms.
    const byRate = findOffer(asked, ({ count, periodUs }) => (count * 1e6) / periodUs <= 100.4);
    expect(byRate).toEqual({ framesPerSecond: 12.5, streams: 3 });
    expect(findOffer(asked, ({ deadlineUs }) => deadlineUs >= 80_000)).toEqual({ deadlineUs: 80_000 });
    expect(findOffer(asked, () => false)).toEqual({});
  });

  test('holds when it is taken up', () => {
    fc.assert(
      fc.property(categories, (list) => {
        const [{ streams: first, ...category }, ...others] = list as [(typeof list)[0], ...typeof list];
        const wanted = first[0]!;
        const fits = (streams: typeof wanted): boolean =>
          chooseWindows([...others, { ...category, streams: [streams] }]).verdict.accepted;
        fc.pre(!fits(wanted));
        const offer = findOffer(wanted, fits);
        if (offer.streams !== undefined) expect(fits({ ...wanted, count: offer.streams })).toBe(true);
        if (offer.deadlineUs !== undefined) expect(fits({ ...wanted, deadlineUs: offer.deadlineUs })).toBe(true);
      }),
      { numRuns: 50, maxSkipsPerRun: 100 },
    );
  });
});
