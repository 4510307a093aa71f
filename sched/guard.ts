import type { Policer } from './policer.js';
import type { Sequence } from './table.js';

const { floor, max, min } = Math;

/** Streams of one tenant as a device polices them. */
export interface PromisedStreams {
  readonly policer: Policer;
  readonly deadlineUs: number;
}

/** What the guard knows of a category that visits were promised to. */
export interface Lane {
  readonly quota: number;
  /** W. */
  readonly gapUs: number;
  /** E(quota). */
  readonly costUs: number;
  /** Its promised frames that wait, the most urgent first. */
  readonly waiting: readonly { readonly orderUs: number }[];
  readonly streams: Iterable<PromisedStreams>;
  /**
   * If its next visit starts by then, and further ones at most W apart while frames wait, none of its frames is late
   * (docs/theory.md, Lemmas 3 and 4).
   */
  latestUs: number;
  /** When it is worth computing `latestUs` exactly again. */
  askAgainUs: number;
}

/** Frames that are looked at for one answer; with more of them the cheap bound has to do. */
const MOST_FRAMES = 768;
/** A lane that needs more is asked again after so many gaps: its visits hardly keep up with its frames, so there is little to find. */
const PATIENCE_GAPS = 1;
/** Where no frame can come for this long, it need not be known when one does. */
const FAR_AHEAD_US = 1_000_000;

const dues = new Float64Array(MOST_FRAMES);

/**
 * The latest instant at which a lane's next visit may start, by its frames' own deadlines: those that wait and those
 * that its streams' policers could still let pass. It looks ahead until the lane has surely been empty once, which is as
 * far as the proof asks (docs/theory.md, Lemma 4).
 *
 * @returns -Infinity when that would take more than `mostFrames`
 */
export function latestStartUs(lane: Lane, nowUs: number, mostFrames = MOST_FRAMES): number {
  const { quota, gapUs, costUs } = lane;
  for (let aheadUs = 2 * gapUs; ; aheadUs *= 2) {
    const count = collect(lane, nowUs, nowUs + aheadUs, mostFrames);
    if (count === undefined) return -Infinity;
    if (count === 0 && aheadUs >= FAR_AHEAD_US) return nowUs + aheadUs;
    const sorted = dues.subarray(0, count).sort();
    let leftUs = Infinity;
    for (let i = 0, visits = 0; i < count; i += quota, visits++)
      leftUs = min(leftUs, sorted[i]! - nowUs - costUs - gapUs * visits);
    const visits = leftUs <= aheadUs ? floor((aheadUs - leftUs) / gapUs) + 1 : 0;
    if (visits > 0 && count <= quota * visits) return nowUs + leftUs;
  }
}

/** The deadlines of the lane's frames that wait or may arrive by then; undefined when there are too many. */
function collect({ waiting, streams }: Lane, nowUs: number, untilUs: number, mostFrames: number): number | undefined {
  if (waiting.length > mostFrames) return undefined;
  let count = 0;
  for (const { orderUs } of waiting) dues[count++] = orderUs;
  for (const { policer, deadlineUs } of streams) {
    const more = policer.possible(nowUs, untilUs, dues.subarray(count, mostFrames));
    if (more === undefined) return undefined;
    for (const endOfMore = count + more; count < endOfMore; count++) dues[count]! += deadlineUs;
  }
  return count;
}

/**
 * The guard: how long the device may do something else from now on before the visits, from `position` in the sequence
 * on, go on, such that no promised frame becomes late (docs/theory.md, Theorem 3). The cheap bound of each lane first,
 * the exact one of those that leave less than `wantedUs`.
 *
 * @returns at least what is left, where that is less than wanted; may be negative after an overrun
 */
export function slackUs(
  lanes: readonly Lane[],
  sequence: Sequence,
  position: number,
  nowUs: number,
  wantedUs: number,
): number {
  let leastUs = Infinity;
  let frames = MOST_FRAMES;
  for (const [c, lane] of lanes.entries()) {
    const beforeUs = nowUs + sequence.untilUs(position, c);
    if (lane.waiting.length === 0) lane.latestUs = max(lane.latestUs, nowUs + lane.gapUs);
    if (lane.latestUs - beforeUs < wantedUs && nowUs >= lane.askAgainUs && frames > 0) {
      const exactUs = latestStartUs(lane, nowUs, frames);
      lane.latestUs = max(lane.latestUs, exactUs);
      lane.askAgainUs = exactUs === -Infinity ? nowUs + PATIENCE_GAPS * lane.gapUs : nowUs + 1;
      frames -= lane.waiting.length + 1;
    }
    leastUs = min(leastUs, lane.latestUs - beforeUs);
  }
  return leastUs;
}
