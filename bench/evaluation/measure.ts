import type { Arrival } from '../../sched/arrivals.js';
import type { Served } from './rules.js';
import type { Load } from './workload.js';

/** What became of a load's frames. */
export interface Measured {
  readonly frames: number;
  /** Answered in time. */
  readonly inTime: number;
  readonly promised: number;
  readonly promisedMissed: number;
  /** Of cameras that keep what they declare. */
  readonly honestMissed: number;
  readonly honest: number;
  /** Share of a camera's frames that it missed, of the one that fared worst. */
  readonly worstCamera: number;
  /** Latency of all frames that were answered, in microseconds, sorted. */
  readonly latenciesUs: readonly number[];
  readonly busy: number;
  readonly cameras: number;
  readonly admitted: number;
}

export function measure(
  { cameras }: Load,
  frames: readonly Arrival[],
  { runs, promised, admitted }: Served,
  untilUs: number,
): Measured {
  const inTimeOf = new Array<number>(cameras.length).fill(0);
  const sentOf = new Array<number>(cameras.length).fill(0);
  for (const { camera } of frames) sentOf[camera]!++;
  const latenciesUs: number[] = [];
  let [busyUs, promisedInTime] = [0, 0];
  for (const { frames: batch, startUs, endUs } of runs) {
    busyUs += endUs - startUs;
    for (const frame of batch) {
      latenciesUs.push(endUs - frame.atUs);
      if (endUs > frame.atUs + cameras[frame.camera]!.deadlineUs) continue;
      inTimeOf[frame.camera]!++;
      if (promised(frame)) promisedInTime++;
    }
  }
  const promisedFrames = frames.filter(promised).length;
  const sum = (of: readonly number[], counts: (camera: number) => boolean): number =>
    of.reduce((all, each, i) => all + (counts(i) ? each : 0), 0);
  const keeps = (camera: number): boolean => !cameras[camera]!.breaks;
  const inTime = sum(inTimeOf, () => true);
  return {
    frames: frames.length,
    inTime,
    promised: promisedFrames,
    promisedMissed: promisedFrames - promisedInTime,
    honest: sum(sentOf, keeps),
    honestMissed: sum(sentOf, keeps) - sum(inTimeOf, keeps),
    worstCamera: Math.max(0, ...sentOf.map((sent, i) => (sent === 0 ? 0 : 1 - inTimeOf[i]! / sent))),
    latenciesUs: latenciesUs.sort((a, b) => a - b),
    busy: Math.min(1, busyUs / untilUs),
    cameras: cameras.length,
    admitted,
  };
}

/** Of sorted figures. */
export const quantile = (sorted: readonly number[], q: number): number =>
  sorted.length === 0 ? NaN : sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;

export const missShare = ({ frames, inTime }: Measured): number => (frames === 0 ? 0 : 1 - inTime / frames);
