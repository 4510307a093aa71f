import type { Streams } from './category.js';
import { DueCurve } from './curve.js';

const { max } = Math;

/** What a node's stages are: an event loop that receives and answers, and workers that decode. */
export interface StageSetup {
  /** The longest that the loop is usually held by something else than frames, in microseconds. */
  readonly blockingUs: number;
  /** Decode workers; each takes one frame at a time. */
  readonly workers: number;
  /** Whether the one worker runs on the loop's own core, and gives way to it. */
  readonly shared: boolean;
}

/** Streams that pass the stages, and what one of their frames costs each, in microseconds. */
export interface Passing extends Omit<Streams, 'deadlineUs'> {
  /** Of the loop, before the device. */
  readonly receiveUs: number;
  /** Of the loop, after the device. */
  readonly answerUs: number;
  /** Answers that are written at once: those of one batch. */
  readonly together: number;
  /** The device that they pass to: batches of several may end at one instant. */
  readonly device: number;
  /** Of a decode worker; 0: nothing is to be decoded. */
  readonly decodeUs: number;
  /** How long decoding may take, waiting included. */
  readonly decodeShareUs: number;
}

/** How long a frame may be held up outside the device, in microseconds: on its way there, and in all. */
export interface HeldUp {
  readonly beforeUs: number;
  readonly inAllUs: number;
}

/** @param channelUs a message's way to the device and back */
export const heldUp = (receiveUs: number, decodeUs: number, channelUs: number): HeldUp => ({
  beforeUs: receiveUs + decodeUs + channelUs,
  inAllUs: 2 * receiveUs + decodeUs + channelUs,
});

/** A loop that is busier than this cannot be relied on. */
const MOST_OF_THE_LOOP = 0.9;

function sum<P>(all: readonly P[], figure: (each: P) => number): number {
  return all.reduce((total, each) => total + figure(each), 0);
}

/** The share of the loop's time that frames take. */
export const receiveShare = (all: readonly Pick<Passing, 'count' | 'periodUs' | 'receiveUs' | 'answerUs'>[]): number =>
  sum(all, ({ count, periodUs, receiveUs, answerUs }) => (count * (receiveUs + answerUs)) / periodUs);

/** The share of all decode workers' time that frames take. */
export const decodeShare = (
  all: readonly Pick<Passing, 'count' | 'periodUs' | 'decodeUs'>[],
  workers: number,
): number => sum(all, ({ count, periodUs, decodeUs }) => (count * decodeUs) / periodUs) / workers;

/** The most work for the loop that may come at one instant beyond what its share does in the long run. */
function burstUs(all: readonly Passing[]): number {
  const largest = new Map<number, number>();
  for (const { device, together, answerUs } of all)
    largest.set(device, max(largest.get(device) ?? 0, together * answerUs));
  return (
    sum(all, ({ count, periodUs, jitterUs, receiveUs }) => count * receiveUs * (1 + jitterUs / periodUs)) +
    sum([...largest.values()], (us) => us)
  );
}

/**
 * How long a frame, and later its answer, may wait for the loop and be worked on by it, in whatever order the loop does its work
 * (docs/theory.md, Theorem 6); Infinity when it is overloaded.
 */
export function receiveDelayUs(all: readonly Passing[], { blockingUs }: StageSetup): number {
  if (all.length === 0) return 0;
  return receiveShare(all) > MOST_OF_THE_LOOP ? Infinity : burstUs(all) + blockingUs;
}

/**
 * Whether each frame is decoded within its share from when the loop, which holds it up by at most `receiveUs`, has to have handed it
 * over, frames one by one in the order of their deadlines (docs/theory.md, Theorem 7).
 */
export function decodesInTime(all: readonly Passing[], setup: StageSetup, receiveUs: number): boolean {
  const decoded = all.filter(({ decodeUs }) => decodeUs > 0);
  if (decoded.length === 0) return true;
  const { workers, shared, blockingUs } = setup;
  const longestUs = decoded.reduce((most, { decodeUs }) => max(most, decodeUs), 0);
  // What the loop takes of a core that it shares with the worker.
  const taken = shared ? receiveShare(all) : 0;
  const takenUs = shared ? blockingUs + burstUs(all) + taken * receiveUs : 0;
  const fixedUs = (2 * workers - 1) * longestUs + takenUs;
  // F of streams that count for what they cost: work that comes and is due within an interval.
  const work = new DueCurve(
    alike(decoded).map(({ count, periodUs, jitterUs, decodeUs, decodeShareUs }) => ({
      count: count * decodeUs,
      periodUs,
      jitterUs,
      deadlineUs: decodeShareUs,
    })),
  );
  const suppliedUs = (us: number): number => (workers - taken) * us - fixedUs;
  if (work.rate > workers - taken) return false;
  const { us, frames } = work.steps;
  for (let i = 0; i < us.length; i++) if (frames[i]! > suppliedUs(us[i]!)) return false;
  return work.rate * work.horizonUs + work.burst <= suppliedUs(work.horizonUs);
}

/** Streams that differ in nothing, as one entry. */
function alike(all: readonly Passing[]): Passing[] {
  const groups = new Map<string, Passing>();
  for (const each of all) {
    const key = [each.periodUs, each.jitterUs, each.decodeUs, each.decodeShareUs].join();
    const known = groups.get(key);
    groups.set(key, known === undefined ? each : { ...known, count: known.count + each.count });
  }
  return [...groups.values()];
}
