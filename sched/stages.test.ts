import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { runs } from '../test/support/runs.js';
import { seededRandom } from './arrivals.js';
import type { Passing, StageSetup } from './stages.js';
import { decodesInTime, receiveDelayUs, receiveShare } from './stages.js';

const MS = 1000;

const anyStream = fc.record({
  count: fc.integer({ min: 1, max: 4 }),
  periodUs: fc.integer({ min: 20, max: 400 }).map((ms) => ms * MS),
  jitterPart: fc.constantFrom(0, 0.1, 0.5, 1),
  decodeUs: fc.integer({ min: 500, max: 20_000 }),
  decodeShareUs: fc.integer({ min: 5, max: 300 }).map((ms) => ms * MS),
  receiveUs: fc.integer({ min: 50, max: 1000 }),
});

/** As many of the streams, one after the other, as the test accepts. */
function accepted(streams: readonly Passing[], setup: StageSetup, receiveUs: number): Passing[] {
  const taken: Passing[] = [];
  for (const each of streams) if (decodesInTime([...taken, each], setup, receiveUs)) taken.push(each);
  return taken;
}

/**
 * Frames that come at their worst or at random, decoded one by one in the order of their deadlines by `workers`.
 *
 * @param factor what decoding takes, in multiples of what was said
 * @returns how many were late
 */
function late(all: readonly Passing[], { workers }: StageSetup, random: () => number, factor: number): number {
  const worst = random() < 0.5;
  const frames: { atUs: number; dueUs: number; costUs: number }[] = [];
  for (const { count, periodUs, jitterUs, decodeUs, decodeShareUs } of all)
    for (let stream = 0; stream < count; stream++) {
      const phaseUs = worst ? 0 : random() * periodUs;
      for (let k = 0; k * periodUs < 3_000_000; k++) {
        // The first is as late as may be, so that the next ones come close behind it.
        const delayUs = worst ? Math.max(0, jitterUs - k * periodUs) : random() * jitterUs;
        const atUs = phaseUs + k * periodUs + delayUs + (worst ? 1_000_000 - jitterUs : 0);
        frames.push({ atUs, dueUs: atUs + decodeShareUs, costUs: factor * decodeUs });
      }
    }
  // Just before, a lax frame has begun.
  const longest = all.reduce((a, b) => (b.decodeUs > a.decodeUs ? b : a));
  if (worst) frames.push({ atUs: 999_999, dueUs: 1e9, costUs: factor * longest.decodeUs });
  frames.sort((a, b) => a.atUs - b.atUs);
  const free = Array.from({ length: workers }, () => 0);
  const waiting: typeof frames = [];
  let missed = 0;
  for (let next = 0; next < frames.length || waiting.length > 0;) {
    const worker = free.indexOf(Math.min(...free));
    if (waiting.length === 0) free[worker] = Math.max(free[worker]!, frames[next]!.atUs);
    for (; next < frames.length && frames[next]!.atUs <= free[worker]!; next++) waiting.push(frames[next]!);
    const urgent = waiting.reduce((a, b) => (b.dueUs < a.dueUs ? b : a));
    waiting.splice(waiting.indexOf(urgent), 1);
    free[worker]! += urgent.costUs;
    if (free[worker]! > urgent.dueUs) missed++;
  }
  return missed;
}

const passing = ({
  jitterPart,
  ...each
}: Omit<Passing, 'jitterUs' | 'answerUs' | 'together' | 'device'> & { jitterPart: number }) => ({
  ...each,
  jitterUs: jitterPart * each.periodUs,
  answerUs: 100,
  together: 8,
  device: 0,
});

describe('decoding, frames one by one in the order of their deadlines', () => {
  const sets = fc.tuple(fc.array(anyStream, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 4 }), fc.nat());

  test('what is accepted is decoded in time, by however many workers', () => {
    fc.assert(
      fc.property(sets, ([streams, workers, seed]) => {
        const setup = { blockingUs: 0, workers, shared: false };
        const taken = accepted(streams.map(passing), setup, 0);
        if (taken.length > 0) expect(late(taken, setup, seededRandom(seed), 1)).toBe(0);
      }),
      { numRuns: runs(400) },
    );
  });

  test('where decoding takes longer than was said, late frames are found', () => {
    let found = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const setup = { blockingUs: 0, workers: 1, shared: false };
      const streams = Array.from({ length: 40 }, (): Passing => {
        const decodeUs = 5000;
        const common = {
          count: 1,
          periodUs: 100 * MS,
          jitterUs: 0,
          receiveUs: 100,
          answerUs: 0,
          together: 1,
          device: 0,
        };
        return { ...common, decodeUs, decodeShareUs: Math.round(20 + random() * 80) * MS };
      });
      const taken = accepted(streams, setup, 0);
      for (let i = 0; i < 4; i++) found += late(taken, setup, random, 1.1);
    }
    expect(found).toBeGreaterThan(0);
  });

  test('a core that is shared with receiving decodes less', () => {
    const streams = Array.from({ length: 60 }, () =>
      passing({ count: 1, periodUs: 100 * MS, jitterPart: 0, decodeUs: 3000, decodeShareUs: 100 * MS, receiveUs: 900 }),
    );
    const taken = (shared: boolean): number => accepted(streams, { blockingUs: 0, workers: 1, shared }, 0).length;
    expect(taken(true)).toBeLessThan(taken(false));
    expect(taken(true)).toBeGreaterThan(0);
  });
});

describe('receiving, in whatever order', () => {
  test('waits for the answers of a batch of each device, since they may end at one instant', () => {
    const one = passing({ count: 1, periodUs: 100 * MS, jitterPart: 0, decodeUs: 0, decodeShareUs: 0, receiveUs: 100 });
    const setup = { blockingUs: 2000, workers: 1, shared: false };
    expect(receiveDelayUs([one, one], setup)).toBe(2000 + 200 + 800);
    expect(receiveDelayUs([one, { ...one, device: 1 }], setup)).toBe(2000 + 200 + 2 * 800);
  });

  test('no frame waits longer than is said, and an overloaded loop promises nothing', () => {
    fc.assert(
      fc.property(fc.array(anyStream, { minLength: 1, maxLength: 12 }), (streams) => {
        const all = streams.map(passing);
        const setup = { blockingUs: 2000, workers: 1, shared: false };
        const delayUs = receiveDelayUs(all, setup);
        if (receiveShare(all) > 0.9) expect(delayUs).toBe(Infinity);
        // All come at once, with what may have come early, and the last of them is looked at.
        else {
          const together = all.reduce(
            (sum, { count, receiveUs, jitterUs, periodUs }) =>
              sum + count * receiveUs * (1 + Math.floor(jitterUs / periodUs)),
            setup.blockingUs,
          );
          expect(delayUs).toBeGreaterThanOrEqual(together);
        }
      }),
    );
  });
});
