import type { Category, Streams } from '../category.js';

/** A category with its DisBatcher window. */
export interface WindowedCategory extends Category {
  readonly windowUs: number;
}

/**
 * N(interval): the most frames that can arrive in any half-open interval of that length, whatever the phases
 * (docs/theory-paper.md, Lemma 2).
 */
export function mostArrivals(streams: readonly Streams[], intervalUs: number): number {
  if (intervalUs <= 0) return 0;
  let frames = 0;
  for (const { count, periodUs, jitterUs } of streams) frames += count * Math.ceil((intervalUs + jitterUs) / periodUs);
  return frames;
}

/** Merges streams that arrive alike, so that bounds cost what the variety of streams costs, not their number. */
export function mergeStreams(streams: readonly Streams[]): Streams[] {
  const merged = new Map<string, Streams>();
  for (const stream of streams) {
    const key = `${stream.periodUs}/${stream.jitterUs}`;
    const known = merged.get(key);
    merged.set(
      key,
      known === undefined
        ? stream
        : {
            ...known,
            count: known.count + stream.count,
            deadlineUs: Math.min(known.deadlineUs, stream.deadlineUs),
          },
    );
  }
  return [...merged.values()];
}
