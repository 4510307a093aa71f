import { setTimeout as delay } from 'node:timers/promises';
import { nowUs } from '../../kube/clock.js';
import { FramePool } from './frame-pool.js';
import type { DeviceListener } from './handle.js';
import { Device, DeviceLost } from './handle.js';
import type { BatchDone, DeviceOptions, LoadedModel, Measure, Measured, Program } from './messages.js';

/** What concerns the frames, and what became of the device. */
export interface SupervisorListener extends Omit<DeviceListener, 'lost'> {
  /** The device's process is gone, and frames in flight with it; another one is being started. */
  lost(error: DeviceLost): void;
  /** It serves again what was programmed last. */
  recovered(tookMs: number): void;
  /** It could not be replaced for long; `recovered` tells if it is later. */
  gone(error: string): void;
  /** The model is kept off the device, because it took it down too often. */
  quarantined(model: string, reason: string): void;
}

/** A device that could not be replaced for this long is taken for gone; trying goes on. */
const GONE_MS = 20_000;
/** A model that took the device down this often within the time below is kept off it. */
const MOST_STRIKES = 3;
const STRIKES_EXPIRE_US = 600_000_000;
/** Batches of a model that fail one after the other before the device is taken for faulty. */
const MOST_FAILURES = 10;
const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 30_000;

/**
 * A device that is replaced when its process crashes, hangs or fails batch after batch: it remembers what it was told,
 * and tells it to the next one. A model that is to blame again and again is left out, so that the others can be served.
 */
export class SupervisedDevice {
  readonly #options: DeviceOptions;
  readonly #listener: SupervisorListener;
  readonly #models = new Map<string, LoadedModel>();
  readonly #pools = new Map<number, FramePool>();
  readonly #strikes = new Map<string, number[]>();
  readonly #failures = new Map<string, number>();
  readonly #quarantine = new Map<string, string>();
  #program: Program | undefined;
  #device!: Device;
  #recovery: Promise<void> | undefined;
  #usableOrGone: Promise<void> | undefined;
  #failure: string | undefined;
  #gone = false;
  #lastPool = 0;
  #stopping = new AbortController();

  private constructor(options: DeviceOptions, listener: SupervisorListener) {
    this.#options = options;
    this.#listener = listener;
  }

  /**
   * @param patient whether a device that does not work now is waited for
   * @throws DeviceLost when it does not, and is not
   */
  static async start(options: DeviceOptions, listener: SupervisorListener, patient = false): Promise<SupervisedDevice> {
    const supervised = new SupervisedDevice(options, listener);
    supervised.#device = supervised.#launch();
    try {
      await supervised.#device.ready;
    } catch (error) {
      // Another one is being started already; that is waited for where somebody ended this one.
      if (error instanceof DeviceLost && error.killed) await supervised.#usableOrGone;
      else supervised.#gone = patient;
      if (supervised.#failure !== undefined && !patient) {
        await supervised.stop();
        throw error;
      }
    }
    return supervised;
  }

  /** Whether it has not worked for so long that nobody should count on it. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Why nothing can be served now; undefined when it can. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The process that the device runs in. */
  get pid(): number {
    return this.#device.pid;
  }

  /** Why the model is kept off the device; undefined when it is not. */
  objection(model: string): string | undefined {
    return this.#quarantine.get(model);
  }

  /** A model that has changed gets its chance. */
  pardon(model: string): void {
    this.#quarantine.delete(model);
    this.#strikes.delete(model);
    this.#failures.delete(model);
  }

  /** @throws Error when the model cannot be loaded, or takes the device down each time */
  async load(model: LoadedModel): Promise<void> {
    await this.#attempt(model.name, (device) => device.load(model));
    this.#models.set(model.name, model);
  }

  async unload(name: string): Promise<void> {
    this.#models.delete(name);
    await this.#attempt(undefined, (device) => device.unload(name));
  }

  async measure(measure: Omit<Measure, 'kind' | 'request'>): Promise<Measured> {
    return this.#attempt(measure.input.model, (device) => device.measure(measure));
  }

  async turnUs(): Promise<number> {
    return this.#attempt(undefined, (device) => device.turnUs());
  }

  async roundTrip(): Promise<number> {
    return this.#attempt(undefined, (device) => device.roundTrip());
  }

