const { ceil, floor, max } = Math;

/** One measured point of a profile: a batch of `batch` frames took at most `wcetUs` microseconds. */
export interface WcetPoint {
  readonly batch: number;
  readonly wcetUs: number;
}

/** An affine upper bound of E: `fixedUs + perFrameUs * n >= E(n)` for every n >= 1. */
export interface Line {
  readonly fixedUs: number;
  readonly perFrameUs: number;
}

/**
 * E(n): the worst-case execution time, in microseconds, of a batch of n frames (docs/theory.md, "Execution time").
 *
 * It is never optimistic: between measured sizes it takes the next larger one, a larger batch never costs less than
 * a smaller one, and a batch above the largest measured size is executed in several runs.
 * `overheadUs`, what the dispatcher itself spends on a job, is part of every E.
 */
export class WcetTable {
  readonly largestBatch: number;
  /** Upper bounds that together hug E from above; used by the demand test. */
  readonly lines: readonly Line[];
  readonly overheadUs: number;
  /** `#upTo[n]` is the cost of one run of n frames, n up to `largestBatch`. */
  readonly #upTo: readonly number[];

  constructor(points: readonly WcetPoint[], overheadUs = 0) {
    if (points.length === 0) throw new RangeError('a WCET table needs at least one measured batch size');
    for (const { batch, wcetUs } of points) {
      if (!Number.isSafeInteger(batch) || batch < 1)
        throw new RangeError(`batch size ${batch} is not a positive integer`);
      if (!Number.isSafeInteger(wcetUs) || wcetUs < 1)
        throw new RangeError(
          `the WCET of a batch of ${batch} must be a positive integer of microseconds, not ${wcetUs}`,
        );
    }
    const sorted = [...points].sort((a, b) => a.batch - b.batch);
    const upTo = [0];
    const steps: { batch: number; wcetUs: number }[] = [];
    let worst = 0;
    for (const { batch, wcetUs } of sorted) {
      worst = max(worst, wcetUs);
      if (upTo.length <= batch) steps.push({ batch: upTo.length, wcetUs: worst });
      while (upTo.length <= batch) upTo.push(worst);
      upTo[batch] = worst;
    }
    this.#upTo = upTo;
    this.overheadUs = overheadUs;
    this.largestBatch = upTo.length - 1;
    this.lines = upperLines(steps, worst / this.largestBatch).map((line) => ({
      fixedUs: line.fixedUs + overheadUs,
      perFrameUs: line.perFrameUs,
    }));
  }

  /** E(n) in microseconds; E(0) is 0. */
  at(n: number): number {
    if (n <= 0) return 0;
    const fullRuns = floor((n - 1) / this.largestBatch);
    const last = n - fullRuns * this.largestBatch;
    return this.overheadUs + fullRuns * this.#upTo[this.largestBatch]! + this.#upTo[last]!;
  }

  /** The largest batch, at most `limit`, whose E is at most `budgetUs`; 0 when not even one frame fits. */
  largestWithin(budgetUs: number, limit: number): number {
    let low = 0;
    let high = limit;
    while (low < high) {
      const middle = ceil((low + high) / 2);
      if (this.at(middle) <= budgetUs) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/**
 * The edges of the upper concave hull of E's steps, from the origin on, down to the slope of full batches.
 * A line at or above every step with a slope of at least E(m)/m is above E everywhere, since
 * E(q*m + r) = q*E(m) + E(r) (docs/theory-paper.md, Lemma 1).
 */
function upperLines(steps: readonly { batch: number; wcetUs: number }[], fullBatchSlope: number): Line[] {
  const corners = [{ batch: 0, wcetUs: 0 }, ...steps];
  const slopes = new Set([fullBatchSlope]);
  for (const a of corners)
    for (const b of corners) {
      if (b.batch <= a.batch) continue;
      const slope = (b.wcetUs - a.wcetUs) / (b.batch - a.batch);
      if (slope > fullBatchSlope) slopes.add(slope);
    }
  // For each slope the lowest line above all corners; those that no other pair of lines makes needless are the hull.
  const lines = [...slopes]
    .map((perFrameUs) => ({
      perFrameUs,
      fixedUs: max(...corners.map((corner) => corner.wcetUs - perFrameUs * corner.batch)),
      touched: corners.filter(
        (corner, _, all) =>
          corner.wcetUs - perFrameUs * corner.batch >=
          max(...all.map((other) => other.wcetUs - perFrameUs * other.batch)) - 1e-6,
      ).length,
    }))
    .filter((line) => line.touched >= 2 || line.perFrameUs === fullBatchSlope);
  return lines.map(({ fixedUs, perFrameUs }) => ({ fixedUs, perFrameUs }));
}
