import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Adaptation } from './adaptation.js';

const ladder = new Map([['a', 2]]);
const run = (actualUs: number, wcetUs = 10_000, budgetUs = 10_000): Parameters<Adaptation['ended']>[1] => ({
  actualUs,
  wcetUs,
  budgetUs,
});

describe('the Adaptation Module', () => {
  test('an overrun leaves its excess as penalty and asks for the next smaller shape; what smaller runs save pays it off', () => {
    const adaptation = new Adaptation(ladder);
    adaptation.ended('a', run(16_000));
    expect(adaptation.penaltyUs('a')).toBe(6000);
    expect(adaptation.strain('a').rung).toBe(1);
    adaptation.ended('a', run(5000, 6000));
    expect(adaptation.penaltyUs('a')).toBe(1000);
    adaptation.ended('a', run(5000, 6000));
    expect(adaptation.penaltyUs('a')).toBe(0);
  });

  test('full shape comes back one rung at a time, only when paid off and after calm runs', () => {
    const adaptation = new Adaptation(ladder);
    adaptation.ended('a', run(16_000));
    adaptation.ended('a', run(13_000, 6000));
    expect(adaptation.strain('a').rung).toBe(2);
    const rungs = Array.from({ length: 12 }, () => {
      adaptation.ended('a', run(4000, 5000));
      return adaptation.strain('a').rung;
    });
    expect(rungs).toEqual([2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
  });

  test('it does not flap: one overrun that idle time absorbs changes nothing, two in a row do', () => {
    const adaptation = new Adaptation(ladder);
    for (let i = 0; i < 10; i++) {
      adaptation.ended('a', run(9000));
      adaptation.ended('a', run(10_500, 10_000, 20_000));
      expect(adaptation.strain('a').rung).toBe(0);
    }
    adaptation.ended('a', run(10_500, 10_000, 20_000));
    expect(adaptation.strain('a').rung).toBe(1);
  });

  test('an idle device has absorbed every delay', () => {
    const adaptation = new Adaptation(ladder);
    adaptation.ended('a', run(16_000));
    adaptation.recovered();
    expect(adaptation.penaltyUs('a')).toBe(0);
  });

  test('pace follows what runs take; categories do not share their state; a new schedule keeps it', () => {
    const before = new Adaptation(ladder);
    for (let i = 0; i < 40; i++) before.ended('a', run(20_000));
    expect(before.strain('a').pace).toBeCloseTo(2, 3);
    expect(before.strain('b')).toMatchObject({ rung: 0, pace: 1 });
    const after = new Adaptation(new Map([['a', 2]]), before);
    expect(after.strain('a').pace).toBeCloseTo(2, 3);
    const gone = new Adaptation(new Map([['b', 1]]), before);
    expect(gone.penaltyUs('a')).toBe(0);
    // A shorter ladder ends where it ends.
    expect(new Adaptation(new Map([['a', 1]]), before).strain('a').rung).toBe(1);
  });

  test('whatever happened, the full shape is back after enough calm runs, and penalties are never negative', () => {
    const runs = fc.array(
      fc.record({
        actualUs: fc.integer({ min: 1, max: 60_000 }),
        wcetUs: fc.integer({ min: 1000, max: 20_000 }),
        budgetUs: fc.integer({ min: 1000, max: 20_000 }),
      }),
      { maxLength: 50 },
    );
    fc.assert(
      fc.property(runs, fc.integer({ min: 0, max: 4 }), (past, deepest) => {
        const adaptation = new Adaptation(new Map([['a', deepest]]));
        for (const each of past) {
          adaptation.ended('a', each);
          expect(adaptation.penaltyUs('a')).toBeGreaterThanOrEqual(0);
          expect(adaptation.strain('a').rung).toBeLessThanOrEqual(deepest);
        }
        const excessUs = adaptation.penaltyUs('a');
        for (let i = 0; i < Math.ceil(excessUs / 5000) + 4 * deepest; i++) adaptation.ended('a', run(5000));
        expect(adaptation.strain('a').rung).toBe(0);
        expect(adaptation.penaltyUs('a')).toBe(0);
      }),
    );
  });
});
