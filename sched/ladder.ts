import type { WcetTable } from './wcet.js';

/** Channels, height and width. */
export type Shape = readonly number[];

/** A shape that a category can be computed at, and what that takes. */
export interface Step {
  readonly shape: Shape;
  readonly wcet: WcetTable;
}

/**
 * The ladder that degradation walks down: the shape asked for, then the smaller ones, largest first. A smaller shape
 * that is not faster is no help and left out. Empty when the shape asked for was not measured.
 */
export function ladderOf<S extends Step>(asked: Shape, measured: readonly S[]): S[] {
  const own = measured.find(({ shape }) => shape.join() === asked.join());
  if (own === undefined) return [];
  const ladder = [own];
  const smaller = measured
    .filter((step) => step !== own && isWithin(step.shape, asked))
    .sort((a, b) => area(b.shape) - area(a.shape));
  for (const step of smaller) {
    const before = ladder.at(-1)!.wcet;
    if ([1, before.largestBatch].every((batch) => step.wcet.at(batch) < before.at(batch))) ladder.push(step);
  }
  return ladder;
}

/** The last rung of the ladder that a tenant allows; 0: the full shape only. */
export function deepestRung(minShape: Shape | undefined, ladder: readonly Step[]): number {
  if (minShape === undefined) return 0;
  const first = ladder.findIndex(({ shape }) => !isWithin(minShape, shape));
  return Math.max(0, (first === -1 ? ladder.length : first) - 1);
}

const isWithin = (inner: Shape, outer: Shape): boolean =>
  inner[0] === outer[0] && inner[1]! <= outer[1]! && inner[2]! <= outer[2]!;
const area = ([, height, width]: Shape): number => height! * width!;
