import type { Stages } from '../../api/frames.js';
import { sameShape } from '../../api/names.js';
import type { ScheduleDevice } from '../../api/schedule.js';
import { nowUs } from '../../kube/clock.js';
import { apart } from '../device/apart.js';
import type { FramePool } from '../device/frame-pool.js';
import type { DeviceLost } from '../device/handle.js';
import type { BatchDone, DeviceOptions, Ran } from '../device/messages.js';
import type { SupervisorListener } from '../device/supervisor.js';
import { SupervisedDevice } from '../device/supervisor.js';
import type { CompleteModel } from '../frames.js';
import { inputsOf, shapeOfDims } from '../frames.js';
import { DeviceBooks } from './books.js';
import type { Change } from './changes.js';
import type { Answer } from './flights.js';
import { Flights, FrameFailure, SharedOutputs, givenUp } from './flights.js';
import { AgentMetrics } from './metrics.js';
import { programOf } from './program.js';
import type { ProfileStatus } from './recheck.js';
import type { Ended } from './late-frames.js';
import { LateFrames } from './late-frames.js';
import type { LateLog } from './late-log.js';
import type { Shares } from './program.js';
import { RecentRuns } from './recent-runs.js';
import type { Slot } from './slots.js';
import { Slots } from './slots.js';
import type { ServedTenant, TenantTerms } from './tenant.js';
import { Tenants } from './tenants.js';

export interface DeviceServiceOptions {
  /** Of the device on its node. */
  readonly index?: number;
  readonly metrics?: AgentMetrics;
  /** Whether the Adaptation Module is at work; without it, to compare with. */
  readonly adaptation?: boolean;
  /** Where the records of late frames are kept; in memory when absent. */
  readonly lateLog?: LateLog | undefined;
  /** Whether a device that does not work at the start is waited for. */
  readonly patient?: boolean;
}

