import type { Streams } from './category.js';

/** What would be admitted in place of streams that were refused; each figure with the other two as asked for. */
export interface Offer {
  readonly framesPerSecond?: number;
  readonly deadlineUs?: number;
  readonly streams?: number;
}

const LOWEST_FRAMES_PER_SECOND = 0.1;
const LONGEST_DEADLINE_FACTOR = 64;
/** No tenant may ask for a longer one. */
const LONGEST_DEADLINE_US = 600_000_000;
const DEADLINE_STEP_US = 1000;

/**
 * Searches, over the admission test itself, for the highest frame rate (in tenths), the shortest deadline (in
 * milliseconds) and the most streams that fit. Every figure was accepted by `admits`; one that nothing satisfies is
 * absent.
 *
 * @param jitterAt what the jitter would be at another period
 */
export function findOffer(
  asked: Streams,
  jitterAt: (periodUs: number) => number,
  admits: (streams: Streams) => boolean,
): Offer {
  const atRate = (tenths: number): Streams => {
    const periodUs = Math.floor(10_000_000 / tenths);
    return { ...asked, periodUs, jitterUs: jitterAt(periodUs) };
  };
  const askedTenths = 10_000_000 / asked.periodUs;
  const tenths = greatest(LOWEST_FRAMES_PER_SECOND * 10, Math.ceil(askedTenths) - 1, (n) => admits(atRate(n)));

  const longestUs = Math.min(LONGEST_DEADLINE_US, asked.deadlineUs * LONGEST_DEADLINE_FACTOR);
  const longest = Math.floor(longestUs / DEADLINE_STEP_US);
  const withDeadline = (steps: number): Streams => ({ ...asked, deadlineUs: steps * DEADLINE_STEP_US });
  // Counted down from the longest, so that the same search serves.
  const steps = greatest(0, longest - Math.floor(asked.deadlineUs / DEADLINE_STEP_US) - 1, (n) =>
    admits(withDeadline(longest - n)),
  );

  const streams = greatest(1, asked.count - 1, (count) => admits({ ...asked, count }));
  return {
    ...(tenths === undefined ? {} : { framesPerSecond: tenths / 10 }),
    ...(steps === undefined ? {} : { deadlineUs: (longest - steps) * DEADLINE_STEP_US }),
    ...(streams === undefined ? {} : { streams }),
  };
}

/** The greatest n in [low, high] found by bisection for which `holds`; undefined when not even `low` does. */
export function greatest(low: number, high: number, holds: (n: number) => boolean): number | undefined {
  if (high < low || !holds(low)) return undefined;
  let [best, above] = [low, high + 1];
  while (above - best > 1) {
    const middle = Math.floor((best + above) / 2);
    if (holds(middle)) best = middle;
    else above = middle;
  }
  return best;
}
