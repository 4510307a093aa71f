import { isDeepStrictEqual } from 'node:util';
import type { ResourceOf } from '../../api/manifests.js';
import type { ScheduleDevice } from '../../api/schedule.js';
import { scheduledOn } from '../../api/schedule.js';
import { timestamp, nowUs } from '../../kube/clock.js';
import type { Cluster } from '../../kube/cluster.js';
import { reasonOf, statusOf } from '../../kube/cluster.js';
import { Informer } from '../../kube/informer.js';
import { MODELS, PROFILES, SCHEDULES } from '../../kube/kinds.js';
import type { Logger } from '../../kube/log.js';
import type { KubeObject } from '../../kube/objects.js';
import { Objects } from '../../kube/objects.js';
import { WorkQueue, work } from '../../kube/work-queue.js';
import type { Profile } from '../profile/profile.js';
import type { Change } from '../serving/changes.js';
import { changesProfile, logChange } from '../serving/changes.js';
import { recheck } from '../serving/recheck.js';
import { DEGRADED_FOR_MS } from '../serving/tenant.js';
import type { Devices, Unit } from './devices.js';
import { FIELD_MANAGER, ProfilePublisher } from './profile-publisher.js';
import type { Applied, Count, ScheduleStatus } from './report.js';
import { countOf, figuresOf, isUrgent, scheduleStatus } from './report.js';
import { readState, writeState } from './state.js';

type Schedule = ResourceOf<'NodeSchedule'> & KubeObject;
type Model = ResourceOf<'InferenceModel'> & KubeObject;

export interface FollowerOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly stateDir: string;
  /** Where relative file URIs of models start. */
  readonly modelDir: string;
  /** Address and port that cameras reach this agent at. */
  readonly endpoint: string;
  /** How often it reports at least. */
  readonly reportPeriodMs: number;
  readonly log: Logger;
}

/** In steady state a status with new figures is written at most this often. */
const FIGURES_MS = 10_000;
/** What somebody else has changed is put back after this long: it may have been one's own write, heard of early. */
const PUT_BACK_MS = 2000;

/** Models and profiles are each device's own matter. */
type Task = 'schedule' | 'report' | `${'models' | 'profile' | 'measure'}/${number}`;

/**
 * The agent's side of the control plane: follows the catalogue and its own NodeSchedule, publishes its GPUProfile, applies what it
 * has checked itself, reports. Everything it needs to serve is also on disk, so neither a restart nor an API server that is
 * away ends the service.
 */
export class Follower {
  readonly #devices: Devices;
  readonly #options: FollowerOptions;
  readonly #queue = new WorkQueue<Task>({ firstRetryMs: 250, longestRetryMs: 10_000 });
  readonly #models: Informer<Model>;
  readonly #schedules: Informer<Schedule>;
  readonly #profiles: ReadonlyMap<Unit, ProfilePublisher>;
  readonly #scheduleApi: Objects<Schedule>;
  /** Devices that were measured again, which whoever asked for it has yet to see. */
  readonly #unanswered = new Set<Unit>();
  #applied: Applied | undefined;
  #reported: { uid: string | undefined; status: ScheduleStatus; atMs: number } | undefined;
  #count: Count = { atMs: performance.now(), answered: new Map() };

