import type { Arrival } from './arrivals.js';
import type { Decision, DispatchConfig } from './dispatcher.js';
import { Dispatcher } from './dispatcher.js';
import type { FrameTerms, Job, ReadyJobs } from './ready.js';

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
  /** How long a job that starts now really runs; its WCET where absent. */
  readonly executeUs?: (job: Job<Arrival>, startUs: number) => number;
  /** What a frame's tenant allows while the device is behind; nothing where absent. */
  readonly termsOf?: (arrival: Arrival) => FrameTerms;
  /** Told of frames that are given up. */
  readonly dropped?: (frames: readonly Arrival[], atUs: number) => void;
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
  executeUs,
  termsOf,
  dropped,
  ready,
  busyUntilUs = 0,
}: Simulation): Generator<SimulatedRun> {
  const dispatcher = new Dispatcher<Arrival>(config, ready);
  const arrive = (frame: Arrival): boolean => dispatcher.arrive(frame.category, frame, frame.atUs, termsOf?.(frame));
  const source = arrivals[Symbol.iterator]();
  let arrival = source.next();
  let nowUs = arrival.done === true ? 0 : Math.min(0, arrival.value.atUs);
  for (;;) {
    const decision: Decision<Arrival> = nowUs < busyUntilUs ? { waitUntilUs: busyUntilUs } : dispatcher.next(nowUs);
    if (decision.dropped !== undefined) dropped?.(decision.dropped, nowUs);
    if ('run' in decision) {
      const startUs = nowUs;
      const endUs = startUs + (executeUs === undefined ? decision.run.wcetUs : executeUs(decision.run, startUs));
      for (; arrival.done !== true && arrival.value.atUs < endUs; arrival = source.next()) arrive(arrival.value);
      dispatcher.finish(endUs);
      nowUs = endUs;
      yield { job: decision.run, startUs, endUs, ...dispatcher.adapted(decision.run.category) };
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
