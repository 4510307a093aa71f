import { setTimeout as delay } from 'node:timers/promises';
import { categoryName } from '../../api/names.js';
import { nowUs, timestamp } from '../../kube/clock.js';
import type { Logger } from '../../kube/log.js';
import type { CompleteModel } from '../frames.js';
import type { DeviceService } from '../serving/service.js';
import { Contention } from './contention.js';
import { corrected, isStale, measureFactors, wasDoubted, withStale } from './correction.js';
import type { CategoryDrift } from './drift.js';
import { DriftEstimate, Persistence, driftText, verdictOn } from './drift.js';
import type { NodeOf } from './profile-node.js';
import type { Profile } from './profile.js';
import { SoftPromise } from './soft.js';

const CHECK_MS = 2000;
/** How long others must have left the cores alone. */
const CALM_US = 10_000_000;
const MEMORY_CHECK_MS = 30_000;
/** A category that strays again within this time was not corrected by enough. */
const STRAY_AGAIN_MS = 120_000;
/** Where measuring again found nothing, it is not done again before this long, then ever more rarely. */
const FIRST_PATIENCE_MS = 10_000;
const LONGEST_PATIENCE_MS = 600_000;

/** The keeper of the profile, as far as the watch needs it. */
export interface WatchedKeeper {
  readonly profile: Profile | undefined;
  models(): ReadonlyMap<string, CompleteModel>;
  /** While nothing else is measured. */
  exclusively<T>(act: () => Promise<T>): Promise<T>;
  /** The profile says more than before; its figures stand. */
  amend(profile: Profile): void;
  /** The same, and it is stored for the next start. */
  keep(profile: Profile): Promise<void>;
  /** The device is expected to do from now on what this profile says. */
  take(profile: Profile): void;
  /** Forgets what was measured, and measures it all. */
  measureAnew(): Promise<void>;
  lookAfter(): Promise<void>;
}

/** Looks again and again whether the device still does what was measured, and has the profile corrected when it does not. */
export class ProfileWatch {
  readonly #keeper: WatchedKeeper;
  readonly #service: DeviceService;
  readonly #options: NodeOf & { readonly log: Logger };
  readonly #drift = new DriftEstimate();
  readonly #persistence = new Persistence();
  readonly #soft = new SoftPromise();
  /** When each category strayed last. */
  readonly #strayedAtMs = new Map<string, number>();
  /** Whether others take much of the cores, looked at again and again while the profile was measured beside such. */
  #others: Contention | undefined;
  #measuredInCalm = false;
  /** Somebody waits for everything to be measured again. */
  #asked: PromiseWithResolvers<void> | undefined;
  #shown: readonly string[] = [];
  #patienceMs = FIRST_PATIENCE_MS;
  #patientUntilMs = 0;
  /** When categories that do not run are looked at again, and how long after that. */
  #quietAtMs = 0;
  #quietMs = FIRST_PATIENCE_MS;

  constructor(keeper: WatchedKeeper, service: DeviceService, options: NodeOf & { readonly log: Logger }) {
    this.#keeper = keeper;
    this.#service = service;
    this.#options = options;
  }

  /** Runs are compared with this profile from now on. */
  expect({ status }: Profile): void {
    this.#drift.expect(status?.categories ?? [], ({ model, shape }) => categoryName(model, shape));
  }

  /** Measures everything again as soon as that may be; resolves when it was. */
  again(): Promise<void> {
    this.#asked ??= Promise.withResolvers();
    return this.#asked.promise;
  }

