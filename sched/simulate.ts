import type { Arrival } from './arrivals.js';
import type { BatcherConfig } from './queue.js';
import { Batcher } from './batcher.js';
import type { Decider } from './drive.js';
import { drive } from './drive.js';
import type { Fault } from './faults.js';
import { hangLimitUs, hangOf, slowdown } from './faults.js';
import type { FrameOffer, GivenUp, Run } from './frame.js';

/** A run on the virtual device. */
export interface SimulatedRun {
  readonly run: Run<Arrival>;
  readonly startUs: number;
  readonly endUs: number;
  /** After the run: what the category has yet to pay off, and the rung that its next one takes. */
  readonly penaltyUs: number;
  readonly rung: number;
}

export interface Simulation {
  readonly config: BatcherConfig;
  /** What decides, where that is not the batcher. */
  readonly decider?: () => Decider<Arrival>;
  /** In order of time. */
  readonly arrivals: Iterable<Arrival>;
  /** What a frame's tenant was promised and allows. */
  readonly offerOf: (arrival: Arrival) => Omit<FrameOffer, 'category' | 'atUs'>;
  /** How long a run takes on a device without faults; its WCET where absent. */
  readonly executeUs?: (run: Run<Arrival>, startUs: number) => number;
  readonly faults?: readonly Fault[];
  /** Told of frames that are given up. */
  readonly gaveUp?: (frames: readonly GivenUp<Arrival>[], atUs: number) => void;
  /** Told of frames that were with the device when it was lost, or came before it was replaced. */
  readonly failed?: (frames: readonly Arrival[], atUs: number) => void;
  /** Another configuration, to be taken over as soon as that is safe from an instant on; asked for anew after each takeover. */
  readonly nextConfig?: () => { readonly config: BatcherConfig; readonly fromUs: number } | undefined;
  readonly tookOver?: (atUs: number) => void;
}

/** The batcher on a virtual clock: yields every run in the order of execution, until all frames are answered. */
export function* simulate(simulation: Simulation): Generator<SimulatedRun> {
  const { config, arrivals, offerOf, executeUs = ({ wcetUs }) => wcetUs, faults = [], failed, gaveUp } = simulation;
  const hangs = new Set(faults.filter(({ kind }) => kind === 'hang'));
  const mayBeLost = hangs.size > 0;
  const source = arrivals[Symbol.iterator]();
  let next = source.next();
  let nowUs = next.done === true ? 0 : Math.min(0, next.value.atUs);
  let done = false;
  let change = simulation.nextConfig?.();
  let current = config;
  const results: SimulatedRun[] = [];
  const start = (): Decider<Arrival> => simulation.decider?.() ?? new Batcher<Arrival>(current);
  for (let batcher = start(); ; batcher = start()) {
    /** Frames with the device, kept only where it may be lost. */
    const waiting = new Set<Arrival>();
    let lost = false;
    const world = {
      nowUs: () => nowUs,
      hear: (to: Decider<Arrival>): boolean => {
        for (; next.done !== true && next.value.atUs <= nowUs; next = source.next()) {
          const { value } = next;
          if (mayBeLost) waiting.add(value);
          to.arrive(value, { ...offerOf(value), category: value.category, atUs: value.atUs });
        }
        if (
          change !== undefined &&
          nowUs >= change.fromUs &&
          to instanceof Batcher &&
          to.reconfigure(change.config, nowUs)
        ) {
          current = change.config;
          simulation.tookOver?.(nowUs);
          change = simulation.nextConfig?.();
        }
        return !done && !lost;
      },
      aside: () => undefined,
      execute: (run: Run<Arrival>, startUs: number): void => {
        const hang = hangOf([...hangs], run.category, startUs);
        if (hang === undefined) {
          nowUs = startUs + Math.ceil(executeUs(run, startUs) * slowdown(faults, run.category, startUs));
          return;
        }
        nowUs = startUs + hangLimitUs(run.wcetUs) + hang.forUs;
        hangs.delete(hang);
        lost = true;
      },
      ended: (run: Run<Arrival>, startUs: number, endUs: number, by: Decider<Arrival>): void => {
        if (lost) return;
        for (const frame of run.frames) waiting.delete(frame);
        const { penaltyUs, rung } = by instanceof Batcher ? by.adapted(run.category) : { penaltyUs: 0, rung: 0 };
        results.push({ run, startUs, endUs, penaltyUs, rung });
      },
      gaveUp: (frames: readonly GivenUp<Arrival>[], atUs: number): void => {
        for (const { frame } of frames) waiting.delete(frame);
        gaveUp?.(frames, atUs);
      },
      wait: (untilUs: number): void => {
        const arrivesUs = next.done === true ? Infinity : next.value.atUs;
        const changeUs = change === undefined ? Infinity : Math.max(change.fromUs, nowUs + 1);
        const untilUsOrEvent = Math.min(untilUs, arrivesUs, changeUs);
        if (untilUsOrEvent === Infinity) done = true;
        else nowUs = untilUsOrEvent;
      },
    };
    for (const _ of drive<Arrival, void, Decider<Arrival>>(batcher, world)) yield* results.splice(0);
    yield* results.splice(0);
    if (!lost) return;
    failed?.([...waiting], nowUs);
  }
}
