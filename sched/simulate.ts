import type { Arrival } from './arrivals.js';
import type { DispatchConfig } from './dispatcher.js';
import { Dispatcher } from './dispatcher.js';
import type { Job, ReadyJobs } from './ready.js';

/** A run on the virtual device. */
export interface SimulatedRun {
  readonly job: Job<Arrival>;
  readonly startUs: number;
  readonly endUs: number;
}

export interface Simulation {
  readonly config: DispatchConfig;
  /** In order of time. */
  readonly arrivals: Iterable<Arrival>;
  /** How long a job really runs; its WCET where absent. */
  readonly executeUs?: (job: Job<Arrival>) => number;
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
  ready,
  busyUntilUs = 0,
}: Simulation): Generator<SimulatedRun> {
  const dispatcher = new Dispatcher<Arrival>(config, ready);
  const source = arrivals[Symbol.iterator]();
  let arrival = source.next();
  let nowUs = arrival.done === true ? 0 : Math.min(0, arrival.value.atUs);
  for (;;) {
    const decision = nowUs < busyUntilUs ? { waitUntilUs: busyUntilUs } : dispatcher.next(nowUs);
    if ('run' in decision) {
      const startUs = nowUs;
      const endUs = startUs + (executeUs === undefined ? decision.run.wcetUs : executeUs(decision.run));
      for (; arrival.done !== true && arrival.value.atUs < endUs; arrival = source.next())
        dispatcher.arrive(arrival.value.category, arrival.value, arrival.value.atUs);
      dispatcher.finish(endUs);
      nowUs = endUs;
      yield { job: decision.run, startUs, endUs };
      continue;
    }
    const arrivesUs = arrival.done === true ? Infinity : arrival.value.atUs;
    nowUs = Math.min(decision.waitUntilUs, arrivesUs);
    if (nowUs === Infinity) return;
    if (arrival.done !== true && arrivesUs === nowUs) {
      dispatcher.arrive(arrival.value.category, arrival.value, arrivesUs);
      arrival = source.next();
    }
  }
}
