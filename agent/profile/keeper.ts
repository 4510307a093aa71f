import { setTimeout as delay } from 'node:timers/promises';
import type { ResourceOf } from '../../api/manifests.js';
import { sameShape, categoryName } from '../../api/names.js';
import type { ScheduleDevice } from '../../api/schedule.js';
import { timestamp, nowUs } from '../../kube/clock.js';
import { memoryFor, modelBytes, profiledMemory } from '../../sched/memory.js';
import type { Promised } from '../../sched/promise.js';
import type { DeviceOptions } from '../device/messages.js';
import type { LibraryOptions } from '../models/library.js';
import { Library } from '../models/library.js';
import { beside, besideName, isBeside, ownName, withNewer } from '../models/newer.js';
import type { ModelFile, Residents } from '../models/residents.js';
import { InsufficientMemory } from '../models/residents.js';
import { Turns } from '../models/turns.js';
import { recheck } from '../serving/recheck.js';
import type { DeviceService } from '../serving/service.js';
import { Contention } from './contention.js';
import { corrected, isStale, measureFactors, wasDoubted, withStale } from './correction.js';
import type { CategoryDrift } from './drift.js';
import { DriftEstimate, Persistence, verdictOn } from './drift.js';
import type { NodeOf } from './profile-node.js';
import { profileNode } from './profile-node.js';
import type { Profile, Progress } from './profiler.js';
import { fingerprint, warmUp } from './profiler.js';
import { SoftPromise } from './soft.js';
import { readProfile, removeProfile, writeProfile } from './store.js';

type Model = ResourceOf<'InferenceModel'>;

const DRIFT_CHECK_MS = 2000;
/** How long others must have left the cores alone. */
const CALM_US = 10_000_000;
const MEMORY_CHECK_MS = 30_000;
/** Where measuring again found nothing, it is not done again before this long, then ever more rarely. */
const FIRST_PATIENCE_MS = 10_000;
const LONGEST_PATIENCE_MS = 600_000;

export interface ProfileKeeperOptions extends NodeOf, LibraryOptions {
  readonly node: string;
  readonly device: DeviceOptions;
  readonly progress: Progress;
  /** By which execution times the device is promised. */
  readonly promise?: Promised;
}