  /** Programs another schedule; resolves when the dispatcher has taken it over. */
  async program(program: Program): Promise<void> {
    this.#program = program;
    if (this.#gone) return; // told when it is back
    await this.#attempt(undefined, (device) => device.program(this.#healthy(program)));
  }

  newPool(slotBytes: number, slots: number): FramePool {
    const pool = new FramePool(++this.#lastPool, slotBytes, slots);
    this.#pools.set(pool.id, pool);
    this.#device.share(pool);
    return pool;
  }

  /** No more frames will come from this memory. */
  retirePool(pool: FramePool): void {
    pool.retire(() => {
      this.#pools.delete(pool.id);
      this.#device.unshare(pool.id);
    });
  }

  submit(frame: Parameters<Device['submit']>[0]): void {
    this.#device.submit(frame);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#device.stop();
    await this.#recovery;
  }

  /** Does it on a device that works; when that is lost meanwhile, on the next. */
  async #attempt<T>(model: string | undefined, act: (device: Device) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#gone) throw new Error(`the device is gone: ${this.#failure ?? ''}`);
      await this.#usableOrGone;
      if (this.#gone) continue;
      const objection = model === undefined ? undefined : this.#quarantine.get(model);
      if (objection !== undefined) throw new Error(objection);
      try {
        return await act(this.#device);
      } catch (error) {
        if (!(error instanceof DeviceLost) || this.#stopping.signal.aborted) throw error;
      }
    }
  }

  #launch(): Device {
    const listener: DeviceListener = {
      dropped: (ids, why) => this.#listener.dropped(ids, why),
      ran: (done) => this.#listener.ran(done),
      batchDone: (done) => {
        this.#listener.batchDone(done);
        this.#watchFailures(done);
      },
      lost: (error) => this.#lost(error),
    };
    return new Device(this.#options, listener);
  }

  /** A frame may fail for what is in it; whether one after the other fails for what the device has come to is looked at. */
  #watchFailures({ category, error }: BatchDone): void {
    const known = this.#program?.categories.find(({ name }) => name === category);
    if (known === undefined) return;
    const { model, ladder } = known;
    const failures = error === undefined ? 0 : (this.#failures.get(model) ?? 0) + 1;
    this.#failures.set(model, failures);
    if (failures !== MOST_FAILURES) return;
    const device = this.#device;
    device.measure({ input: { model, dims: ladder[0]!.dims }, batch: 1 }).then(
      () => this.#failures.set(model, 0),
      (failed: unknown) => {
        this.#failures.set(model, 0);
        if (failed instanceof DeviceLost) return;
        const reason = `${failures} runs of model "${model}" failed one after the other, the last with: ${error}`;
        this.#strike(model, reason);
        device.kill();
      },
    );
  }

  #strike(model: string, reason: string): void {
    const recent = (this.#strikes.get(model) ?? []).filter((atUs) => nowUs() - atUs < STRIKES_EXPIRE_US);
    this.#strikes.set(model, [...recent, nowUs()]);
    if (recent.length + 1 < MOST_STRIKES || this.#quarantine.has(model)) return;
    const objection = `model "${model}" took the device down ${MOST_STRIKES} times, so it is kept off it until its InferenceModel changes or the agent is started again; ${reason}`;
    this.#quarantine.set(model, objection);
    this.#listener.quarantined(model, objection);
  }

  #lost(error: DeviceLost): void {
    if (error.culprit !== undefined) this.#strike(error.culprit, error.message);
    if (this.#recovery !== undefined) return; // the attempt to recover hears of it, too
    this.#failure = error.message;
    this.#listener.lost(error);
    const sinceUs = nowUs();
    let timer: NodeJS.Timeout | undefined;
    const gone = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.#gone = true;
        this.#listener.gone(this.#failure ?? error.message);
        resolve();
      }, GONE_MS);
    });
    this.#recovery = this.#recover().then(() => {
      this.#recovery = undefined;
      this.#gone = false;
      clearTimeout(timer);
      if (this.#stopping.signal.aborted) return;
      this.#failure = undefined;
      this.#listener.recovered(Math.round((nowUs() - sinceUs) / 1000));
    });
    this.#usableOrGone = Promise.race([this.#recovery, gone]);
  }

  async #recover(): Promise<void> {
    const { signal } = this.#stopping;
    for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS)) {
      try {
        this.#device = this.#launch();
        await this.#device.ready;
        if (signal.aborted) return await this.#device.stop();
        await this.#tellAgain(this.#device);
        return;
      } catch (error) {
        this.#failure = (error as Error).message;
        this.#device.kill();
        await delay(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #tellAgain(device: Device): Promise<void> {
    for (const pool of this.#pools.values()) device.share(pool);
    for (const model of this.#models.values())
      if (!this.#quarantine.has(model.name))
        await device.load(model).catch((error: unknown) => {
          unlessLost(error);
          const reason = `model "${model.name}" could not be loaded again: ${(error as Error).message}`;
          this.#quarantine.set(model.name, reason);
          this.#listener.quarantined(model.name, reason);
        });
    if (this.#program === undefined) return;
    const program = this.#healthy(this.#program);
    // A first run sets things up, which no frame should pay for.
    for (const { model, ladder } of program.categories)
      for (const { dims, points } of ladder)
        for (const { batch, wcetUs } of new Set([points[0]!, points.at(-1)!]))
          await device.measure({ input: { model, dims }, batch, aboutUs: wcetUs }).catch(unlessLost);
    await device.program(program);
  }

  #healthy(program: Program): Program {
    return { ...program, categories: program.categories.filter(({ model }) => !this.#quarantine.has(model)) };
  }
}

function unlessLost(error: unknown): void {
  if (error instanceof DeviceLost) throw error;
}
