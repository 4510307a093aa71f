import type { MessagePort } from 'node:worker_threads';
import { receiveMessageOnPort } from 'node:worker_threads';
import { nowUs } from '../../../kube/clock.js';
import type { BatcherConfig } from '../../../sched/queue.js';
import { Batcher } from '../../../sched/batcher.js';
import type { World } from '../../../sched/drive.js';
import { drive } from '../../../sched/drive.js';
import type { GivenUp, GivenUpBecause, Run } from '../../../sched/frame.js';
import { WcetTable } from '../../../sched/wcet.js';
import { apart, shared } from '../apart.js';
import type { FrameMessage, FromDevice, Program, ToDevice } from '../messages.js';
import type { Bell } from './bell.js';
import { sleep } from './bell.js';

/** A new program that finds no safe instant is taken over regardless after this long. */
const LONGEST_TAKEOVER_US = 2_000_000;
/** A measurement waits for slack that holds it, but no longer than this. */
const LONGEST_MEASUREMENT_WAIT_US = 2_000_000;
/** How often a takeover or a measurement looks for its chance on an idle device. */
const LOOK_AGAIN_US = 1000;

const toConfig = ({ categories, adaptation }: Program): BatcherConfig => ({
  adaptation,
  categories: categories.flatMap(({ name, ladder, overheadUs, visit, promised }) => [
    {
      name,
      ladder: ladder.map(({ points }) => new WcetTable(points, overheadUs)),
      visit,
      promised: new Map(promised),
    },
    {
      name: apart(name),
      ladder: ladder.map(({ points }) => new WcetTable(points.slice(0, 1), overheadUs)),
      promised: new Map(),
    },
  ]),
});

/** Requests that wait for slack. */
export type Control = Extract<ToDevice, { kind: 'load' | 'unload' | 'measure' }>;

/** What the loop needs of the device beside it. */
export interface Executor {
  /** Runs a batch's frames, reporting each run of the network. Resolves to those that are to be run again, each by itself. */
  execute(run: Run<FrameMessage>, startUs: number): Promise<readonly FrameMessage[]>;
  /** Does what is asked and answers; may take as long as a run, or longer. */
  control(message: Control): Promise<void>;
  /** Frames may come from this memory. */
  pool(message: Extract<ToDevice, { kind: 'pool' }>): void;
  /** Outputs were read from the outbox. */
  taken(): void;
  /** No more of them will. */
  poolGone(message: Extract<ToDevice, { kind: 'poolGone' }>): void;
  /** Runs are of these categories from now on. */
  programmed(program: Program): void;
  /** A measurement's likely length, Infinity when not known. */
  expectedUs(message: Control): number;
}

/** The batcher's world on the real clock: one thread that does nothing else while there is something to run. */
class DeviceWorld implements World<FrameMessage, Promise<void>, Batcher<FrameMessage>> {
  readonly #port: MessagePort;
  readonly #bell: Bell;
  readonly #executor: Executor;
  readonly #post: (message: FromDevice) => void;
  readonly #controls: Control[] = [];
  #pending: { request: number; program: Program; config: BatcherConfig; sinceUs: number } | undefined;
  #controlDueUs = 0;
  #heard = 0;
  #again: readonly FrameMessage[] = [];

  constructor(port: MessagePort, bell: Bell, executor: Executor, post: (message: FromDevice) => void) {
    this.#port = port;
    this.#bell = bell;
    this.#executor = executor;
    this.#post = post;
  }

  nowUs(): number {
    return nowUs();
  }

