import { Worker } from 'node:worker_threads';
import { nowUs } from '../clock.js';
import type { Bell } from '../dispatch/wait.js';
import { newBell, ring } from '../dispatch/wait.js';
import { FramePool } from './frame-pool.js';
import type {
  BatchDone,
  DeviceOptions,
  FromDevice,
  JobDone,
  LoadedModel,
  Measured,
  ModelInput,
  Program,
  ToDevice,
} from './messages.js';

/** What a device tells while it serves. */
export interface DeviceListener {
  /** A batch has run, or failed; its frames' slots are free again. */
  batchDone(done: BatchDone): void;
  /** Frames whose category was withdrawn before they ran. */
  dropped(ids: readonly number[]): void;
  jobDone(done: JobDone): void;
  /** The device's thread is gone. */
  lost(error: Error): void;
}

type Request = ToDevice extends infer M ? (M extends { request: number } ? Omit<M, 'request'> : never) : never;

/** The main thread's handle of one device and its thread. */
export class Device {
  readonly #worker: Worker;
  readonly #bell: Bell;
  readonly #listener: DeviceListener;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #lastRequest = 0;
  #lastPool = 0;
  #stopped = false;

  private constructor(worker: Worker, bell: Bell, listener: DeviceListener) {
    this.#worker = worker;
    this.#bell = bell;
    this.#listener = listener;
  }

  /** Starts a device's thread. */
  static async start(options: DeviceOptions, listener: DeviceListener): Promise<Device> {
    const bell = newBell();
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: { options, bell } });
    const device = new Device(worker, bell, listener);
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (message: FromDevice) => {
        if (message.kind === 'ready') resolve();
        else device.#hear(message);
      });
      worker.on('error', (error) => {
        reject(error as Error);
        device.#lose(error as Error);
      });
      worker.on('exit', (code) => {
        if (!device.#stopped) device.#lose(new Error(`the device's thread ended with code ${code}`));
      });
    });
    return device;
  }

  async load(model: LoadedModel): Promise<void> {
    await this.#ask({ kind: 'load', model });
  }

  /** One run of a batch; resolves to its duration and what came out. */
  async measure(input: ModelInput, batch: number): Promise<Measured> {
    return (await this.#ask({ kind: 'measure', input, batch })) as Measured;
  }

  /** How late the device's thread wakes up for an instant `afterUs` from now, in microseconds. */
  async wakeLateness(afterUs: number): Promise<number> {
    return (await this.#ask({ kind: 'wake', afterUs })) as number;
  }

  /** Programs another schedule; resolves when the dispatcher has taken it over. */
  async program(program: Program): Promise<void> {
    await this.#ask({ kind: 'program', program });
  }

  newPool(slotBytes: number, slots: number): FramePool {
    const pool = new FramePool(++this.#lastPool, slotBytes, slots);
    this.#tell({ kind: 'pool', pool: pool.id, memory: pool.memory, slotBytes });
    return pool;
  }

  /** Hands a filled slot over; its window is the one open now. Returns that instant. */
  submit(id: number, category: string, pool: FramePool, slot: number): number {
    const atUs = nowUs();
    this.#tell({ kind: 'frame', id, category, pool: pool.id, slot, atUs });
    return atUs;
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    const ended = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#tell({ kind: 'stop' });
    await ended;
  }

  #tell(message: ToDevice): void {
    this.#worker.postMessage(message);
    ring(this.#bell);
  }

  #ask(question: Request): Promise<unknown> {
    const request = ++this.#lastRequest;
    return new Promise((resolve, reject) => {
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
        this.#listener.dropped(message.ids);
        return;
      case 'done':
        if (message.ids.length > 0) this.#listener.batchDone(message);
        return;
      case 'job':
        this.#listener.jobDone(message);
    }
  }

  #settle(request: number): { resolve: (value: unknown) => void; reject: (error: Error) => void } | undefined {
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    return waiting;
  }

  #lose(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#listener.lost(error);
  }
}
