import type { Stages } from '../../api/frames.js';
import type { ResourceOf } from '../../api/manifests.js';
import { categoryName, layoutOf, sameShape, tenantPath } from '../../api/names.js';
import type { ScheduleDevice } from '../../api/schedule.js';
import { nowUs } from '../../kube/clock.js';
import { apart } from '../device/apart.js';
import type { FramePool } from '../device/frame-pool.js';
import type { DeviceLost } from '../device/handle.js';
import type { BatchDone, DeviceOptions, ProgramCategory, Ran } from '../device/messages.js';
import type { SupervisorListener } from '../device/supervisor.js';
import { SupervisedDevice } from '../device/supervisor.js';
import type { Answer, Slot } from './flights.js';
import { Flights, FrameFailure, givenUp } from './flights.js';
import { AgentMetrics } from './metrics.js';
import { SPARE_SLOTS, poolName, programOf } from './program.js';
import type { ProfileStatus } from './recheck.js';
import type { Outcome, TenantTerms } from './tenant.js';
import { OUTCOMES, ServedTenant } from './tenant.js';

/** What somebody beside the frames wants to hear of. */
export type Change =
  | { readonly kind: 'deviceLost'; readonly error: string }
  | { readonly kind: 'deviceGone'; readonly error: string }
  | { readonly kind: 'deviceRecovered'; readonly tookMs: number }
  | { readonly kind: 'modelQuarantined'; readonly model: string; readonly reason: string }
  | { readonly kind: 'degraded'; readonly tenant: string; readonly shape: readonly number[] }
  | { readonly kind: 'keptApart'; readonly tenant: string; readonly error: string };

/** One device's books: what share of its time went where. */
export interface DeviceBooks {
  busyUs: number;
  jobs: number;
  overruns: number;
  /** Frames that came as promised, and those of them answered late or given up; of tenants that have left, too. */
  promisedFrames: number;
  misses: number;
}

export interface DeviceServiceOptions {
  /** Of the device on its node. */
  readonly index?: number;
  readonly metrics?: AgentMetrics;
  /** Whether the Adaptation Module is at work; without it, to compare with. */
  readonly adaptation?: boolean;
  /** Whether a device that does not work at the start is waited for. */
  readonly patient?: boolean;
}

/** Tenants that have left and whose books are kept: they may come back. */
const MOST_FORMER = 32;

