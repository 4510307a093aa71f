import type { ResourceOf } from '../../api/manifests.js';
import type { ScheduleDevice } from '../../api/schedule.js';
import type { Promised } from '../../sched/promise.js';
import type { CompleteModel } from '../frames.js';
import type { DeviceOptions } from '../device/messages.js';
import type { LibraryOptions } from '../models/library.js';
import { Library } from '../models/library.js';
import { beside, besideName, isBeside, ownName, withNewer } from '../models/newer.js';
import type { Residents } from '../models/residents.js';
import { Turns } from '../models/turns.js';
import type { DeviceService } from '../serving/service.js';
import { isStale } from './correction.js';
import { ModelsInService } from './models-in-service.js';
import type { NodeOf } from './profile-node.js';
import { profileNode } from './profile-node.js';
import type { Profile, Progress } from './profile.js';
import { readProfile, removeProfile, writeProfile } from './store.js';
import type { WatchedKeeper } from './watch.js';
import { ProfileWatch } from './watch.js';

type Model = ResourceOf<'InferenceModel'>;

export interface ProfileKeeperOptions extends NodeOf, LibraryOptions {
  readonly node: string;
  readonly device: DeviceOptions;
  readonly progress: Progress;
  /** By which execution times the device is promised. */
  readonly promise?: Promised;
}

/** Sole owner of a device's profile: brings the catalogue's models, measures them, keeps what was measured. A model that cannot be had concerns its own tenants only. */
export class ProfileKeeper implements WatchedKeeper {
  readonly #service: DeviceService;
  readonly #residents: Residents;
  readonly #options: ProfileKeeperOptions;
  readonly #library: Library;
  readonly #serving: ModelsInService;
  readonly #watch: ProfileWatch;
  #profile: Profile | undefined;
  /** Measurements side by side would falsify each other. */
  readonly #measuring = new Turns();
  /** A profile that could not be stored. */
  #unkept: Profile | undefined;
  /** The models that the device refused when the profile was made. */
  #refused = '';

  constructor(service: DeviceService, residents: Residents, options: ProfileKeeperOptions) {
    this.#service = service;
    this.#residents = residents;
    this.#options = options;
    this.#library = new Library(options);
    this.#serving = new ModelsInService(service, residents, this.#library, options.log);
    this.#watch = new ProfileWatch(this, service, options);
  }

  /** The newest complete measurement. */
  get profile(): Profile | undefined {
    return this.#profile;
  }

  /** Why models cannot be served, by model. */
  get unavailable(): ReadonlyMap<string, string> {
    const all = new Map<string, string>();
    for (const model of this.#library.names) {
      const objection = this.#service.gone ?? this.#service.device.objection(model) ?? this.#library.objection(model);
      if (objection !== undefined) all.set(model, objection);
    }
    return all;
  }

  /** How long until a model that could not be had is tried again by `bring`; undefined when there is none. */
  get retryInMs(): number | undefined {
    return this.#library.retryInMs;
  }

  /**
   * Fetches models that are new or changed and measures what is not measured yet. Resolves to the device's profile, the
   * same object as before when nothing changed.
   *
   * @param baseDirOf where a model's relative file URI starts
   */
  bring(models: readonly Model[], baseDirOf: (model: Model) => string): Promise<Profile> {
    return this.#measuring.take(() => this.#bring(models, baseDirOf));
  }