  constructor(devices: Devices, options: FollowerOptions) {
    this.#devices = devices;
    this.#options = options;
    const { cluster, log, node } = options;
    const failed =
      (kind: string) =>
      (error: string, retryMs: number): void =>
        log.warn({ kind, error, retryMs }, 'watch ended; starting it again');
    for (const { service } of devices.units) service.onChange = (change) => this.#hear(service.index, change);
    this.#scheduleApi = new Objects(cluster, SCHEDULES);
    this.#models = new Informer(new Objects<Model>(cluster, MODELS).listWatch(), {
      changed: () => this.#bringModelsSoon(100),
      failed: failed(MODELS.kind),
    });
    this.#profiles = new Map(
      devices.units.map((unit) => {
        const device = unit.service.index;
        const spoiled = (): void => void this.#queue.addAfter(`profile/${device}`, PUT_BACK_MS);
        const asked = (): void => void this.#queue.add(`measure/${device}`);
        return [unit, new ProfilePublisher({ cluster, node, device, spoiled, asked, failed: failed(PROFILES.kind) })];
      }),
    );
    this.#schedules = new Informer(this.#scheduleApi.listWatch({ fieldSelector: `metadata.name=${node}` }), {
      changed: () => this.#queue.add('schedule'),
      failed: failed(SCHEDULES.kind),
    });
  }

  /** Serves by what was stored last, if anything was, before the API server is asked. */
  async resume(): Promise<void> {
    const { stateDir, node, log, modelDir } = this.#options;
    const { models, schedule } = await readState(stateDir, node).catch((error: unknown) => {
      log.error(
        { node, error: (error as Error).message },
        'the stored schedule is not taken; waiting for the API server',
      );
      return { models: [], schedule: undefined };
    });
    if (schedule === undefined) return;
    await Promise.all(
      this.#devices.units.map(async (unit) => {
        try {
          await unit.keeper.bring(models, () => modelDir);
          await this.#serve(unit, scheduleFor(unit, schedule.spec));
          log.info({ node, device: unit.service.index }, 'serving by the schedule stored on this node');
        } catch (error) {
          log.error(
            { node, device: unit.service.index, error: (error as Error).message },
            'the stored schedule cannot be served; waiting for the API server',
          );
        }
      }),
    );
  }

  /** Follows the API server until `stop` is aborted. */
  async run(stop: AbortSignal): Promise<void> {
    this.#models.start();
    this.#schedules.start();
    for (const publisher of this.#profiles.values()) publisher.start();
    stop.addEventListener('abort', () => this.#queue.close());
    if (stop.aborted) this.#queue.close();
    const drifts = this.#devices.units.map((unit) =>
      unit.keeper.watch(() => {
        const publisher = this.#profiles.get(unit)!;
        if (publisher.complete) publisher.profile = unit.keeper.profile!;
        this.#queue.add(`profile/${unit.service.index}`);
        this.#queue.add('schedule');
      }),
    );
    // The first list of models is in: an empty catalogue is one, too.
    void this.#models.synced().then(() => this.#bringModelsSoon(0));
    await work(
      this.#queue,
      4 + 3 * this.#devices.units.length,
      (task) => this.#perform(task),
      (task, error) => this.#options.log.warn({ task, error: reasonOf(error) }, 'failed; trying again'),
    );
    await Promise.all([
      this.#models.stop(),
      this.#schedules.stop(),
      ...[...this.#profiles.values()].map((publisher) => publisher.stop()),
      ...drifts.map((drift) => drift.stop()),
    ]);
  }

  #bringModelsSoon(afterMs: number): void {
    for (const { service } of this.#devices.units) this.#queue.addAfter(`models/${service.index}`, afterMs);
  }

  #hear(device: number, change: Change): void {
    logChange(this.#options.log, change);
    this.#queue.add('report');
    if (changesProfile(change)) this.#queue.add(`models/${device}`);
  }

  async #perform(task: Task): Promise<void> {
    if (task === 'schedule') return this.#follow();
    if (task === 'report') return this.#report();
    const [what, index] = task.split('/') as ['models' | 'profile' | 'measure', string];
    const unit = this.#devices.units[Number(index)]!;
    if (what === 'models') return this.#bringModels(unit);
    if (what === 'profile') return this.#profiles.get(unit)!.publish();
    if (!this.#unanswered.has(unit)) await unit.keeper.measureAgain();
    this.#unanswered.add(unit); // where only the answer fails, only that is tried again
    await this.#profiles.get(unit)!.answered();
    this.#unanswered.delete(unit);
  }

  async #bringModels(unit: Unit): Promise<void> {
    const { index } = unit.service;
    this.#queue.add(`profile/${index}`);
    this.#profiles.get(unit)!.profile = await unit.keeper.bring(this.#models.list(), () => this.#options.modelDir);
    this.#queue.add(`profile/${index}`);
    this.#queue.add('schedule');
    const { retryInMs } = unit.keeper;
    if (retryInMs !== undefined) this.#queue.addAfter(`models/${index}`, retryInMs);
  }

  /** Checks the newest schedule against the newest profiles and applies it; what it does not trust it does not apply. */
  async #follow(): Promise<void> {
    const schedule = this.#schedules.get(this.#options.node);
    if (schedule === undefined) return;
    const generation = schedule.metadata.generation ?? 0;
    const { units } = this.#devices;
    const other = schedule.spec.devices?.find(
      (wish) => units[wish.device] === undefined && scheduledOn(wish).length > 0,
    );
    // Its tenants are placed elsewhere as soon as the operator sees which devices are reported.
    if (other !== undefined)
      this.#options.log.warn({ device: other.device }, 'the schedule names a device that is not there');
    const refusals = new Map<number, string>();
    const failures: unknown[] = [];
    let pending = false;
    // Whoever moves leaves one device before coming to another.
    const wanted = units.map((unit) => ({ unit, wish: scheduleFor(unit, schedule.spec) }));
    wanted.sort((a, b) => scheduledOn(a.wish).length - scheduledOn(b.wish).length);
    for (const { unit, wish } of wanted) {
      const { profile } = unit.keeper;
      if (profile === undefined) {
        pending ||= scheduledOn(wish).length > 0; // measured first; then this is called again
        continue;
      }
      try {
        const refusal = await this.#followOn(unit, wish, profile);
        if (refusal !== undefined) refusals.set(unit.service.index, refusal);
      } catch (error) {
        failures.push(error); // that of one device must not keep the others from being served
      }
    }
    if (failures.length > 0) throw failures[0];
    if (pending) return;
    this.#applied = { generation, refusals };
    this.#queue.add('report');
    await this.#store(schedule.spec);
  }

  /** @returns why the schedule was refused, if it was */
  async #followOn(unit: Unit, wish: ScheduleDevice, profile: Profile): Promise<string | undefined> {
    // What is served already goes on when the profile turns out to be wrong; admission will see to it.
    const served = isDeepStrictEqual(unit.keeper.schedule, wish);
    const refusal = served ? undefined : recheck(wish, profile.status ?? {}).refusal;
    if (refusal === undefined) await this.#serve(unit, wish);
    else
      this.#options.log.error(
        { device: unit.service.index, refusal },
        'schedule refused; what was applied before goes on',
      );
    return refusal;
  }

  async #serve(unit: Unit, schedule: ScheduleDevice): Promise<void> {
    if (!(await unit.keeper.serve(schedule))) return;
    const tenants = scheduledOn(schedule).length;
    this.#options.log.info({ device: unit.service.index, tenants }, 'schedule applied');
  }

  async #store({ nodeName }: Schedule['spec']): Promise<void> {
    const devices = this.#devices.units.flatMap(({ keeper }) => keeper.schedule ?? []);
    // What is stored has its models; without them it would be worth nothing.
    if (devices.length === 0 || !this.#models.isSynced) return;
    const { stateDir, node } = this.#options;
    const used = new Set(
      devices.flatMap(({ categories, spare = [] }) => [...categories, ...spare].map(({ model }) => model)),
    );
    const schedule = {
      metadata: { name: node, namespace: '' },
      kind: 'NodeSchedule' as const,
      spec: { nodeName, devices },
    };
    const models = this.#models.list().filter(({ metadata }) => used.has(metadata.name));
    await writeState(stateDir, node, { models, schedule });
  }

  async #report(): Promise<void> {
    const tenants = this.#devices.served();
    const degraded = tenants.some((tenant) => tenant.degradation(performance.now()) !== undefined);
    const { node, endpoint, reportPeriodMs } = this.#options;
    const schedule = this.#schedules.get(node);
    // An object that was made anew has no status yet.
    if (schedule?.metadata.uid !== this.#reported?.uid) this.#reported = undefined;
    const figuresMs = Math.min(FIGURES_MS, reportPeriodMs);
    const ageMs = performance.now() - (this.#reported?.atMs ?? -Infinity);
    // Whoever asks meanwhile does not put the next one off.
    const nextMs = ageMs < figuresMs ? figuresMs - ageMs : figuresMs;
    this.#queue.addAfter('report', degraded ? Math.min(nextMs, DEGRADED_FOR_MS) : nextMs);
    if (schedule === undefined || this.#applied === undefined) return;
    const nowMs = performance.now();
    const devices = this.#devices.units.map(({ service }) => ({
      device: service.index,
      failure: service.failure,
      tenants: service.tenants.served(),
      books: service.books,
    }));
    const facts = { applied: this.#applied, endpoint, devices };
    const instant = { ms: nowMs, us: nowUs(), now: timestamp() };
    const status = scheduleStatus(facts, this.#count, this.#reported?.status, instant);
    const news = !isDeepStrictEqual(figuresOf(this.#reported?.status), figuresOf(status));
    if (!isUrgent(this.#reported?.status, status) && !(news && ageMs >= figuresMs) && ageMs < reportPeriodMs) return;
    try {
      await this.#scheduleApi.applyStatus({ metadata: { name: node }, status } as unknown as Schedule, FIELD_MANAGER);
    } catch (error) {
      if (statusOf(error) !== 404) throw error; // the schedule is gone, and its status with it
    }
    this.#reported = { uid: schedule.metadata.uid, status, atMs: nowMs };
    this.#count = countOf(tenants, nowMs);
  }
}

/** What a schedule asks of a device; nothing where it does not tell. */
function scheduleFor({ service: { index } }: Unit, { devices = [] }: Schedule['spec']): ScheduleDevice {
  return devices.find(({ device }) => device === index) ?? { device: index, categories: [] };
}
