import { isDeepStrictEqual } from 'node:util';
import { sameShape } from '../../api/names.js';
import type { ScheduleDevice } from '../../api/schedule.js';
import type { Logger } from '../../kube/log.js';
import { memoryFor, modelBytes, profiledMemory } from '../../sched/memory.js';
import type { Library } from '../models/library.js';
import type { ModelFile, Residents } from '../models/residents.js';
import { InsufficientMemory } from '../models/residents.js';
import type { ProfileStatus } from '../serving/recheck.js';
import { recheck } from '../serving/recheck.js';
import type { DeviceService } from '../serving/service.js';
import { fingerprint, warmUp } from './measure.js';

/** Has the models on a device that its schedule is served with, and newer versions take their places. */
export class ModelsInService {
  readonly #service: DeviceService;
  readonly #residents: Residents;
  readonly #library: Library;
  readonly #log: Logger;
  /** What the device serves by. */
  #schedule: ScheduleDevice | undefined;
  /** What it was asked to serve by, and the profile that this was checked against. */
  #asked: { readonly schedule: ScheduleDevice; readonly profile: ProfileStatus } | undefined;

  constructor(service: DeviceService, residents: Residents, library: Library, log: Logger) {
    this.#service = service;
    this.#residents = residents;
    this.#library = library;
    this.#log = log;
  }

  /** What the device serves by; where that was less than it was asked for, for want of memory, what it was asked for. */
  get schedule(): ScheduleDevice | undefined {
    return this.#asked?.schedule ?? this.#schedule;
  }

  /**
   * Serves by a schedule that was checked: its models are brought onto the device, others leave where they have to, and
   * the dispatcher takes it over. Does nothing where it does so already, by the same profile.
   *
   * @returns whether there was anything to do
   * @throws Error when its models do not fit into the device's memory
   */
  async serve(schedule: ScheduleDevice, profile: ProfileStatus): Promise<boolean> {
    if (this.#asked?.profile === profile && isDeepStrictEqual(this.#asked.schedule, schedule)) return false;
    try {
      await this.#serve(schedule, profile);
    } catch (error) {
      // Whoever is served in spare time only must not stand in the way of those who were promised something.
      if (!(error instanceof InsufficientMemory) || schedule.spare === undefined) throw error;
      this.#log.warn({ error: error.message }, 'no memory for tenants that are served in spare time');
      const { spare: _, ...promised } = schedule;
      await this.#serve(promised, profile);
    }
    this.#asked = { schedule, profile };
    return true;
  }

  async #serve(schedule: ScheduleDevice, profile: ProfileStatus): Promise<void> {
    const served = [...schedule.categories, ...(schedule.spare ?? [])];
    const wanted = memoryFor(profiledMemory(profile), served);
    const files = served.flatMap(({ model }) => this.#library.file(model) ?? []);
    const arrived = await this.#residents.provide(new Set(files), wanted, async (going) => {
      const stays = ({ model }: { model: string }): boolean => this.#residents.has(model) && !going.has(model);
      const spare = (schedule.spare ?? []).filter(stays);
      await this.#service.apply({ ...schedule, spare, categories: schedule.categories.filter(stays) }, profile);
    });
    for (const { model, shape } of served) if (arrived.has(model)) await this.#warmUp(profile, model, shape);
    await this.#service.apply(schedule, profile);
    this.#schedule = schedule;
  }

  /**
   * Whether a newer version of a model is measured beside the one that is served, before it takes its place. Where it is the
   * same network, or both do not fit, it takes its place at once.
   */
  isMeasuredBeside({ model, fileBytes }: ModelFile): boolean {
    const { name } = model.metadata;
    return (
      this.#residents.isPromised(name) &&
      fingerprint(model) !== fingerprint(this.#library.file(name)!.model) &&
      this.#residents.victims(fileBytes) !== undefined
    );
  }

  /** A model has changed: what is on the device is the old one. */
  async replace({ model: { metadata } }: ModelFile): Promise<void> {
    const { name } = metadata;
    this.#library.promote(name);
    this.#service.device.pardon(name);
    if (this.#residents.isPromised(name)) await this.#residents.load(this.#library.file(name)!);
    else await this.#residents.unload(name);
  }

  /**
   * A newer version that was measured takes the place of the one that is served: without a gap where the schedule holds with
   * it, else after its tenants are withdrawn, for whom the next schedule then says what they get.
   */
  async exchange(file: ModelFile, status: ProfileStatus): Promise<void> {
    const { metadata, spec } = file.model;
    const { name } = metadata;
    const schedule = this.#schedule;
    const fits = schedule !== undefined && recheck(schedule, status).refusal === undefined;
    const others = schedule && {
      ...schedule,
      categories: schedule.categories.filter(({ model }) => model !== name),
      spare: (schedule.spare ?? []).filter(({ model }) => model !== name),
    };
    if (!fits && others !== undefined) await this.#service.apply(others, status);
    await this.replace(file);
    if (this.#residents.has(name)) for (const shape of spec.shapes) await this.#warmUp(status, name, shape);
    if (fits) await this.#service.apply(schedule, status);
    if (!fits) [this.#schedule, this.#asked] = [others, undefined];
    this.#log.info(
      { device: this.#service.index, model: name, fits },
      'a newer version of the model serves from now on',
    );
  }

  /** Loads what fits beside the others without anything having to go, so that it is there when a tenant comes. */
  async preload(profile: ProfileStatus, unavailable: ReadonlyMap<string, string>): Promise<void> {
    const memory = profiledMemory(profile);
    for (const file of this.#library.files) {
      const { name } = file.model.metadata;
      const { shapes } = file.model.spec;
      const bytes = modelBytes(memory.get(name) ?? { weightsBytes: file.fileBytes, workspaceBytes: new Map() }, shapes);
      if (unavailable.has(name) || this.#residents.has(name)) continue;
      if (this.#residents.victims(bytes)?.length !== 0) continue;
      try {
        await this.#residents.load(file, bytes);
        for (const shape of shapes) await this.#warmUp(profile, name, shape);
      } catch (error) {
        this.#library.fail(name, (error as Error).message);
        this.#log.error({ model: name, error: (error as Error).message }, 'model not available');
      }
    }
  }

  async #warmUp(profile: ProfileStatus, name: string, shape: readonly number[]): Promise<void> {
    const { model } = this.#library.file(name)!;
    const category = profile.categories?.find((each) => each.model === name && sameShape(each.shape, shape));
    if (category !== undefined) await warmUp(this.#service, model, category);
  }
}
