import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { nowUs } from '../../kube/clock.js';
import type { FramePool } from './frame-pool.js';
import type {
  BatchDone,
  DeviceOptions,
  Dropped,
  FrameMessage,
  FromDevice,
  Ran,
  LoadedModel,
  Measure,
  Measured,
  Program,
  ToDevice,
} from './messages.js';
import { Outbox } from './outbox.js';
import { runtimeEnvironment } from './providers/runtime.js';
import type { Activity } from './recorder.js';
import { Recorder } from './recorder.js';
import type { Launch } from './thread/process.js';

/** What a device tells while it serves. */
export interface DeviceListener {
  /** A batch has run, or failed; its frames' slots are free again. */
  batchDone(done: BatchDone): void;
  /** Frames that were given up before they ran. */
  dropped(ids: readonly number[], why: Dropped['why']): void;
  ran(done: Ran): void;
  /** The device's process is gone. */
  lost(error: DeviceLost): void;
}

/** The device's process ended, or had to be ended. */
export class DeviceLost extends Error {
  /** The model that the device was busy with, where that is to blame. */
  readonly culprit: string | undefined;
  readonly fault: 'hang' | 'crash';
  /** Somebody else ended it. */
  readonly killed: boolean;

  constructor(message: string, fault: 'hang' | 'crash', culprit?: string, killed = false) {
    super(message);
    this.fault = fault;
    this.culprit = culprit;
    this.killed = killed;
  }
}

type Request = ToDevice extends infer M ? (M extends { request: number } ? Omit<M, 'request'> : never) : never;

const WATCH_MS = 100;
/** A device that holds something, is not busy, and has not answered when it was looked at so often stands still. */
const MOST_UNANSWERED = 15;
const STOP_MS = 5000;
/** Signals with which native code ends when it goes wrong. */
const FAULTS = new Set(['SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS']);

/** The agent's handle of one device and its process. */
export class Device {
  /** Rejects with DeviceLost when the process ends before. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #recorder: Recorder;
  readonly #outbox: Outbox;
  readonly #listener: DeviceListener;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #watch: NodeJS.Timeout;
  #lastRequest = 0;
  #hung: Activity | undefined;
  /** Frames that it has to answer. */
  #held = 0;
  #isReady = false;
  /** How often it was looked at since it was asked whether it is there; 0: it was not asked. */
  #unanswered = 0;
  #unusable: string | undefined;
  #gone = false;
  #stopping = false;

