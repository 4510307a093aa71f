import type { Arrival } from '../arrivals.js';
import type { DispatchConfig } from './config.js';
import type { Decision } from './dispatcher.js';
import { Dispatcher } from './dispatcher.js';
import type { Fault } from '../faults.js';
import { hangLimitUs, hangOf, slowdown } from '../faults.js';
import type { FrameTerms } from '../frame.js';
import type { Job, ReadyJobs } from './ready.js';

/** A run on the virtual device. */
export interface SimulatedRun {
  readonly job: Job<Arrival>;
  readonly startUs: number;
  readonly endUs: number;
  /** After the run: what the category has yet to pay off, and the rung that its next job runs at. */
  readonly penaltyUs: number;
  readonly rung: number;
}

export interface Simulation {
  readonly config: DispatchConfig;
  /** In order of time. */
  readonly arrivals: Iterable<Arrival>;
  /** How long a job takes on a device without faults; its WCET where absent. */
  readonly executeUs?: (job: Job<Arrival>, startUs: number) => number;
  readonly faults?: readonly Fault[];
  /** What a frame's tenant allows while the device is behind; nothing where absent. */
  readonly termsOf?: (arrival: Arrival) => FrameTerms;
  /** Told of frames that are given up. */
  readonly dropped?: (frames: readonly Arrival[], atUs: number) => void;
  /** Told of frames that were with the device when it was lost, or came before it was replaced. */
  readonly failed?: (frames: readonly Arrival[], atUs: number) => void;
  /** Which job is next; EDF where absent. */
  readonly ready?: ReadyJobs<Arrival>;
  /** The device is held by something else until then. */
  readonly busyUntilUs?: number;
}

/**
 * The dispatcher on a virtual clock: yields every run in the order of execution, until all frames are answered.
 * The same state machine that the agent drives in real time decides.
 */
export function* simulate({
  config,
  arrivals,
  executeUs = ({ wcetUs }) => wcetUs,
  faults = [],
  termsOf,
  dropped,
  failed,
  ready,
  busyUntilUs = 0,
}: Simulation): Generator<SimulatedRun> {
  let dispatcher = new Dispatcher<Arrival>(config, ready);
  const hangs = new Set(faults.filter(({ kind }) => kind === 'hang'));
  /** Frames with the device, kept only where it may be lost. */
  const waiting = new Set<Arrival>();
  const arrive = (frame: Arrival): void => {
    if (dispatcher.arrive(frame.category, frame, frame.atUs, termsOf?.(frame)) && hangs.size > 0) waiting.add(frame);
  };
  const source = arrivals[Symbol.iterator]();
  let arrival = source.next();
  let nowUs = arrival.done === true ? 0 : Math.min(0, arrival.value.atUs);
  for (;;) {
    const decision: Decision<Arrival> = nowUs < busyUntilUs ? { waitUntilUs: busyUntilUs } : dispatcher.next(nowUs);
    if (decision.dropped !== undefined) dropped?.(decision.dropped, nowUs);
    for (const frame of decision.dropped ?? []) waiting.delete(frame);
    if ('run' in decision) {
      const job = decision.run;
      const startUs = nowUs;
      const hang = hangOf([...hangs], job.category, startUs);
      const endUs =
        hang === undefined
          ? startUs + Math.ceil(executeUs(job, startUs) * slowdown(faults, job.category, startUs))
          : startUs + hangLimitUs(job.wcetUs) + hang.forUs;
      for (; arrival.done !== true && arrival.value.atUs < endUs; arrival = source.next()) arrive(arrival.value);
      nowUs = endUs;
      if (hang !== undefined) {
        failed?.([...waiting], endUs);
        waiting.clear();
        hangs.delete(hang);
        dispatcher = new Dispatcher<Arrival>(config, ready);
        continue;
      }
      dispatcher.finish(endUs);
      for (const frame of job.frames) waiting.delete(frame);
      yield { job, startUs, endUs, ...dispatcher.adapted(job.category) };
      continue;
    }
    const arrivesUs = arrival.done === true ? Infinity : arrival.value.atUs;
    nowUs = Math.min(decision.waitUntilUs, arrivesUs);
    if (nowUs === Infinity) return;
    if (arrival.done !== true && arrivesUs === nowUs) {
      arrive(arrival.value);
      arrival = source.next();
    }
  }
}
