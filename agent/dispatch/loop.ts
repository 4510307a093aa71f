import type { MessagePort } from 'node:worker_threads';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { DispatchConfig } from '../../sched/dispatcher.js';
import { Dispatcher } from '../../sched/dispatcher.js';
import type { Job } from '../../sched/ready.js';
import { WcetTable } from '../../sched/wcet.js';
import { nowUs } from '../clock.js';
import type { FrameMessage, FromDevice, Program, ToDevice } from '../device/messages.js';
import type { Bell } from './wait.js';
import { waitUntil } from './wait.js';

/** A new program that finds no safe instant is taken over regardless after this long. */
const LONGEST_TAKEOVER_US = 2_000_000;
/** A measurement waits for a gap that holds it, but no longer than this. */
const LONGEST_MEASUREMENT_WAIT_US = 2_000_000;

const toConfig = ({ categories, bestEffortUs, adaptation }: Program): DispatchConfig => {
  const known = categories.map((category) => {
    const [wcet, ...smaller] = category.ladder.map(({ points }) => new WcetTable(points, category.overheadUs));
    return { ...category, wcet: wcet!, smaller };
  });
  return {
    adaptation,
    realTime: known
      .filter((category) => category.class === 'RealTime')
      .map(({ name, wcet, smaller, windowUs, windowOffsetUs, relativeDeadlineUs }) => ({
        name,
        wcet,
        smaller,
        windowUs,
        offsetUs: windowOffsetUs,
        relativeDeadlineUs,
      })),
    bestEffort: known.filter((category) => category.class === 'BestEffort').map(({ name, wcet }) => ({ name, wcet })),
    bestEffortUs,
    earlyRelease: true,
  };
};

/** Requests that wait for a gap between jobs. */
export type Control = Extract<ToDevice, { kind: 'load' | 'unload' | 'measure' | 'wake' }>;

/** What the loop needs of the device beside it. */
export interface Executor {
  /** Runs a job's frames, reporting each batch. */
  execute(job: Job<FrameMessage>, startUs: number): Promise<void>;
  /** Does what is asked and answers; may take as long as a run, or longer. */
  control(message: Control): Promise<void>;
  /** Frames may come from this memory. */
  pool(message: Extract<ToDevice, { kind: 'pool' }>): void;
  /** Outputs were read from the outbox. */
  taken(): void;
  /** No more of them will. */
  poolGone(message: Extract<ToDevice, { kind: 'poolGone' }>): void;
  /** A schedule is coming: frames of these categories may follow. */
  program(program: Program): void;
  /** A measurement's likely length, Infinity when not known. */
  expectedUs(message: Control): number;
}

/**
 * The dispatcher on the real clock: one thread that waits for the instant the state machine names, runs what it says
 * and never does anything else while a run is due.
 */
export async function dispatchLoop(
  port: MessagePort,
  bell: Bell,
  executor: Executor,
  post: (message: FromDevice) => void,
): Promise<void> {
  const dispatcher = new Dispatcher<FrameMessage>(toConfig({ categories: [], bestEffortUs: 0, adaptation: false }));
  const controls: Control[] = [];
  let pending: { request: number; config: DispatchConfig; sinceUs: number } | undefined;
  let measurementDueUs = 0;
  /** The instant waited for, while the device had nothing to do: tells how late a start is. */
  let plannedUs: number | undefined;

  for (;;) {
    const heard = Atomics.load(bell, 0);
    for (let received = receiveMessageOnPort(port); received !== undefined; received = receiveMessageOnPort(port)) {
      const message = received.message as ToDevice;
      if (message.kind === 'stop') return;
      if (message.kind === 'frame') {
        if (!dispatcher.arrive(message.category, message, message.atUs, message.terms))
          post({ kind: 'dropped', ids: [message.id], why: 'withdrawn' });
      } else if (message.kind === 'program') {
        executor.program(message.program);
        pending = { request: message.request, config: toConfig(message.program), sinceUs: nowUs() };
      } else if (message.kind === 'pool') {
        executor.pool(message);
      } else if (message.kind === 'poolGone') {
        executor.poolGone(message);
      } else if (message.kind === 'taken') {
        executor.taken();
      } else if (message.kind === 'ping') {
        post({ kind: 'answer', request: message.request, value: null });
      } else {
        if (controls.length === 0) measurementDueUs = nowUs() + LONGEST_MEASUREMENT_WAIT_US;
        controls.push(message);
      }
    }

    if (pending !== undefined) {
      const dropped = dispatcher.reconfigure(pending.config, nowUs(), nowUs() - pending.sinceUs > LONGEST_TAKEOVER_US);
      if (dropped !== undefined) {
        if (dropped.length > 0) post({ kind: 'dropped', ids: dropped.map(({ id }) => id), why: 'withdrawn' });
        post({ kind: 'answer', request: pending.request, value: null });
        pending = undefined;
      }
    }

    const startUs = nowUs();
    const decision = dispatcher.next(startUs);
    if (decision.dropped !== undefined)
      post({ kind: 'dropped', ids: decision.dropped.map(({ id }) => id), why: 'late' });
    if ('run' in decision) {
      const job = decision.run;
      await executor.execute(job, startUs);
      const endUs = nowUs();
      dispatcher.finish(endUs);
      const { penaltyUs, rung: nextRung } = dispatcher.adapted(job.category);
      const onTime = plannedUs !== undefined && job.kind === 'window' && job.releaseUs === plannedUs;
      post({
        kind: 'job',
        category: job.category,
        jobKind: job.kind,
        frames: job.frames.length,
        releaseUs: job.releaseUs,
        startUs,
        endUs,
        wcetUs: job.wcetUs,
        rung: job.rung,
        penaltyUs,
        nextRung,
        ...(onTime ? { lateStartUs: startUs - job.releaseUs } : {}),
      });
      plannedUs = undefined;
      continue;
    }

    const control = controls[0];
    if (control !== undefined) {
      const gapUs = dispatcher.gapEndUs(startUs) - startUs;
      const patient = control.kind === 'measure' && control.slackUs !== undefined;
      const fits = executor.expectedUs(control) <= gapUs;
      if (fits || startUs > measurementDueUs) {
        controls.shift();
        if (fits || !patient) await executor.control(control);
        else post({ kind: 'refused', request: control.request, error: 'no gap between the promised jobs holds it' });
        measurementDueUs = nowUs() + LONGEST_MEASUREMENT_WAIT_US;
        continue;
      }
    }
    plannedUs = decision.waitUntilUs;
    // A pending takeover or measurement looks for its chance again at the end of each gap.
    const restless = pending !== undefined || control !== undefined;
    waitUntil(restless ? Math.min(plannedUs, startUs + 1000) : plannedUs, bell, heard);
  }
}