/** One device: holds the tenants of its applied schedule, hands their frames to the device and their answers back. */
export class DeviceService {
  /** Of the device on its node. */
  readonly index: number;
  readonly metrics: AgentMetrics;
  readonly books: DeviceBooks;
  readonly runs = new RecentRuns();
  readonly late: LateFrames;
  readonly #tenants = new Tenants();
  readonly #flights = new Flights({
    send: (id, { slot, offer }) =>
      this.#device.submit({ id, pool: slot.pool.id, slot: slot.index, offer: { ...offer, atUs: nowUs() } }),
    landed: ({ tenant, slot }) => {
      this.giveSlot(tenant, slot);
      this.metrics.queueDepth.dec({ device: `${this.index}`, category: tenant.terms.category });
    },
  });
  readonly #slots = new Slots({
    newPool: (slotBytes, slots) => this.#device.newPool(slotBytes, slots),
    retire: (pool) => {
      this.#device.retirePool(pool);
      this.onPoolGone(pool);
    },
  });
  readonly #models = new Map<string, CompleteModel>();
  #device!: SupervisedDevice;
  #stages: Stages | undefined;
  #shares: Shares = { device: 0, receive: 0, decode: 0 };
  /** Told when the device is lost or back, when a model is kept off it, or when frames begin or end to be degraded. */
  onChange: (change: Change) => void = () => undefined;

  /** Told of memory that no frames come from any more. */
  onPoolGone: (pool: FramePool) => void = () => undefined;

  /** Told of tenants that the device does not serve any more. */
  onLeft: (path: string, terms: TenantTerms) => void = () => undefined;

  /** Told of each batch that has run. */
  onRan: ((ran: Ran) => void) | undefined;
  readonly #adaptation: boolean;
  readonly #lateLog: LateLog | undefined;

  private constructor({ index = 0, metrics = new AgentMetrics(), adaptation = true, lateLog }: DeviceServiceOptions) {
    this.index = index;
    this.metrics = metrics;
    this.books = new DeviceBooks(index, metrics);
    this.late = new LateFrames(this.runs, (cause) => metrics.lateFrames.inc({ device: `${index}`, cause }), lateLog);
    this.#lateLog = lateLog;
    this.#adaptation = adaptation;
  }

  static async start(device: DeviceOptions, options: DeviceServiceOptions = {}): Promise<DeviceService> {
    const service = new DeviceService(options);
    const listener: SupervisorListener = {
      batchDone: (done) => service.#batchDone(done),
      dropped: (ids, why) => {
        for (const id of ids) service.#flights.fail(id, givenUp(why));
      },
      ran: (done) => {
        service.books.ran(done);
        service.runs.note(done);
        service.late.ran();
        service.onRan?.(done);
      },
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

  /** What the applied schedule promises to frames. */
  get shares(): Shares {
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

  /** Those being served, by path too, and those withdrawn last. */
  get tenants(): Pick<Tenants, 'served' | 'at' | 'servedOrLeft'> {
    return this.#tenants;
  }

  /** Brings a model onto the device. */
  async load(model: CompleteModel, path: string): Promise<void> {
    await this.#device.load({
      name: model.metadata.name,
      path,
      inputs: inputsOf(model, model.spec.shapes[0]!),
      layout: model.spec.input.layout,
      resizes: model.spec.shapes.length > 1,
    });
    this.#models.set(model.metadata.name, model);
  }

  /** Takes a model off the device. */
  async unload(name: string): Promise<void> {
    this.#models.delete(name);
    await this.#device.unload(name);
  }

  /** Programs a schedule; resolves when the batcher has taken it over. Tenants change at that instant. */
  async apply(schedule: ScheduleDevice, profile: ProfileStatus): Promise<void> {
    this.#stages = profile.stages;
    const { categories, served, pools, shares } = programOf(schedule, profile, this.#models);
    this.#slots.grow(pools);
    // Whoever leaves stops sending before the change, whoever comes starts after it.
    this.#tenants.keepOnly(served, (path, terms) => {
      this.books.left(terms);
      this.onLeft(path, terms);
    });
    await this.#device.program({ adaptation: this.#adaptation, categories });
    this.#slots.keepOnly(categories);
    this.#tenants.serve(served);
    this.#shares = shares;
    for (const stage of ['receive', 'decode'] as const)
      this.metrics.stageShare.set({ device: `${this.index}`, stage }, shares[stage]);
    this.books.promised(this.#tenants.served(), categories);
  }

  hasRoomForSpare(tenant: ServedTenant): boolean {
    return this.#slots.hasRoomForSpare(tenant);
  }

  /** A slot for a frame of this tenant; undefined when too many frames wait. */
  takeSlot(tenant: ServedTenant, promised: boolean): Slot | undefined {
    return this.#slots.take(tenant, promised);
  }

  giveSlot(tenant: ServedTenant, slot: Slot): void {
    this.#slots.give(tenant, slot);
  }

  /** Notes what became of a frame, and how far it came. */
  count(tenant: ServedTenant, ended: Ended): void {
    const { outcome, promised, passed } = ended;
    this.books.count(tenant, this.#tenants.has(tenant), ended);
    if (promised === true && passed !== undefined) this.late.note(tenant, outcome, passed);
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
      this.#flights.add({ tenant, model, slot, arrivedUs, submittedUs: atUs, offer, resolve, reject }, this.ready);
      this.metrics.ingest.observe((atUs - arrivedUs) / 1e6);
    });
  }

  async stop(): Promise<void> {
    await this.#device.stop();
    this.#flights.stop(new FrameFailure('AgentStopping', 'the agent is stopping'));
    await this.#lateLog?.close();
  }

  /** What the frames that the device has now take it, as far as is known. */
  get backlogUs(): number {
    return this.#flights.backlogUs;
  }

  /** Frames that were accepted and not answered yet. */
  get inFlight(): number {
    return this.#flights.size;
  }

  #batchDone({ ids, outputs, dims, startUs, endUs, error, apart: alone }: BatchDone): void {
    const shared = new SharedOutputs(outputs, ids.length);
    ids.forEach((id, index) => {
      const release = shared.share();
      const flight = this.#flights.land(id);
      if (flight === undefined) release();
      else if (error !== undefined) {
        const { suspicion, key } = flight.tenant;
        if (alone && suspicion.failed(nowUs())) this.onChange({ kind: 'keptApart', tenant: key, error });
        flight.reject(new FrameFailure('ModelFailed', `the model failed on this frame: ${error}`));
      } else {
        const shape = shapeOfDims(dims, flight.tenant.terms.layout);
        this.#noteShape(flight.tenant, shape);
        const { arrivedUs, submittedUs, outlived } = flight;
        const times = { arrivedUs, submittedUs, startUs, endUs };
        flight.resolve({ outputs, index, ...times, batch: ids.length, outlived, shape, release });
      }
    });
  }

  #noteShape(tenant: ServedTenant, shape: readonly number[]): void {
    if (sameShape(shape, tenant.terms.shape)) return;
    const { namespace, name } = tenant.terms;
    this.metrics.degraded.inc({ namespace, tenant: name });
    if (tenant.noteDegraded(shape, performance.now())) this.onChange({ kind: 'degraded', tenant: tenant.key, shape });
  }

  #lost({ message, fault, culprit }: DeviceLost): void {
    this.metrics.deviceReady.set({ device: `${this.index}` }, 0);
    this.metrics.deviceLosses.inc({ device: `${this.index}`, fault });
    for (const { suspicion } of this.#tenants.served()) suspicion.clear();
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