  /**
   * @param changed told of each new profile, and of its having become stale
   */
  start(changed: () => void): { stop: () => Promise<void> } {
    this.#service.onRan = (ran) => this.#drift.note(ran, performance.now());
    const stop = new AbortController();
    let memoryAtMs = -Infinity;
    const running = (async () => {
      while (!stop.signal.aborted) {
        await delay(CHECK_MS, undefined, { signal: stop.signal }).catch(() => undefined);
        try {
          if (!stop.signal.aborted && performance.now() - memoryAtMs > MEMORY_CHECK_MS) {
            memoryAtMs = performance.now();
            await this.#keeper.lookAfter();
          }
          if (!stop.signal.aborted) await this.#keeper.exclusively(() => this.#check(changed));
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

  async #check(changed: () => void): Promise<void> {
    const { profile } = this.#keeper;
    if (profile?.status === undefined || !this.#service.ready) return this.#show(new Map());
    await this.#checkStages(profile, changed);
    this.#checkPromise(changed);
    const drifts = await this.#drift.drifts(performance.now());
    if (this.#asked !== undefined) {
      this.#options.log.info({}, 'asked to measure everything again');
      await this.#measureAll(drifts, changed);
      this.#asked.resolve();
      this.#asked = undefined;
      return;
    }
    if (await this.#checkContention(drifts, changed)) return;
    this.#show(drifts);
    const strays = this.#persistence.look(drifts, performance.now());
    const deviations = strays.map((name) => `${name} takes ${driftText(drifts.get(name)!)} times as long as measured`);
    if (strays.length > 0 && performance.now() >= this.#patientUntilMs) {
      this.#options.log.warn({ drift: deviations }, 'the profile is stale; measuring again between the promised jobs');
      const stale = withStale(profile, 'True', 'Drift', deviations.join(', '), timestamp());
      const suspect = { ...profile, status: { ...profile.status, conditions: stale } };
      this.#keeper.amend(suspect);
      changed();
      this.#drift.forget();
      const isSuspect = (name: string): boolean => strays.includes(name) || !drifts.has(name);
      const better = await this.#measureAgain(suspect, isSuspect, drifts, changed, this.#restless(strays));
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

  /** Those that have strayed a short time ago, too: measuring again has not ended it. */
  #restless(strays: readonly string[]): Set<string> {
    const nowMs = performance.now();
    const again = strays.filter((name) => nowMs - (this.#strayedAtMs.get(name) ?? -Infinity) < STRAY_AGAIN_MS);
    for (const name of strays) this.#strayedAtMs.set(name, nowMs);
    return new Set(again);
  }

  /** What frames take of the stages is learned from those that come. */
  async #checkStages(profile: Profile, changed: () => void): Promise<void> {
    const { stages } = this.#options;
    if (stages.correct()) this.#options.log.info({ stages: stages.value }, 'live frames correct what stages take');
    if (stages.value === undefined || profile.status?.stages === stages.value) return;
    await this.#keeper.keep({ ...profile, status: { ...profile.status, stages: stages.value } });
    changed();
  }

  /** A profile that was measured beside others is measured again once they are gone. Returns whether it was. */
  async #checkContention(drifts: ReadonlyMap<string, CategoryDrift>, changed: () => void): Promise<boolean> {
    const { decode, log } = this.#options;
    const profiled = this.#keeper.profile?.status?.conditions?.find(({ type }) => type === 'Profiled');
    if (profiled?.reason !== 'Contended') return false;
    this.#others ??= new Contention(() => [process.pid, this.#service.device.pid, ...decode.pids]);
    if (this.#others.lastsUs < CALM_US) return false;
    const { much } = this.#others;
    this.#others.restart();
    // Whoever is promised something by the figures as they are is not disturbed: a few runs in slack must do.
    const promised = this.#isPromised();
    if (much || (promised && this.#measuredInCalm)) return false;
    if ([...drifts.values()].some((drift) => verdictOn(drift) === 'slower')) return false;
    log.info({ promised }, 'other processes have left the cores alone; measuring again');
    if (promised) this.#measuredInCalm = true;
    await this.#measureAll(drifts, changed);
    return true;
  }

  #isPromised(): boolean {
    return this.#service.tenants.served().some(({ terms }) => terms.promised);
  }

  /** Measures everything again; a few runs in slack where anybody is promised something by the figures as they are. */
  async #measureAll(drifts: ReadonlyMap<string, CategoryDrift>, changed: () => void): Promise<void> {
    if (this.#isPromised()) return void (await this.#measureAgain(this.#keeper.profile!, () => true, drifts, changed));
    this.#options.stages.forget();
    await this.#keeper.measureAnew();
    changed();
  }

  /** A soft promise ends when more frames are late than it allows; the operator admits anew. */
  #checkPromise(changed: () => void): void {
    const { promisedFrames: frames, misses: late } = this.#service.books;
    const firm = this.#soft.withdrawn(this.#keeper.profile!, { frames, late }, nowUs());
    if (firm === undefined) return;
    this.#keeper.amend(firm);
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
    restless?: ReadonlySet<string>,
  ): Promise<boolean> {
    // Where frames' content decides, noise does not overrule what live runs have shown.
    const suspects = (profile.status?.categories ?? []).filter(({ model, shape, byContent }) => {
      const name = categoryName(model, shape);
      return isSuspect(name) && (byContent !== true || drifts.has(name));
    });
    const since = (): Promise<Map<string, CategoryDrift>> => this.#drift.drifts(performance.now());
    const factors = await measureFactors(this.#service, suspects, this.#keeper.models(), drifts, since, restless);
    if (this.#keeper.profile !== profile) return false; // models came or went meanwhile
    const now = timestamp();
    const better = corrected(profile, factors, now);
    if (better === undefined && !isStale(profile)) return false;
    const fine = withStale(profile, 'False', 'Confirmed', 'measured again, with the same result', now);
    if (better !== undefined) await this.#keeper.keep(better);
    this.#keeper.take(better ?? { ...profile, status: { ...profile.status, conditions: fine } });
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
  #show(drifts: ReadonlyMap<string, CategoryDrift>): void {
    const { runMedianRatio, runWcetRatio } = this.#service.metrics;
    const device = `${this.#service.index}`;
    for (const category of this.#shown)
      if (!drifts.has(category)) for (const gauge of [runMedianRatio, runWcetRatio]) gauge.remove({ device, category });
    for (const [category, { median, p95OfWcet }] of drifts) {
      runMedianRatio.set({ device, category }, median);
      runWcetRatio.set({ device, category }, p95OfWcet);
    }
    this.#shown = [...drifts.keys()];
  }
}
