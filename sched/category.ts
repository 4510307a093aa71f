import type { WcetTable } from './wcet.js';

/** `count` identical streams: a frame every `periodUs`, at most `jitterUs` late, each to be answered in `deadlineUs`. */
export interface Streams {
  readonly count: number;
  readonly periodUs: number;
  readonly jitterUs: number;
  readonly deadlineUs: number;
  /**
   * How much later than at its node a frame may come to the device. Its deadline counts from its arrival at the node, so
   * this adds nothing to what is due within an interval (docs/theory.md, Lemma 1).
   */
  readonly delayUs?: number;
}

/** Frames that can share a batch on one device, and what a batch costs there (docs/theory.md, "Model"). */
export interface Category {
  readonly name: string;
  readonly wcet: WcetTable;
  readonly streams: readonly Streams[];
}

/** Dmin: the shortest deadline among a category's streams, in microseconds. */
export function shortestDeadlineUs(streams: readonly Streams[]): number {
  return streams.reduce((least, stream) => Math.min(least, stream.deadlineUs), Infinity);
}

/** Long-run frames per microsecond. */
export function frameRate(streams: readonly Streams[]): number {
  return streams.reduce((sum, stream) => sum + stream.count / stream.periodUs, 0);
}