  async #bring(models: readonly Model[], baseDirOf: (model: Model) => string): Promise<Profile> {
    // What takes the device down is not tried again before it changes.
    const mayRetry = (name: string): boolean => this.#service.device.objection(name) === undefined;
    const changed = await this.#library.fetch(models, baseDirOf, mayRetry);
    const left = this.#library.names.filter((name) => !models.some(({ metadata }) => metadata.name === name));
    for (const name of left) this.#library.forget(name);
    for (const file of this.#library.newer)
      if (!this.#serving.isMeasuredBeside(file)) await this.#serving.replace(file);
    const refused = [...this.unavailable.keys()].sort().join();
    if (!changed && left.length === 0 && refused === this.#refused && this.#profile !== undefined) return this.#profile;
    try {
      this.take(await this.#measure(models));
    } catch (error) {
      if (this.#service.gone === undefined) throw error;
      this.take(await this.#measure(models)); // which says that it is gone
    }
    this.#refused = [...this.unavailable.keys()].sort().join();
    return this.#profile!;
  }

  /** What the device serves by; undefined before it was told. */
  get schedule(): ScheduleDevice | undefined {
    return this.#serving.schedule;
  }

  /**
   * Serves by a schedule that was checked, where the device does not do so already by the newest profile.
   *
   * @returns whether there was anything to do
   * @throws Error when its models do not fit into the device's memory
   */
  serve(schedule: ScheduleDevice): Promise<boolean> {
    return this.#serving.serve(schedule, this.#profile?.status ?? {});
  }

  /**
   * Looks again and again whether the device still does what was measured.
   *
   * @param changed told of each new profile, and of its having become stale
   */
  watch(changed: () => void): { stop: () => Promise<void> } {
    return this.#watch.start(changed);
  }

  /** Measures everything again, once `watch` looks; resolves when it was. */
  measureAgain(): Promise<void> {
    return this.#watch.again();
  }

  exclusively<T>(act: () => Promise<T>): Promise<T> {
    return this.#measuring.take(act);
  }

  models(): Map<string, CompleteModel> {
    return new Map(this.#library.files.map(({ model }) => [model.metadata.name, model]));
  }

  amend(profile: Profile): void {
    this.#profile = profile;
    this.#service.metrics.profileStale.set({ device: `${this.#service.index}` }, isStale(profile) ? 1 : 0);
  }

  async keep(profile: Profile): Promise<void> {
    this.amend(profile);
    await this.#store(profile);
  }

  take(profile: Profile): void {
    this.amend(profile);
    this.#watch.expect(profile);
  }

  async measureAnew(): Promise<void> {
    const { stateDir, node } = this.#options;
    await removeProfile(stateDir, `${node}-${this.#service.index}`);
    this.take(await this.#measure([...this.models().values()]));
  }

  async lookAfter(): Promise<void> {
    const { metrics, index } = this.#service;
    const device = `${index}`;
    metrics.memory.set({ device, kind: 'limit' }, this.#residents.limitBytes);
    metrics.memory.set({ device, kind: 'used' }, await this.#residents.usedBytes());
    if (this.#unkept !== undefined) await this.#store(this.#unkept);
  }

  async #measure(models: readonly Model[]): Promise<Profile> {
    const { device, node, stateDir, log, progress } = this.#options;
    const { unavailable } = this;
    const files = this.#library.files.filter(({ model }) => !unavailable.has(model.metadata.name));
    const newer = this.#library.newer;
    const stored = await readProfile(stateDir, `${node}-${this.#service.index}`).catch((error: unknown) => {
      log.warn({ error: (error as Error).message }, 'the stored profile is not taken; measuring again');
      return undefined;
    });
    const {
      profile: found,
      failures,
      measured,
    } = await profileNode(
      this.#service,
      this.#residents,
      device,
      node,
      [...files, ...newer.map(beside)],
      stored,
      progress,
      this.#options,
    );
    for (const [model, error] of failures) {
      if (isBeside(model)) this.#library.hold(ownName(model), error);
      else this.#library.fail(model, error);
      log.error({ model: ownName(model), error }, 'model cannot be measured');
    }
    const profile = withNewer(found);
    for (const file of newer) {
      await this.#residents.unload(besideName(file.model.metadata.name));
      if (!failures.has(besideName(file.model.metadata.name))) await this.#serving.exchange(file, profile.status ?? {});
    }
    await this.#serving.preload(profile.status ?? {}, this.unavailable);
    const { promise = 'Firm' } = this.#options;
    const complete = { ...profile, status: { ...profile.status, promise, models: this.#describe(models, profile) } };
    if (measured) await this.#store(complete);
    log.info({ node, measured, categories: profile.status?.categories?.length ?? 0 }, 'profile ready');
    return complete;
  }

  /** Stores a profile for the next start. One that cannot be stored serves all the same. */
  async #store(profile: Profile): Promise<void> {
    const { stateDir, log } = this.#options;
    try {
      await writeProfile(stateDir, profile);
      this.#unkept = undefined;
    } catch (error) {
      this.#unkept = profile;
      log.error(
        { error: (error as Error).message },
        `the profile cannot be stored under --state ${stateDir}; it is served by, and tried again: does the folder have space, and may this user write there?`,
      );
    }
  }

  /** What the profile says of the catalogue's models: which can be served, and why not the others. */
  #describe(models: readonly Model[], { status }: Profile): NonNullable<NonNullable<Profile['status']>['models']> {
    const { unavailable } = this;
    return models.map(({ metadata: { name }, spec: { sha256 } }) => {
      const message = unavailable.get(name);
      const memoryBytes = status?.models?.find((each) => each.name === name)?.memoryBytes;
      const held = this.#library.heldBack(name);
      const why =
        message ??
        (held && `the newest version cannot be served, so the one before goes on: ${held}`) ??
        this.#library.sourceNote(name);
      return {
        name,
        sha256: this.#library.file(name)?.model.spec.sha256 ?? sha256,
        ready: message === undefined,
        ...(why === undefined ? {} : { message: why }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      };
    });
  }
}
