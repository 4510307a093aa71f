import type { WcetTable } from './wcet.js';

/** `count` identical streams: a frame every `periodUs`, at most `jitterUs` late, each to be answered in `deadlineUs`. */
export interface Streams {
  readonly count: number;
  readonly periodUs: number;
  readonly jitterUs: number;
  readonly deadlineUs: number;
}

/** Frames that can share a batch on one device, and what a batch costs there (docs/theory.md, "Model"). */
export interface Category {
  readonly name: string;
  readonly wcet: WcetTable;
  readonly streams: readonly Streams[];
}

/** A category with its DisBatcher window. */
export interface WindowedCategory extends Category {
  readonly windowUs: number;
}

/** Dmin: the shortest deadline among a category's streams, in microseconds. */
export function shortestDeadlineUs(streams: readonly Streams[]): number {
  return streams.reduce((least, stream) => Math.min(least, stream.deadlineUs), Infinity);
}

/** Long-run frames per microsecond. */
export function frameRate(streams: readonly Streams[]): number {
  return streams.reduce((sum, stream) => sum + stream.count / stream.periodUs, 0);
}

/**
 * N(interval): the most frames that can arrive in any half-open interval of that length, whatever the phases
 * (docs/theory.md, Lemma 2).
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
