import type { DueCurve } from './curve.js';
import type { Policer } from './policer.js';
import type { Sequence } from './table.js';
import type { WcetTable } from './wcet.js';

const { ceil, floor, max, min } = Math;

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
  /** How late its next visit may start after an instant at which none of its frames waits; at least W. */
  readonly idleUs: number;
  /** E at the full shape. */
  readonly wcet: WcetTable;
  /** E(quota). */
  readonly costUs: number;
  /** Its promised frames that wait, the most urgent first. */
  readonly waiting: readonly { readonly orderUs: number }[];
  readonly streams: Iterable<PromisedStreams>;
  /** Their shortest and their longest deadline. */
  readonly shortestUs: number;
  readonly longestUs: number;
  /**
   * If its next visit starts by then, and further ones at most W apart while frames wait, none of its frames is late
   * (docs/theory.md, Lemmas 3 and 4).
   */
  latestUs: number;
  /** When it is worth computing `latestUs` exactly again. */
  askAgainUs: number;
}

/** Frames that are looked at for one answer; where it would take more, the cheap bound has to do. */
const MOST_FRAMES = 4096;
/** Looking at a frame takes some 10 ns: an answer is not asked for again before a hundred times as long. */
const REST_US = 1;
/** Where no frame can come for this long, it need not be known when one does. */
const FAR_AHEAD_US = 1_000_000;

const dues = new Float64Array(MOST_FRAMES);
const sorted = new Float64Array(MOST_FRAMES);
const CELLS = 1024;
const placeOf = new Uint32Array(CELLS + 1);
/** By lane, for one question at a time: what it leaves, and how often it is visited before another one. */
let leftUs = new Float64Array(16);
let visitsOf = new Uint32Array(16);

/**
 * How late a lane's next visit may start after an instant at which none of its frames waits, whatever comes from then on
 * (docs/theory.md, Lemma 3).
 */
export function idleUs(
  { steps, rate, burst, horizonUs }: DueCurve,
  quota: number,
  gapUs: number,
  costUs: number,
): number {
  let leastUs = horizonUs - costUs - (gapUs * (rate * horizonUs + burst)) / quota;
  for (let i = 0; i < steps.us.length; i++)
    leastUs = min(leastUs, steps.us[i]! - costUs - gapUs * (ceil(steps.frames[i]! / quota) - 1));
  return max(gapUs, leastUs);
}

/**
 * The latest instant at which a lane's next visit may start, by its frames' own deadlines: those that wait and those
 * that its streams' policers could still let pass. It looks ahead until the lane has surely been empty once, which is as
 * far as the proof asks (docs/theory.md, Lemma 4).
 *
 * @param effort how many frames may be looked at; what was is taken off
 * @returns -Infinity when that would take more
 */
export function latestStartUs(lane: Lane, nowUs: number, effort = { frames: MOST_FRAMES }): number {
  const { quota, gapUs, costUs } = lane;
  for (let aheadUs = gapUs + min(max(gapUs, lane.shortestUs), FAR_AHEAD_US); ; aheadUs *= 2) {
    const count = collect(lane, nowUs, nowUs + aheadUs, effort.frames);
    effort.frames -= count ?? effort.frames;
    if (count === undefined) return -Infinity;
    if (count === 0 && aheadUs >= FAR_AHEAD_US) return nowUs + aheadUs;
    sort(count, nowUs, aheadUs + lane.longestUs);
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

/** Sorts `dues`, spread over a time, into `sorted`: first by the cell of time, then within each. */
function sort(count: number, fromUs: number, spreadUs: number): void {
  const cellOf = (us: number): number => max(0, min(CELLS - 1, floor(((us - fromUs) / spreadUs) * CELLS)));
  placeOf.fill(0);
  for (let i = 0; i < count; i++) placeOf[cellOf(dues[i]!) + 1]!++;
  for (let cell = 0; cell < CELLS; cell++) placeOf[cell + 1]! += placeOf[cell]!;
  for (let i = 0; i < count; i++) sorted[placeOf[cellOf(dues[i]!)]!++] = dues[i]!;
  for (let i = 1; i < count; i++) {
    const due = sorted[i]!;
    let at = i;
    for (; at > 0 && sorted[at - 1]! > due; at--) sorted[at] = sorted[at - 1]!;
    sorted[at] = due;
  }
}

/**
 * The most that the visits from `position` to before a lane's next one can take: E(quota) each, or less where by its
 * latest start no more frames of theirs can be there (docs/theory.md, Theorem 3).
 */
function beforeUs(
  lanes: readonly Lane[],
  { visits }: Sequence,
  position: number,
  until: number,
  nowUs: number,
): number {
  visitsOf.fill(0, 0, lanes.length);
  for (let at = position; visits[at] !== until; at = (at + 1) % visits.length) visitsOf[visits[at]!]!++;
  let sumUs = 0;
  for (const [c, { quota, costUs, wcet, waiting, streams }] of lanes.entries()) {
    const most = visitsOf[c]! * quota;
    let frames = min(waiting.length, most);
    for (const { policer } of streams) {
      if (frames >= most) break;
      frames += policer.mostBy(nowUs, lanes[until]!.latestUs);
    }
    if (frames >= most) sumUs += visitsOf[c]! * costUs;
    else sumUs += min(visitsOf[c]!, frames) * wcet.at(min(frames, quota));
  }
  return sumUs;
}

/**
 * The guard: how long the device may do something else from now on before the visits, from `position` in the sequence
 * on, go on, such that no promised frame becomes late (docs/theory.md, Theorem 3). The cheap bounds of each lane first,
 * the exact ones of those that leave less than `wantedUs`.
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
  if (leftUs.length < lanes.length)
    [leftUs, visitsOf] = [new Float64Array(2 * lanes.length), new Uint32Array(2 * lanes.length)];
  const effort = { frames: MOST_FRAMES };
  for (let c = 0; c < lanes.length; c++) {
    const lane = lanes[c]!;
    const onTurnUs = nowUs + sequence.untilUs(position, c);
    if (lane.waiting.length === 0) lane.latestUs = max(lane.latestUs, nowUs + lane.idleUs);
    if (lane.latestUs - onTurnUs < wantedUs && nowUs >= lane.askAgainUs && effort.frames > 0) {
      const before = effort.frames;
      const exactUs = latestStartUs(lane, nowUs, effort);
      lane.latestUs = max(lane.latestUs, exactUs);
      // Where it would take too much, its visits hardly keep up with its frames: there is little to find.
      const restUs = 1 + REST_US * (before - effort.frames);
      lane.askAgainUs = nowUs + (exactUs === -Infinity ? max(lane.gapUs, restUs) : restUs);
    }
    leftUs[c] = lane.latestUs - onTurnUs;
  }
  // Which lane leaves least, until that is one whose visits before it were counted by the frames that there are for them.
  for (let counted = -1; ;) {
    let [least, leastUs] = [-1, Infinity];
    for (let c = 0; c < lanes.length; c++) if (leftUs[c]! < leastUs) [least, leastUs] = [c, leftUs[c]!];
    if (least === counted || leastUs >= wantedUs) return leastUs;
    counted = least;
    leftUs[least] = lanes[least]!.latestUs - nowUs - beforeUs(lanes, sequence, position, least, nowUs);
  }
}