/** One device: holds the tenants of its applied schedule, hands their frames to the device and their answers back. */
export class DeviceService {
  /** Of the device on its node. */
  readonly index: number;
  readonly metrics: AgentMetrics;
  readonly books: DeviceBooks = { busyUs: 0, jobs: 0, overruns: 0, promisedFrames: 0, misses: 0 };
  readonly #tenants = new Map<string, ServedTenant>();
  readonly #former = new Map<string, ServedTenant>();
  readonly #flights = new Flights({
    send: (id, { slot, offer }) =>
      this.#device.submit({ id, pool: slot.pool.id, slot: slot.index, offer: { ...offer, atUs: nowUs() } }),
    landed: ({ tenant, slot }) => {
      this.giveSlot(tenant, slot);
      this.metrics.queueDepth.dec({ device: `${this.index}`, category: tenant.terms.category });
    },
  });
  readonly #pools = new Map<string, FramePool>();
  readonly #models = new Map<string, ResourceOf<'InferenceModel'>>();
  readonly #outputs = new Map<string, TenantTerms['outputs']>();
  #device!: SupervisedDevice;
  /** Categories whose gaps are exported. */
  #visited: string[] = [];
  #stages: Stages | undefined;
  #shares = { receive: 0, decode: 0 };
  /** Told when the device is lost or back, when a model is kept off it, or when frames begin or end to be degraded. */
  onChange: (change: Change) => void = () => undefined;

  /** Told of memory that no frames come from any more. */
  onPoolGone: (pool: FramePool) => void = () => undefined;

  /** Told of tenants that the device does not serve any more. */
  onLeft: (path: string, terms: TenantTerms) => void = () => undefined;

  /** Told of each batch that has run. */
  onRan: ((ran: Ran) => void) | undefined;
  readonly #adaptation: boolean;

  private constructor({ index = 0, metrics = new AgentMetrics(), adaptation = true }: DeviceServiceOptions) {
    this.index = index;
    this.metrics = metrics;
    this.#adaptation = adaptation;
  }

  static async start(device: DeviceOptions, options: DeviceServiceOptions = {}): Promise<DeviceService> {
    const service = new DeviceService(options);
    const listener: SupervisorListener = {
      batchDone: (done) => service.#batchDone(done),
      dropped: (ids, why) => {
        for (const id of ids) service.#flights.fail(id, givenUp(why));
      },
      ran: (done) => service.#ran(done),
      lost: (error) => service.#lost(error),
      recovered: (tookMs) => {
        service.metrics.deviceReady.set({ device: `${service.index}` }, 1);
        service.#flights.deviceBack();
        service.onChange({ kind: 'deviceRecovered', tookMs });
      },
      gone: (error) => {
        service.#flights.failAll(new FrameFailure('DeviceUnavailable', `the device is gone: ${error}`));
        service.onChange({ kind: 'deviceGone', error });
      },
      quarantined: (model, reason) => {
        service.#flights.failModel(model, new FrameFailure('DeviceUnavailable', reason));
        service.onChange({ kind: 'modelQuarantined', model, reason });
      },
    };
    service.#device = await SupervisedDevice.start(device, listener, options.patient);
    service.metrics.deviceReady.set({ device: `${service.index}` }, service.ready ? 1 : 0);
    return service;
  }

  get device(): SupervisedDevice {
    return this.#device;
  }

  /** Whether frames can be served. */
  get ready(): boolean {
    return this.#device.failure === undefined;
  }

  /** Why nobody should count on the device, where it has not worked for long; undefined otherwise. */
  get gone(): string | undefined {
    return this.#device.gone ? `the device is gone: ${this.#device.failure ?? ''}` : undefined;
  }

  /** The shares of the event loop and of the decode workers that the applied schedule promises to frames. */
  get shares(): { readonly receive: number; readonly decode: number } {
    return this.#shares;
  }

  /** What the stages before and after the device take, by the profile that the schedule is applied with. */
  get stages(): Stages | undefined {
    return this.#stages;
  }

  /** Why frames cannot be served; undefined when they can. */
  get failure(): string | undefined {
    return this.#device.failure;
  }

  /** All tenants being served. */
  served(): ServedTenant[] {
    return [...this.#tenants.values()];
  }

  /** The tenant that is served under `<namespace>.<name>`. */
  tenant(path: string): ServedTenant | undefined {
    return this.#tenants.get(path);
  }

  /** All tenants being served, and those withdrawn last. */
  servedOrLeft(): ServedTenant[] {
    return [...this.#tenants.values(), ...this.#former.values()];
  }

  /** Brings a model onto the device. */
  async load(model: ResourceOf<'InferenceModel'>, path: string): Promise<void> {
    await this.#device.load({
      name: model.metadata.name,
      path,
      inputName: model.spec.input.name,
      elementType: model.spec.input.elementType ?? 'float32',
      layout: layoutOf(model.spec.input),
      resizes: model.spec.shapes.length > 1,
    });
    this.#models.set(model.metadata.name, model);
  }

  /** Takes a model off the device. */
  async unload(name: string): Promise<void> {
    this.#models.delete(name);
    await this.#device.unload(name);
  }

  /** What a category's network puts out, as its measurement showed. */
  describeOutputs(model: string, shape: readonly number[], outputs: TenantTerms['outputs']): void {
    this.#outputs.set(categoryName(model, shape), outputs);
  }

  /** Programs a schedule; resolves when the batcher has taken it over. Tenants change at that instant. */
  async apply(schedule: ScheduleDevice, profile: ProfileStatus): Promise<void> {
    this.#stages = profile.stages;
    const { categories, served, pools, shares } = programOf(schedule, profile, this.#models, this.#outputs);
    for (const { name, slotBytes, slots } of pools) this.#growPool(name, slotBytes, slots);
    // Whoever leaves stops sending before the change, whoever comes starts after it.
    for (const [path, tenant] of this.#tenants) if (!served.has(path)) this.#withdraw(path, tenant);
    await this.#device.program({ adaptation: this.#adaptation, categories });
    const needed = new Set(categories.flatMap(({ name }) => [poolName(name, true), poolName(name, false)]));
    for (const [name, pool] of this.#pools)
      if (!needed.has(name)) {
        this.#pools.delete(name);
        this.#retire(pool);
      }
    for (const [path, terms] of served) {
      const known = this.#tenants.get(path) ?? this.#former.get(path);
      this.#former.delete(path);
      known?.change(terms);
      this.#tenants.set(path, known ?? new ServedTenant(terms));
    }
    this.#shares = shares;
    for (const stage of ['receive', 'decode'] as const)
      this.metrics.stageShare.set({ device: `${this.index}`, stage }, shares[stage]);
    this.#tellPromises(categories);
  }

  #withdraw(path: string, tenant: ServedTenant): void {
    const { namespace, name } = tenant.terms;
    this.#tenants.delete(path);
    this.#former.set(path, tenant);
    for (const oldest of this.#former.keys()) if (this.#former.size > MOST_FORMER) this.#former.delete(oldest);
    const labels = { namespace, tenant: name, device: `${this.index}` };
    const { tenantStreams, tenantRate, tenantDeadline } = this.metrics;
    for (const gauge of [tenantStreams, tenantRate, tenantDeadline]) gauge.remove(labels);
    this.onLeft(path, tenant.terms);
  }

  /** Exports what the device is promised to. */
  #tellPromises(categories: readonly ProgramCategory[]): void {
    const device = `${this.index}`;
    const { tenantStreams, tenantRate, tenantDeadline, gap } = this.metrics;
    for (const { terms } of this.#tenants.values()) {
      const labels = { namespace: terms.namespace, tenant: terms.name, device };
      // A counter that is not there yet looks like nothing is known.
      const own = { namespace: terms.namespace, tenant: terms.name };
      for (const outcome of OUTCOMES)
        for (const frames of [this.metrics.frames, this.metrics.spareFrames]) frames.inc({ ...own, outcome }, 0);
      this.metrics.misses.inc(own, 0);
      this.metrics.degraded.inc(own, 0);
      tenantStreams.set(labels, terms.streams);
      tenantRate.set(labels, (terms.streams * 1e6) / terms.periodUs);
      if (terms.deadlineUs !== Infinity) tenantDeadline.set(labels, terms.deadlineUs / 1e6);
    }
    for (const category of this.#visited) gap.remove({ device, category });
    this.#visited = categories.filter(({ visit }) => visit !== undefined).map(({ name }) => name);
    for (const fault of ['crash', 'hang']) this.metrics.deviceLosses.inc({ device, fault }, 0);
    for (const { name: category } of categories) this.metrics.overruns.inc({ device, category }, 0);
    for (const { name, visit } of categories)
      if (visit !== undefined) gap.set({ device, category: name }, visit.gapUs / 1e6);
  }

  /** Whether one more spare frame of this tenant may be on its way. */
  hasRoomForSpare(tenant: ServedTenant): boolean {
    return tenant.spareInFlight < SPARE_SLOTS;
  }

  /** A slot for a frame of this tenant; undefined when too many frames wait. */
  takeSlot(tenant: ServedTenant, promised: boolean): Slot | undefined {
    const full = promised ? tenant.promisedInFlight >= tenant.terms.slots : !this.hasRoomForSpare(tenant);
    if (full) return undefined;
    const pool = this.#pools.get(poolName(tenant.terms.category, promised));
    const index = pool?.take();
    if (pool === undefined || index === undefined) return undefined;
    if (promised) tenant.promisedInFlight++;
    else tenant.spareInFlight++;
    return { pool, index, promised };
  }

  giveSlot(tenant: ServedTenant, { pool, index, promised }: Slot): void {
    if (promised) tenant.promisedInFlight--;
    else tenant.spareInFlight--;
    pool.give(index);
  }

  /** Submits a frame; its slot is taken care of from here on. */
  async submit(tenant: ServedTenant, slot: Slot, arrivedUs: number, stream = ''): Promise<Answer> {
    const { category, model, deepest, late, deadlineUs, answerDueUs, latest } = tenant.terms;
    const objection = this.gone ?? this.#device.objection(model);
    if (objection !== undefined) {
      this.giveSlot(tenant, slot);
      throw new FrameFailure('DeviceUnavailable', objection);
    }
    const atUs = nowUs();
    const offer = {
      category: tenant.suspicion.apart(atUs) ? apart(category) : category,
      tenant: tenant.key,
      stream,
      replacesOlder: latest,
      promised: slot.promised,
      deepest,
      late,
      dueUs: arrivedUs + deadlineUs - answerDueUs,
    };
    return new Promise((resolve, reject) => {
      this.metrics.queueDepth.inc({ device: `${this.index}`, category });
      this.#flights.add({ tenant, model, slot, arrivedUs, offer, resolve, reject }, this.ready);
      this.metrics.ingest.observe((atUs - arrivedUs) / 1e6);
    });
  }

  /** Notes what became of a frame. */
  count(tenant: ServedTenant, outcome: Outcome, promised: boolean | undefined, latencyUs?: number, batch = 0): void {
    const { namespace, name } = tenant.terms;
    const missed = promised === true && (outcome === 'late' || outcome === 'dropped');
    tenant.outcomes[outcome]++;
    if (promised === true) {
      tenant.promisedFrames++;
      this.books.promisedFrames++;
    }
    if (promised === false) tenant.spareFrames++;
    if (missed) {
      tenant.misses++;
      this.books.misses++;
    }
    if (latencyUs !== undefined) {
      tenant.latencyUs.record(Math.max(1, latencyUs));
      tenant.batchSum += batch;
    }
    // The series of who has left are gone, and stay so.
    if (this.#tenants.get(tenantPath({ namespace, name })) !== tenant) return;
    this.metrics.frames.inc({ namespace, tenant: name, outcome });
    if (promised === false) this.metrics.spareFrames.inc({ namespace, tenant: name, outcome });
    if (missed) this.metrics.misses.inc({ namespace, tenant: name });
    if (latencyUs !== undefined) this.metrics.latency.observe({ namespace, tenant: name }, latencyUs / 1e6);
  }

  async stop(): Promise<void> {
    await this.#device.stop();
    this.#flights.stop(new FrameFailure('AgentStopping', 'the agent is stopping'));
  }

  /** Frames that were accepted and not answered yet. */
  get inFlight(): number {
    return this.#flights.size;
  }

  #growPool(name: string, slotBytes: number, slots: number): void {
    const known = this.#pools.get(name);
    if (known !== undefined && known.slotBytes === slotBytes && known.slots >= slots) return;
    if (known !== undefined) this.#retire(known);
    this.#pools.set(name, this.#device.newPool(slotBytes, slots));
  }

  #retire(pool: FramePool): void {
    this.#device.retirePool(pool);
    this.onPoolGone(pool);
  }

  #batchDone({ ids, outputs, dims, startUs, endUs, error, apart: alone }: BatchDone): void {
    let left = ids.length;
    const releaseOne = (): void => {
      if (--left === 0) for (const { data } of outputs) if (!data.buffer.detached) data.buffer.transfer(0);
    };
    ids.forEach((id, index) => {
      let released = false;
      const release = (): void => {
        if (!released) releaseOne();
        released = true;
      };
      const flight = this.#flights.land(id);
      if (flight === undefined) release();
      else if (error !== undefined) {
        const { suspicion, key } = flight.tenant;
        if (alone && suspicion.failed(nowUs())) this.onChange({ kind: 'keptApart', tenant: key, error });
        flight.reject(new FrameFailure('ModelFailed', `the model failed on this frame: ${error}`));
      } else {
        const shape = flight.tenant.terms.image.layout === 'NHWC' ? [dims[2]!, dims[0]!, dims[1]!] : dims;
        this.#noteShape(flight.tenant, shape);
        const { arrivedUs } = flight;
        flight.resolve({ outputs, index, startUs, endUs, arrivedUs, batch: ids.length, shape, release });
      }
    });
  }

  #noteShape(tenant: ServedTenant, shape: readonly number[]): void {
    if (sameShape(shape, tenant.terms.shape)) return;
    const { namespace, name } = tenant.terms;
    this.metrics.degraded.inc({ namespace, tenant: name });
    if (tenant.noteDegraded(shape, performance.now())) this.onChange({ kind: 'degraded', tenant: tenant.key, shape });
  }

  #ran(ran: Ran): void {
    const { category, runKind, frames, startUs, endUs, wcetUs, penaltyUs, nextRung } = ran;
    const device = `${this.index}`;
    const labels = { device, category, kind: runKind };
    this.books.jobs++;
    this.books.busyUs += endUs - startUs;
    this.metrics.jobDuration.observe(labels, (endUs - startUs) / 1e6);
    this.metrics.batchSize.observe(labels, frames);
    this.metrics.busy.inc({ device }, (endUs - startUs) / 1e6);
    if (endUs - startUs > wcetUs) {
      this.books.overruns++;
      this.metrics.overruns.inc({ device, category });
    }
    this.metrics.penalty.set({ device, category }, penaltyUs / 1e6);
    this.metrics.rung.set({ device, category }, nextRung);
    this.onRan?.(ran);
  }

  #lost({ message, fault, culprit }: DeviceLost): void {
    this.metrics.deviceReady.set({ device: `${this.index}` }, 0);
    this.metrics.deviceLosses.inc({ device: `${this.index}`, fault });
    for (const { suspicion } of this.#tenants.values()) suspicion.clear();
    // What took the device down would do so again.
    if (culprit !== undefined)
      this.#flights.failModel(
        culprit,
        new FrameFailure('DeviceLost', `the device was lost with this frame: ${message}`),
      );
    this.#flights.deviceLost();
    this.onChange({ kind: 'deviceLost', error: message });
  }
}
