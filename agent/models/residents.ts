import type { Logger } from '../../kube/log.js';
import { toUnload } from '../../sched/memory.js';
import type { MemoryMeter } from '../device/memory.js';
import type { CompleteModel } from '../frames.js';
import type { DeviceService } from '../serving/service.js';
import { Turns } from './turns.js';

/** A model's verified file. */
export interface ModelFile {
  readonly model: CompleteModel;
  readonly path: string;
  readonly fileBytes: number;
}

/**
 * Which models are on a device, within its memory: those that somebody was promised, and beside them whatever fits,
 * so that few have to be loaded when a tenant comes.
 */
export class Residents {
  readonly #service: DeviceService;
  readonly #meter: MemoryMeter;
  readonly #log: Logger;
  readonly #baseBytes: number;
  /** What models may take together, in bytes. */
  readonly limitBytes: number;
  readonly #on = new Map<string, { bytes: number }>();
  readonly #lastPromised = new Map<string, number>();
  #promised: ReadonlySet<string> = new Set();
  #promises = 0;
  /** Of what changes the models on the device. */
  readonly #turns = new Turns();

  private constructor(
    service: DeviceService,
    meter: MemoryMeter,
    log: Logger,
    baseBytes: number,
    allowedBytes: number,
  ) {
    this.#service = service;
    this.#meter = meter;
    this.#log = log;
    this.#baseBytes = baseBytes;
    this.limitBytes = Math.max(0, Math.min(allowedBytes, meter.freeBytes - baseBytes));
  }

  /**
   * For a device that has no models yet: what its process takes now counts for none of them.
   *
   * @param allowedBytes what models may take even if more is free
   */
  static async start(
    service: DeviceService,
    meter: MemoryMeter,
    log: Logger,
    allowedBytes = Infinity,
  ): Promise<Residents> {
    const baseBytes = service.ready ? await meter.usedBytes(service.device.pid) : 0;
    return new Residents(service, meter, log, baseBytes, allowedBytes);
  }

  /** What all models take now, in bytes, as the device tells. */
  async usedBytes(): Promise<number> {
    return Math.max(0, (await this.#meter.usedBytes(this.#service.device.pid)) - this.#baseBytes);
  }

  has(name: string): boolean {
    return this.#on.has(name);
  }

  isPromised(name: string): boolean {
    return this.#promised.has(name);
  }

  /** What would have to go so that `bytes` more fit; undefined when what is promised leaves less. */
  victims(bytes: number, promised: ReadonlySet<string> = this.#promised): string[] | undefined {
    const residents = [...this.#on].map(([name, resident]) => ({
      name,
      bytes: resident.bytes,
      promised: promised.has(name),
      lastPromised: this.#lastPromised.get(name) ?? 0,
    }));
    return toUnload(residents, bytes, this.limitBytes);
  }

  /**
   * Loads a model, making room for what it is going to take; one that is there already is replaced.
   *
   * @param bytes what it is known to take
   * @returns what it took to load, in bytes
   * @throws InsufficientMemory when there is no room; Error when it cannot be loaded
   */
  load(file: ModelFile, bytes: number = file.fileBytes): Promise<number> {
    return this.#turns.take(() => this.#load(file, bytes));
  }

  unload(name: string): Promise<void> {
    return this.#turns.take(() => this.#unload(name));
  }

  /**
   * Takes note of what a model has come to take, and unloads others that nobody was promised where that is too much.
   *
   * @returns whether it fits
   */
  grown(name: string, bytes: number): Promise<boolean> {
    return this.#turns.take(async () => {
      const resident = this.#on.get(name);
      if (resident === undefined) return false; // it had to make room for what was promised meanwhile
      resident.bytes = Math.max(resident.bytes, bytes);
      const victims = this.victims(0, new Set([...this.#promised, name]));
      for (const victim of victims ?? []) await this.#unload(victim);
      return victims !== undefined;
    });
  }

  /**
   * From now on somebody is promised to be served with these models and no others: loads what is missing, and unloads
   * what must go for that.
   *
   * @param wanted what they take for what was promised, in bytes
   * @param withdraw ends service with models that go while somebody is still served with them
   * @returns the models that were loaded
   * @throws InsufficientMemory when they do not fit together
   */
  provide(
    files: ReadonlySet<ModelFile>,
    wanted: ReadonlyMap<string, number>,
    withdraw: (going: ReadonlySet<string>) => Promise<void>,
  ): Promise<Set<string>> {
    return this.#turns.take(async () => {
      const names = new Set([...files].map(({ model }) => model.metadata.name));
      const missing = (): ModelFile[] => [...files].filter(({ model }) => !this.#on.has(model.metadata.name));
      const bytesOf = ({ model, fileBytes }: ModelFile): number => wanted.get(model.metadata.name) ?? fileBytes;
      const needed = (): number => missing().reduce((sum, file) => sum + bytesOf(file), 0);
      let victims = this.victims(needed(), names);
      if (victims === undefined) {
        // One that was measured may take more than it will for what was promised: it is loaded afresh.
        for (const name of names) if (!this.#promised.has(name)) await this.#unload(name);
        victims = this.victims(needed(), names);
      }
      if (victims === undefined) throw new InsufficientMemory([...names].join('", "'), needed(), this.limitBytes);
      if (victims.some((name) => this.#promised.has(name))) await withdraw(new Set(victims));
      for (const name of victims) await this.#unload(name);
      this.#promises++;
      for (const name of [...this.#promised, ...names]) this.#lastPromised.set(name, this.#promises);
      this.#promised = names;
      const arriving = missing();
      for (const file of arriving) await this.#load(file, bytesOf(file));
      return new Set(arriving.map(({ model }) => model.metadata.name));
    });
  }

  async #load({ model, path, fileBytes }: ModelFile, bytes: number): Promise<number> {
    const { name } = model.metadata;
    // One that is being served with is replaced without a gap, where both fit.
    if (!this.#promised.has(name) || this.victims(bytes) === undefined) await this.#unload(name);
    const victims = this.victims(bytes);
    if (victims === undefined) throw new InsufficientMemory(name, bytes, this.limitBytes);
    for (const victim of victims) await this.#unload(victim);
    const beforeBytes = await this.usedBytes();
    await this.#service.load(model, path);
    // Memory that others gave back may be used again without the process growing.
    const loadedBytes = Math.max(fileBytes, (await this.usedBytes()) - beforeBytes);
    this.#on.set(name, { bytes: Math.max(bytes, loadedBytes) });
    this.#log.info({ device: this.#service.index, model: name, memory: mebibytes(loadedBytes) }, 'model loaded');
    return loadedBytes;
  }

  async #unload(name: string): Promise<void> {
    if (!this.#on.delete(name)) return;
    await this.#service.unload(name);
    this.#log.info({ device: this.#service.index, model: name }, 'model unloaded');
  }
}

export class InsufficientMemory extends Error {
  constructor(model: string, bytes: number, limitBytes: number) {
    super(
      `model "${model}" needs ${mebibytes(bytes)} of the ${mebibytes(limitBytes)} of device memory, and what is promised leaves less`,
    );
  }
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 1024 ** 2)}Mi`;