  /** Starts a device's process. */
  constructor(options: DeviceOptions, listener: DeviceListener) {
    this.#recorder = Recorder.create();
    this.#outbox = Outbox.create();
    this.#listener = listener;
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
    this.#watch.unref();
    const child = fork(new URL('./thread/process.js', import.meta.url), {
      serialization: 'advanced',
      // Standard output is the agent's own.
      stdio: ['ignore', 2, 2, 'ipc'],
      execArgv: [],
      env: runtimeEnvironment(),
    });
    this.#child = child;
    this.ready = new Promise<void>((resolve, reject) => {
      child.on('message', (message: FromDevice) => {
        if (message.kind === 'ready') {
          this.#isReady = true;
          resolve();
        } else this.#hear(message);
      });
      child.on('error', (error) => {
        // A message that could not be sent: the process is about to end, and its end is dealt with.
        if (child.pid !== undefined) return this.kill();
        const failed = new DeviceLost(`the device's process could not be started: ${error.message}`, 'crash');
        reject(failed);
        this.#lose(failed);
      });
      child.on('exit', (code, signal) => {
        const error = this.#obituary(code, signal);
        reject(error);
        this.#lose(error);
      });
    });
    child.send({ options, recorder: this.#recorder.path, outbox: this.#outbox.path } satisfies Launch);
  }

  /** The process that the device runs in. */
  get pid(): number {
    return this.#child.pid!;
  }

  async load(model: LoadedModel): Promise<void> {
    await this.#ask({ kind: 'load', model });
  }

  /** Gives back all memory that the model takes. */
  async unload(name: string): Promise<void> {
    await this.#ask({ kind: 'unload', name });
  }

  /**
   * One run of a batch; resolves to its duration and what came out.
   *
   * @throws Error when it is to use slack and there is none that holds it
   */
  async measure(measure: Omit<Measure, 'kind' | 'request'>): Promise<Measured> {
    return (await this.#ask({ kind: 'measure', ...measure })) as Measured;
  }

  /** What the device's thread spends on a run beside running it, in microseconds. */
  async turnUs(): Promise<number> {
    return (await this.#ask({ kind: 'turn' })) as number;
  }

  /** A message's way to the device's thread and back, in microseconds. */
  async roundTrip(): Promise<number> {
    const sinceUs = nowUs();
    await this.#ask({ kind: 'ping' });
    return nowUs() - sinceUs;
  }

  /** Programs another schedule; resolves when the dispatcher has taken it over. */
  async program(program: Program): Promise<void> {
    await this.#ask({ kind: 'program', program });
  }

  share({ id, path, slotBytes }: FramePool): void {
    this.#tell({ kind: 'pool', pool: id, path, slotBytes });
  }

  unshare(pool: number): void {
    this.#tell({ kind: 'poolGone', pool });
  }

  submit(frame: Omit<FrameMessage, 'kind'>): void {
    this.#held++;
    this.#tell({ kind: 'frame', ...frame });
  }

  /** Ends the process without asking it. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    if (this.#gone) return;
    this.#stopping = true;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#tell({ kind: 'stop' });
    const timer = setTimeout(() => this.kill(), STOP_MS);
    await ended;
    clearTimeout(timer);
  }

  #tell(message: ToDevice): void {
    // A channel that breaks is followed by the process's end, which is dealt with.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #ask(question: Request): Promise<unknown> {
    const request = ++this.#lastRequest;
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(new DeviceLost('the device is gone', 'crash'));
      this.#waiting.set(request, { resolve, reject });
      this.#tell({ ...question, request });
    });
  }

  #hear(message: Exclude<FromDevice, { kind: 'ready' }>): void {
    switch (message.kind) {
      case 'answer':
        this.#settle(message.request)?.resolve(message.value);
        return;
      case 'refused':
        this.#settle(message.request)?.reject(new Error(message.error));
        return;
      case 'dropped':
        this.#held -= message.ids.length;
        this.#listener.dropped(message.ids, message.why);
        return;
      case 'done':
        this.#held -= message.ids.length;
        this.#listener.batchDone({ ...message, outputs: this.#outbox.unpack(message.outputs) });
        if (message.outputs.offset !== undefined) this.#tell({ kind: 'taken' });
        return;
      case 'ran':
        this.#listener.ran(message);
        return;
      case 'unusable':
        this.#unusable = message.error;
        this.kill();
    }
  }

  #settle(request: number): { resolve: (value: unknown) => void; reject: (error: Error) => void } | undefined {
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    return waiting;
  }

  /** A run that takes too long ends the process, and so does not being there while something is waited for. */
  #look(): void {
    const activity = this.#recorder.read();
    if (activity !== undefined) {
      this.#unanswered = 0;
      if (nowUs() - activity.sinceUs <= activity.limitUs) return;
      this.#hung = activity;
      return this.kill();
    }
    if (this.#unanswered > 0) {
      if (++this.#unanswered > MOST_UNANSWERED) this.kill();
    } else if (this.#isReady && (this.#held > 0 || this.#waiting.size > 0)) {
      this.#unanswered = 1;
      const answered = (): void => {
        this.#unanswered = 0;
      };
      this.#ask({ kind: 'ping' }).then(answered, () => undefined);
    }
  }

  #obituary(code: number | null, signal: string | null): DeviceLost {
    if (this.#hung !== undefined) {
      const { what, model, limitUs } = this.#hung;
      return new DeviceLost(
        `the device hung: a ${what} of model "${model}" took longer than ${Math.round(limitUs / 1000)}ms`,
        'hang',
        model,
      );
    }
    if (this.#unanswered > MOST_UNANSWERED)
      return new DeviceLost(
        `the device's process stood still: it had nothing to run, and did not answer for ${(MOST_UNANSWERED * WATCH_MS) / 1000}s`,
        'hang',
      );
    if (this.#unusable !== undefined) return new DeviceLost(this.#unusable, 'crash');
    const activity = this.#recorder.read();
    const busy = activity === undefined ? '' : ` during a ${activity.what} of model "${activity.model}"`;
    const faulted = signal === null || FAULTS.has(signal);
    return new DeviceLost(
      `the device's process ended with ${signal ?? `code ${code}`}${busy}`,
      'crash',
      faulted ? activity?.model : undefined,
      !faulted,
    );
  }

  #lose(error: DeviceLost): void {
    if (this.#gone) return;
    this.#gone = true;
    clearInterval(this.#watch);
    this.#recorder.close();
    this.#outbox.close();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    if (!this.#stopping) this.#listener.lost(error);
  }
}