  hear(batcher: Batcher<FrameMessage>): boolean {
    this.#heard = Atomics.load(this.#bell, 0);
    for (
      let received = receiveMessageOnPort(this.#port);
      received !== undefined;
      received = receiveMessageOnPort(this.#port)
    ) {
      const message = received.message as ToDevice;
      if (message.kind === 'stop') return false;
      this.#take(message, batcher);
    }
    this.#takeOver(batcher);
    return true;
  }

  #take(message: Exclude<ToDevice, { kind: 'stop' }>, batcher: Batcher<FrameMessage>): void {
    switch (message.kind) {
      case 'frame':
        return batcher.arrive(message, message.offer);
      case 'program':
        this.#pending = {
          request: message.request,
          program: message.program,
          config: toConfig(message.program),
          sinceUs: nowUs(),
        };
        return;
      case 'pool':
        return this.#executor.pool(message);
      case 'poolGone':
        return this.#executor.poolGone(message);
      case 'taken':
        return this.#executor.taken();
      case 'turn':
        return this.#post({ kind: 'answer', request: message.request, value: oneTurnUs() });
      case 'ping':
        return this.#post({ kind: 'answer', request: message.request, value: null });
      case 'load':
      case 'unload':
      case 'measure':
        if (this.#controls.length === 0) this.#controlDueUs = nowUs() + LONGEST_MEASUREMENT_WAIT_US;
        this.#controls.push(message);
    }
  }

  #takeOver(batcher: Batcher<FrameMessage>): void {
    if (this.#pending === undefined) return;
    const { request, program, config, sinceUs } = this.#pending;
    const atUs = nowUs();
    if (!batcher.reconfigure(config, atUs, atUs - sinceUs > LONGEST_TAKEOVER_US)) return;
    this.#pending = undefined;
    this.#executor.programmed(program);
    this.#post({ kind: 'answer', request, value: null });
  }

  aside(batcher: Batcher<FrameMessage>, atUs: number): Promise<void> | undefined {
    const control = this.#controls[0];
    if (control === undefined) return undefined;
    const expectedUs = this.#executor.expectedUs(control);
    const fits = batcher.slackUs(atUs, expectedUs) >= expectedUs;
    if (!fits && atUs <= this.#controlDueUs) return undefined;
    this.#controls.shift();
    this.#controlDueUs = nowUs() + LONGEST_MEASUREMENT_WAIT_US;
    const patient = control.kind === 'measure' && control.slackUs !== undefined;
    if (fits || !patient) return this.#executor.control(control);
    const error = 'no slack between the promised runs holds it';
    this.#post({ kind: 'refused', request: control.request, error });
    return undefined;
  }

  async execute(run: Run<FrameMessage>, startUs: number): Promise<void> {
    this.#again = await this.#executor.execute(run, startUs);
  }

  ended(run: Run<FrameMessage>, startUs: number, endUs: number, batcher: Batcher<FrameMessage>): void {
    for (const frame of this.#again) {
      const { offer } = frame;
      batcher.arrive(frame, { ...offer, category: apart(offer.category), promised: false, atUs: endUs });
    }
    const { kind, frames, promised, wcetUs, rung } = run;
    const category = shared(run.category);
    const { penaltyUs, rung: nextRung } = batcher.adapted(category);
    const adapted = { rung, penaltyUs, nextRung };
    this.#post({
      kind: 'ran',
      category,
      runKind: kind,
      frames: frames.length,
      promised,
      startUs,
      endUs,
      wcetUs,
      ...adapted,
    });
  }

  gaveUp(frames: readonly GivenUp<FrameMessage>[]): void {
    const byReason = new Map<GivenUpBecause, number[]>();
    for (const { frame, why } of frames) byReason.set(why, [...(byReason.get(why) ?? []), frame.id]);
    for (const [why, ids] of byReason) this.#post({ kind: 'dropped', ids, why });
  }

  wait(untilUs: number): void {
    const restless = this.#pending !== undefined || this.#controls.length > 0;
    sleep(restless ? LOOK_AGAIN_US : untilUs - nowUs(), this.#bell, this.#heard);
  }
}

/** What one run costs beside itself: a frame comes, is decided on, and is told of. */
function oneTurnUs(): number {
  const wcet = new WcetTable([{ batch: 1, wcetUs: 1 }]);
  const promised = new Map([['t', { count: 1, periodUs: 1, jitterUs: 0, deadlineUs: 1_000_000 }]]);
  const visit = { stride: 1, offset: 0, quota: 1, gapUs: 1 };
  const batcher = new Batcher<object>({
    adaptation: true,
    categories: [{ name: 'c', ladder: [wcet], visit, promised }],
  });
  const sinceUs = nowUs();
  const offer = { category: 'c', tenant: 't', promised: true, deepest: 0, late: 'serve' as const };
  batcher.arrive({}, { ...offer, atUs: sinceUs, dueUs: sinceUs + 1_000_000 });
  const { run } = batcher.next(sinceUs);
  batcher.finish(nowUs());
  structuredClone({ ...run, frames: 1, startUs: sinceUs, endUs: nowUs() });
  return nowUs() - sinceUs;
}

/** Runs the batcher on the device until it is told to stop. */
export async function dispatchLoop(
  port: MessagePort,
  bell: Bell,
  executor: Executor,
  post: (message: FromDevice) => void,
): Promise<void> {
  const batcher = new Batcher<FrameMessage>({ categories: [] });
  for (const pending of drive(batcher, new DeviceWorld(port, bell, executor, post))) await pending;
}