/** Brings the catalogue's models onto a device and keeps its profile. A model that cannot be had concerns its own tenants only. */
export class ProfileKeeper {
  readonly #service: DeviceService;
  readonly #residents: Residents;
  readonly #options: ProfileKeeperOptions;
  readonly #library: Library;
  /** What the device serves by. */
  #schedule: ScheduleDevice | undefined;
  readonly #drift = new DriftEstimate();
  readonly #persistence = new Persistence();
  readonly #soft = new SoftPromise();
  /** Whether others take much of the cores, looked at again and again while the profile was measured beside such. */
  #others: Contention | undefined;
  #measuredInCalm = false;
  #toldDrifts: readonly string[] = [];
  #patienceMs = FIRST_PATIENCE_MS;
  #patientUntilMs = 0;
  /** When categories that do not run are looked at again, and how long after that. */
  #quietAtMs = 0;
  #quietMs = FIRST_PATIENCE_MS;
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
    for (const file of this.#library.newer) if (!this.#isMeasuredBeside(file)) await this.#replace(file);
    const refused = [...this.unavailable.keys()].sort().join();
    if (!changed && left.length === 0 && refused === this.#refused && this.#profile !== undefined) return this.#profile;
    try {
      this.#take(await this.#measure(models));
    } catch (error) {
      if (this.#service.gone === undefined) throw error;
      this.#take(await this.#measure(models)); // which says that it is gone
    }
    this.#refused = [...this.unavailable.keys()].sort().join();
    return this.#profile!;
  }

  /**
   * Serves by a schedule that was checked: its models are brought onto the device, others leave where they have to, and
   * the dispatcher takes it over.
   *
   * @throws Error when its models do not fit into the device's memory
   */
  async serve(schedule: ScheduleDevice): Promise<void> {
    try {
      await this.#serve(schedule);
    } catch (error) {
      // Whoever is served in spare time only must not stand in the way of those who were promised something.
      if (!(error instanceof InsufficientMemory) || schedule.spare === undefined) throw error;
      this.#options.log.warn({ error: error.message }, 'no memory for tenants that are served in spare time');
      const { spare: _, ...promised } = schedule;
      await this.#serve(promised);
    }
  }

  async #serve(schedule: ScheduleDevice): Promise<void> {
    const profile = this.#profile?.status ?? {};
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
  #isMeasuredBeside({ model, fileBytes }: ModelFile): boolean {
    const { name } = model.metadata;
    return (
      this.#residents.isPromised(name) &&
      fingerprint(model) !== fingerprint(this.#library.file(name)!.model) &&
      this.#residents.victims(fileBytes) !== undefined
    );
  }

  /** A model has changed: what is on the device is the old one. */
  async #replace({ model: { metadata } }: ModelFile): Promise<void> {
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
  async #exchange(file: ModelFile, profile: Profile): Promise<void> {
    const { metadata, spec } = file.model;
    const { name } = metadata;
    const status = profile.status ?? {};
    const schedule = this.#schedule;
    const fits = schedule !== undefined && recheck(schedule, status).refusal === undefined;
    const others = schedule && {
      ...schedule,
      categories: schedule.categories.filter(({ model }) => model !== name),
      spare: (schedule.spare ?? []).filter(({ model }) => model !== name),
    };
    if (!fits && others !== undefined) await this.#service.apply(others, status);
    await this.#replace(file);
    if (this.#residents.has(name)) for (const shape of spec.shapes) await this.#warmUp(status, name, shape);
    if (fits) await this.#service.apply(schedule, status);
    this.#schedule = fits ? schedule : others;
    this.#options.log.info(
      { device: this.#service.index, model: name, fits },
      'a newer version of the model serves from now on',
    );
  }

  /** Loads what fits beside the others without anything having to go, so that it is there when a tenant comes. */
  async #preload(profile: Profile): Promise<void> {
    const memory = profiledMemory(profile.status ?? {});
    for (const file of this.#library.files) {
      const { name } = file.model.metadata;
      const { shapes } = file.model.spec;
      const bytes = modelBytes(memory.get(name) ?? { weightsBytes: file.fileBytes, workspaceBytes: new Map() }, shapes);
      if (this.unavailable.has(name) || this.#residents.has(name)) continue;
      if (this.#residents.victims(bytes)?.length !== 0) continue;
      try {
        await this.#residents.load(file, bytes);
        for (const shape of shapes) await this.#warmUp(profile.status, name, shape);
      } catch (error) {
        this.#library.fail(name, (error as Error).message);
        this.#options.log.error({ model: name, error: (error as Error).message }, 'model not available');
      }
    }
  }

  async #warmUp(profile: Profile['status'], name: string, shape: readonly number[]): Promise<void> {
    const { model } = this.#library.file(name)!;
    const category = profile?.categories?.find((each) => each.model === name && sameShape(each.shape, shape));
    if (category !== undefined) await warmUp(this.#service, model, category);
  }

  /**
   * Looks again and again whether the device still does what was measured, and corrects the profile when it does not.
   *
   * @param changed told of each new profile, and of its having become stale
   */
  watchDrift(changed: () => void): { stop: () => Promise<void> } {
    this.#service.onRan = (ran) => this.#drift.note(ran, performance.now());
    const stop = new AbortController();
    let memoryAtMs = -Infinity;
    const running = (async () => {
      while (!stop.signal.aborted) {
        await delay(DRIFT_CHECK_MS, undefined, { signal: stop.signal }).catch(() => undefined);
        try {
          if (!stop.signal.aborted && performance.now() - memoryAtMs > MEMORY_CHECK_MS) {
            memoryAtMs = performance.now();
            await this.#tellMemory();
            if (this.#unkept !== undefined) await this.#keep(this.#unkept);
          }
          if (!stop.signal.aborted) await this.#measuring.take(() => this.#checkDrift(changed));
        } catch (error) {
          this.#options.log.warn({ error: (error as Error).message }, 'the profile could not be checked');
        }
      }
    })();
    return {
      stop: async () => {
        this.#service.onRan = undefined;
        stop.abort();
        await running;
      },
    };
  }

  async #checkDrift(changed: () => void): Promise<void> {
    const profile = this.#profile;
    if (profile?.status === undefined || !this.#service.ready) return this.#tellDrifts(new Map());
    await this.#checkStages(profile, changed);
    this.#checkPromise(changed);
    const drifts = await this.#drift.drifts(performance.now());
    if (await this.#checkContention(drifts, changed)) return;
    this.#tellDrifts(drifts);
    const strays = this.#persistence.look(drifts, performance.now());
    const told = strays.map((name) => `${name} takes ${drifts.get(name)!.median.toFixed(2)} times as long as measured`);
    if (strays.length > 0 && performance.now() >= this.#patientUntilMs) {
      this.#options.log.warn({ drift: told }, 'the profile is stale; measuring again between the promised jobs');
      const stale = withStale(profile, 'True', 'Drift', told.join(', '), timestamp());
      const suspect = { ...profile, status: { ...profile.status, conditions: stale } };
      this.#profile = suspect;
      this.#service.metrics.profileStale.set({ device: `${this.#service.index}` }, 1);
      changed();
      this.#drift.forget();
      const isSuspect = (name: string): boolean => strays.includes(name) || !drifts.has(name);
      const better = await this.#measureAgain(suspect, isSuspect, drifts, changed);
      this.#patientUntilMs = better ? 0 : performance.now() + this.#patienceMs;
      this.#patienceMs = better ? FIRST_PATIENCE_MS : Math.min(2 * this.#patienceMs, LONGEST_PATIENCE_MS);
      if (better) this.#quietMs = FIRST_PATIENCE_MS;
      this.#quietAtMs = performance.now() + this.#quietMs;
    } else if (wasDoubted(profile) && performance.now() >= this.#quietAtMs) {
      // Whom a slower device has cost their place runs nothing that could show that it is fast again.
      const better = await this.#measureAgain(profile, (name) => !drifts.has(name), drifts, changed);
      this.#quietMs = better ? FIRST_PATIENCE_MS : Math.min(2 * this.#quietMs, LONGEST_PATIENCE_MS);
      this.#quietAtMs = performance.now() + this.#quietMs;
    }
  }

  /** What frames take of the stages is learned from those that come. */
  async #checkStages(profile: Profile, changed: () => void): Promise<void> {
    const { stages } = this.#options;
    if (stages.correct()) this.#options.log.info({ stages: stages.value }, 'live frames correct what stages take');
    if (stages.value === undefined || profile.status?.stages === stages.value) return;
    this.#profile = { ...profile, status: { ...profile.status, stages: stages.value } };
    await this.#keep(this.#profile);
    changed();
  }

  /** A profile that was measured beside others is measured again once they are gone. Returns whether it was. */
  async #checkContention(drifts: ReadonlyMap<string, CategoryDrift>, changed: () => void): Promise<boolean> {
    const { stateDir, node, decode, stages, log } = this.#options;
    const profiled = this.#profile?.status?.conditions?.find(({ type }) => type === 'Profiled');
    if (profiled?.reason !== 'Contended') return false;
    this.#others ??= new Contention(() => [process.pid, this.#service.device.pid, ...decode.pids]);
    if (this.#others.lastsUs < CALM_US) return false;
    const { much } = this.#others;
    this.#others.restart();
    // Whoever is promised something by the figures as they are is not disturbed: a few runs in slack must do.
    const promised = this.#service.served().some(({ terms }) => terms.promised);
    if (much || (promised && this.#measuredInCalm)) return false;
    if ([...drifts.values()].some((drift) => verdictOn(drift) === 'slower')) return false;
    log.info({ node, promised }, 'other processes have left the cores alone; measuring again');
    if (promised) {
      this.#measuredInCalm = true;
      await this.#measureAgain(this.#profile!, () => true, drifts, changed);
      return true;
    }
    stages.forget();
    await removeProfile(stateDir, `${node}-${this.#service.index}`);
    this.#take(await this.#measure([...this.#models().values()]));
    changed();
    return true;
  }

  /** A soft promise ends when more frames are late than it allows; the operator admits anew. */
  #checkPromise(changed: () => void): void {
    const { promisedFrames: frames, misses: late } = this.#service.books;
    const firm = this.#soft.withdrawn(this.#profile!, { frames, late }, nowUs());
    if (firm === undefined) return;
    this.#profile = firm;
    this.#options.log.warn({}, firm.status!.conditions!.at(-1)!.message);
    changed();
  }

  /**
   * Measures categories of the profile again, and corrects it where that is worth it. Returns whether it was.
   *
   * @param drifts what live runs had shown when that was decided
   */
  async #measureAgain(
    profile: Profile,
    isSuspect: (name: string) => boolean,
    drifts: ReadonlyMap<string, CategoryDrift>,
    changed: () => void,
  ): Promise<boolean> {
    // Where frames' content decides, noise does not overrule what live runs have shown.
    const suspects = (profile.status?.categories ?? []).filter(({ model, shape, byContent }) => {
      const name = categoryName(model, shape);
      return isSuspect(name) && (byContent !== true || drifts.has(name));
    });
    const factors = await measureFactors(this.#service, suspects, this.#models(), drifts, () =>
      this.#drift.drifts(performance.now()),
    );
    if (this.#profile !== profile) return false; // models came or went meanwhile
    const now = timestamp();
    const better = corrected(profile, factors, now);
    if (better === undefined && !isStale(profile)) return false;
    const fine = withStale(profile, 'False', 'Confirmed', 'measured again, with the same result', now);
    if (better !== undefined) await this.#keep(better);
    this.#take(better ?? { ...profile, status: { ...profile.status, conditions: fine } });
    this.#options.log.info(
      {
        factors: Object.fromEntries(factors.factors),
        byContent: [...factors.byContent],
        corrected: better !== undefined,
      },
      'the profile was measured again',
    );
    changed();
    return better !== undefined;
  }

  /** A category that does not run now has no ratios: an alert must not go on about it. */
  #tellDrifts(drifts: ReadonlyMap<string, CategoryDrift>): void {
    const { runMedianRatio, runWcetRatio } = this.#service.metrics;
    const device = `${this.#service.index}`;
    for (const category of this.#toldDrifts)
      if (!drifts.has(category)) for (const gauge of [runMedianRatio, runWcetRatio]) gauge.remove({ device, category });
    for (const [category, { median, p95OfWcet }] of drifts) {
      runMedianRatio.set({ device, category }, median);
      runWcetRatio.set({ device, category }, p95OfWcet);
    }
    this.#toldDrifts = [...drifts.keys()];
  }

  async #tellMemory(): Promise<void> {
    const device = `${this.#service.index}`;
    this.#service.metrics.memory.set({ device, kind: 'limit' }, this.#residents.limitBytes);
    this.#service.metrics.memory.set({ device, kind: 'used' }, await this.#residents.usedBytes());
  }

  #models(): Map<string, Model> {
    return new Map(this.#library.files.map(({ model }) => [model.metadata.name, model]));
  }

  #take(profile: Profile): void {
    this.#profile = profile;
    this.#service.metrics.profileStale.set({ device: `${this.#service.index}` }, 0);
    this.#drift.expect(profile.status?.categories ?? [], ({ model, shape }) => categoryName(model, shape));
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
      if (!failures.has(besideName(file.model.metadata.name))) await this.#exchange(file, profile);
    }
    await this.#preload(profile);
    const { promise = 'Firm' } = this.#options;
    const complete = { ...profile, status: { ...profile.status, promise, models: this.#told(models, profile) } };
    if (measured) await this.#keep(complete);
    log.info({ node, measured, categories: profile.status?.categories?.length ?? 0 }, 'profile ready');
    return complete;
  }

  /** Stores a profile for the next start. One that cannot be stored serves all the same. */
  async #keep(profile: Profile): Promise<void> {
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
  #told(models: readonly Model[], { status }: Profile): NonNullable<NonNullable<Profile['status']>['models']> {
    const { unavailable } = this;
    return models.map(({ metadata: { name }, spec: { sha256 } }) => {
      const message = unavailable.get(name);
      const memoryBytes = status?.models?.find((each) => each.name === name)?.memoryBytes;
      const held = this.#library.heldBack(name);
      const told = message ?? (held && `the newest version cannot be served, so the one before goes on: ${held}`);
      return {
        name,
        sha256: this.#library.file(name)?.model.spec.sha256 ?? sha256,
        ready: message === undefined,
        ...(told === undefined ? {} : { message: told }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      };
    });
  }
}
