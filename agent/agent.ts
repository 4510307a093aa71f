import type { ResourceOf } from '../api/manifests.js';
import type { Step } from '../sched/ladder.js';
import { deepestRung, ladderOf } from '../sched/ladder.js';
import { WcetTable } from '../sched/wcet.js';
import { nowUs } from './clock.js';
import type { FramePool } from './device/frame-pool.js';
import type { BatchDone, DeviceOptions, JobDone, OutputTensor, Program, Rung } from './device/messages.js';
import type { DeviceLost } from './device/device.js';
import { frameBytes } from './device/frames.js';
import type { SupervisorListener } from './device/supervisor.js';
import { SupervisedDevice } from './device/supervisor.js';
import { imageInput } from './ingest/image.js';
import { AgentMetrics } from './metrics.js';
import type { Outcome, TenantTerms } from './tenant.js';
import { OUTCOMES, ServedTenant } from './tenant.js';

type ScheduleDevice = NonNullable<ResourceOf<'NodeSchedule'>['spec']['devices']>[number];
type ProfileStatus = NonNullable<ResourceOf<'GPUProfile'>['status']>;

/** How long frames of one category may pile up, in frames, before more are turned away. */
const MOST_WAITING = 4096;
const LEAST_SLOTS = 32;
const POOL_BYTES = 1024 ** 3;

/** A frame's answer: its part of a batch's outputs, and its times in microseconds. */
export interface Answer {
  readonly outputs: readonly OutputTensor[];
  readonly index: number;
  readonly arrivedUs: number;
  readonly startUs: number;
  readonly endUs: number;
  readonly batch: number;
  /** Channels, height and width that it was computed at; smaller than asked for when degraded. */
  readonly shape: readonly number[];
  /**
   * To be called once the outputs are no longer needed. The memory of a batch is given back at once when all of its
   * frames are done: left to the garbage collector, megabytes a second of it would make for long pauses.
   */
  readonly release: () => void;
}

/** What somebody beside the frames wants to hear of. */
export type Change =
  | { readonly kind: 'deviceLost'; readonly error: string }
  | { readonly kind: 'deviceGone'; readonly error: string }
  | { readonly kind: 'deviceRecovered'; readonly tookMs: number }
  | { readonly kind: 'modelQuarantined'; readonly model: string; readonly reason: string }
  | { readonly kind: 'degraded'; readonly tenant: string; readonly shape: readonly number[] };

/** Why a frame was not answered. */
export class FrameFailure extends Error {}

/** The device is behind, the frame could not meet its deadline any more, and its tenant wants no late answer. */
export class FrameDropped extends FrameFailure {
  constructor() {
    super('the device is behind: this frame could not meet its deadline any more, and was given up');
  }
}

interface Flight {
  readonly tenant: ServedTenant;
  readonly pool: FramePool;
  readonly slot: number;
  readonly arrivedUs: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: FrameFailure) => void;
}

/** A slot of shared memory that a frame is written into before it is submitted or given back. */
export interface Slot {
  readonly bytes: Uint8Array;
  readonly pool: FramePool;
  readonly index: number;
}

/** One device's books: what share of its time went where. */
export interface DeviceBooks {
  busyUs: number;
  jobs: number;
  overruns: number;
}

export interface AgentOptions {
  /** Of the device on its node. */
  readonly index?: number;
  readonly metrics?: AgentMetrics;
  /** Whether the Adaptation Module is at work; without it, to compare with. */
  readonly adaptation?: boolean;
  /** Whether a device that does not work at the start is waited for. */
  readonly patient?: boolean;
}

/** One device: holds the tenants of its applied schedule, hands their frames to the device and their answers back. */
export class Agent {
  /** Of the device on its node. */
  readonly index: number;
  readonly metrics: AgentMetrics;
  readonly books: DeviceBooks = { busyUs: 0, jobs: 0, overruns: 0 };
  readonly #tenants = new Map<string, ServedTenant>();
  readonly #former = new Map<string, ServedTenant>();
  readonly #flights = new Map<number, Flight>();
  readonly #pools = new Map<string, FramePool>();
  readonly #models = new Map<string, ResourceOf<'InferenceModel'>>();
  readonly #outputs = new Map<string, TenantTerms['outputs']>();
  readonly #layouts = new Map<string, 'NCHW' | 'NHWC'>();
  #device!: SupervisedDevice;
  #lastId = 0;
  /** Categories whose windows are exported. */
  #windows: string[] = [];
  /** Told when the device is lost or back, when a model is kept off it, or when frames begin or end to be degraded. */
  onChange: (change: Change) => void = () => undefined;

  /** Told of each job that has run. */
  onJob: ((job: JobDone) => void) | undefined;
  readonly #adaptation: boolean;

  private constructor({ index = 0, metrics = new AgentMetrics(), adaptation = true }: AgentOptions) {
    this.index = index;
    this.metrics = metrics;
    this.#adaptation = adaptation;
  }

  static async start(device: DeviceOptions, options: AgentOptions = {}): Promise<Agent> {
    const agent = new Agent(options);
    const listener: SupervisorListener = {
      batchDone: (done) => agent.#batchDone(done),
      dropped: (ids, why) => {
        for (const id of ids)
          agent.#land(id)?.reject(why === 'late' ? new FrameDropped() : new FrameFailure('the tenant was withdrawn'));
      },
      jobDone: (done) => agent.#jobDone(done),
      lost: (error) => agent.#lost(error),
      recovered: (tookMs) => {
        agent.metrics.deviceReady.set({ device: `${agent.index}` }, 1);
        agent.onChange({ kind: 'deviceRecovered', tookMs });
      },
      gone: (error) => agent.onChange({ kind: 'deviceGone', error }),
      quarantined: (model, reason) => agent.onChange({ kind: 'modelQuarantined', model, reason }),
    };
    agent.#device = await SupervisedDevice.start(device, listener, options.patient);
    agent.metrics.deviceReady.set({ device: `${agent.index}` }, agent.ready ? 1 : 0);
    return agent;
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

  /** All tenants that were served since the start, also those withdrawn. */
  everServed(): ServedTenant[] {
    return [...this.#tenants.values(), ...this.#former.values()];
  }

  /** Brings a model onto the device. */
  async load(model: ResourceOf<'InferenceModel'>, path: string): Promise<void> {
    await this.#device.load({
      name: model.metadata.name,
      path,
      inputName: model.spec.input.name,
      elementType: model.spec.input.elementType ?? 'float32',
      layout: model.spec.input.layout ?? 'NCHW',
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
    this.#outputs.set(`${model}@${shape.join('x')}`, outputs);
  }

  /** Programs a schedule; resolves when the dispatcher has taken it over. Tenants change at that instant. */
  async apply(schedule: ScheduleDevice, profile: ProfileStatus): Promise<void> {
    const overheadUs = profile.dispatchOverheadUs ?? 0;
    const ingestUs = profile.ingestUs ?? 0;
    const served = new Map<string, TenantTerms>();
    const program: Program = {
      bestEffortUs: schedule.bestEffortUs ?? 0,
      adaptation: this.#adaptation,
      categories: schedule.categories.map((category) => {
        const model = this.#models.get(category.model);
        const shapes = ladderOf(category.shape, stepsOf(category.model, category.shape, profile));
        if (model === undefined || shapes.length === 0)
          throw new Error(`category ${category.name}: its model is not loaded and measured on this device`);
        const layout = model.spec.input.layout ?? 'NCHW';
        const ladder = shapes.map(({ shape, points }) => ({ dims: networkDims(shape, layout), points }));
        const { dims } = ladder[0]!;
        const elementType = model.spec.input.elementType ?? 'float32';
        this.#layouts.set(category.name, layout);
        for (const tenant of category.tenants)
          served.set(`${tenant.namespace}.${tenant.name}`, {
            namespace: tenant.namespace,
            name: tenant.name,
            class: category.class,
            category: category.name,
            model: category.model,
            streams: tenant.streams,
            periodUs: tenant.periodUs,
            jitterUs: tenant.jitterUs,
            deadlineUs: tenant.deadlineUs ?? Infinity,
            deepest: deepestRung(tenant.minShape, shapes),
            late: tenant.lateFrames === 'Drop' ? 'drop' : 'serve',
            shape: category.shape,
            input: { name: model.spec.input.name, dims, elementType },
            image: imageInput(model, category.shape),
            outputs: this.#outputs.get(`${category.model}@${category.shape.join('x')}`) ?? [],
          });
        this.#growPool(category, frameBytes(dims, elementType));
        return {
          name: category.name,
          model: category.model,
          class: category.class,
          ladder,
          overheadUs,
          windowUs: category.windowUs ?? 0,
          windowOffsetUs: category.windowOffsetUs ?? 0,
          relativeDeadlineUs: category.relativeDeadlineUs ?? 0,
        };
      }),
    };
    // Whoever leaves stops sending before the change, whoever comes starts after it.
    for (const [path, tenant] of this.#tenants)
      if (!served.has(path)) {
        this.#tenants.delete(path);
        this.#former.set(path, tenant);
      }
    await this.#device.program(program);
    const programmed = new Set(program.categories.map(({ name }) => name));
    for (const [name, pool] of this.#pools)
      if (!programmed.has(name)) {
        this.#pools.delete(name);
        this.#device.retirePool(pool);
      }
    for (const [path, terms] of served) {
      const known = this.#tenants.get(path) ?? this.#former.get(path);
      this.#former.delete(path);
      known?.change(terms, ingestUs);
      this.#tenants.set(path, known ?? new ServedTenant(terms, ingestUs));
    }
    this.#tellPromises(program);
  }

  /** Exports what the device is promised to. */
  #tellPromises({ categories }: Program): void {
    const device = `${this.index}`;
    const { tenantStreams, tenantRate, tenantDeadline, window } = this.metrics;
    for (const gauge of [tenantStreams, tenantRate, tenantDeadline])
      for (const { terms } of this.#former.values())
        gauge.remove({ namespace: terms.namespace, tenant: terms.name, device });
    for (const { terms } of this.#tenants.values()) {
      const labels = { namespace: terms.namespace, tenant: terms.name, device };
      // A counter that is not there yet looks like nothing is known.
      const own = { namespace: terms.namespace, tenant: terms.name };
      for (const outcome of OUTCOMES) this.metrics.frames.inc({ ...own, outcome }, 0);
      this.metrics.misses.inc(own, 0);
      this.metrics.degraded.inc(own, 0);
      tenantStreams.set(labels, terms.streams);
      tenantRate.set(labels, (terms.streams * 1e6) / terms.periodUs);
      if (terms.deadlineUs !== Infinity) tenantDeadline.set(labels, terms.deadlineUs / 1e6);
    }
    for (const category of this.#windows) window.remove({ device, category });
    this.#windows = categories.filter(({ class: c }) => c === 'RealTime').map(({ name }) => name);
    for (const fault of ['crash', 'hang']) this.metrics.deviceLosses.inc({ device, fault }, 0);
    for (const { name: category } of categories) this.metrics.overruns.inc({ device, category }, 0);
    for (const { name, windowUs } of categories)
      if (this.#windows.includes(name)) window.set({ device, category: name }, windowUs / 1e6);
  }

  /** A slot for a frame of this tenant; undefined when too many frames wait. */
  takeSlot(tenant: ServedTenant): Slot | undefined {
    const pool = this.#pools.get(tenant.terms.category);
    const index = pool?.take();
    return pool === undefined || index === undefined ? undefined : { pool, index, bytes: pool.stage(index) };
  }

  giveSlot({ pool, index }: Slot): void {
    pool.give(index);
  }

  /** Submits a frame; its slot is taken care of from here on. */
  async submit(tenant: ServedTenant, slot: Slot, arrivedUs: number): Promise<Answer> {
    const { category, model, deepest, late, deadlineUs } = tenant.terms;
    const objection =
      this.failure === undefined ? this.#device.objection(model) : `the device is being replaced: ${this.failure}`;
    if (objection !== undefined) {
      this.giveSlot(slot);
      throw new FrameFailure(objection);
    }
    try {
      slot.pool.publish(slot.index);
    } catch (error) {
      this.giveSlot(slot);
      throw new FrameFailure(`no shared memory for the frame: ${(error as Error).message}; give /dev/shm more`);
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#flights.set(id, { tenant, pool: slot.pool, slot: slot.index, arrivedUs, resolve, reject });
      this.metrics.queueDepth.inc({ device: `${this.index}`, category });
      const atUs = nowUs();
      const terms = { deepest, late, dueUs: arrivedUs + deadlineUs };
      this.#device.submit({ id, category, pool: slot.pool.id, slot: slot.index, atUs, terms });
      this.metrics.ingest.observe((atUs - arrivedUs) / 1e6);
    });
  }

  /** Notes what became of a frame. */
  count(tenant: ServedTenant, outcome: Outcome, latencyUs?: number, batch = 0): void {
    const { namespace, name } = tenant.terms;
    tenant.outcomes[outcome]++;
    this.metrics.frames.inc({ namespace, tenant: name, outcome });
    if (outcome === 'late' || outcome === 'dropped') this.metrics.misses.inc({ namespace, tenant: name });
    if (latencyUs === undefined) return;
    tenant.latencyUs.record(Math.max(1, latencyUs));
    tenant.batchSum += batch;
    this.metrics.latency.observe({ namespace, tenant: name }, latencyUs / 1e6);
  }

  async stop(): Promise<void> {
    await this.#device.stop();
    for (const id of [...this.#flights.keys()]) this.#land(id)?.reject(new FrameFailure('the agent is stopping'));
  }

  /** Frames that were accepted and not answered yet. */
  get inFlight(): number {
    return this.#flights.size;
  }

  #growPool(category: ScheduleDevice['categories'][number], slotBytes: number): void {
    // Frames of the longest time that any of them may spend here, twice over, and some.
    const perUs = category.tenants.reduce((sum, { streams, periodUs }) => sum + streams / periodUs, 0);
    const streams = category.tenants.reduce((sum, tenant) => sum + tenant.streams, 0);
    const longestUs = (category.windowUs ?? 0) + (category.relativeDeadlineUs ?? 0);
    const wanted = Math.max(LEAST_SLOTS, Math.min(MOST_WAITING, Math.ceil(2 * longestUs * perUs) + 4 * streams));
    const slots = Math.max(1, Math.min(wanted, Math.floor(POOL_BYTES / slotBytes)));
    const known = this.#pools.get(category.name);
    if (known !== undefined && known.slotBytes === slotBytes && known.slots >= slots) return;
    if (known !== undefined) this.#device.retirePool(known);
    this.#pools.set(category.name, this.#device.newPool(slotBytes, slots));
  }

  #land(id: number): Flight | undefined {
    const flight = this.#flights.get(id);
    if (flight === undefined) return undefined;
    this.#flights.delete(id);
    flight.pool.give(flight.slot);
    this.metrics.queueDepth.dec({ device: `${this.index}`, category: flight.tenant.terms.category });
    return flight;
  }

  #batchDone({ category, ids, outputs, dims, startUs, endUs, error }: BatchDone): void {
    const shape = this.#layouts.get(category) === 'NHWC' ? [dims[2]!, dims[0]!, dims[1]!] : dims;
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
      const flight = this.#land(id);
      if (flight === undefined) release();
      else if (error !== undefined) flight.reject(new FrameFailure(`the model failed on this batch: ${error}`));
      else {
        this.#noteShape(flight.tenant, shape);
        const { arrivedUs } = flight;
        flight.resolve({ outputs, index, startUs, endUs, arrivedUs, batch: ids.length, shape, release });
      }
    });
  }

  #noteShape(tenant: ServedTenant, shape: readonly number[]): void {
    if (shape.join() === tenant.terms.shape.join()) return;
    const { namespace, name } = tenant.terms;
    this.metrics.degraded.inc({ namespace, tenant: name });
    if (tenant.noteDegraded(shape, Date.now()))
      this.onChange({ kind: 'degraded', tenant: `${namespace}/${name}`, shape });
  }

  #jobDone(job: JobDone): void {
    const { category, jobKind, frames, startUs, endUs, wcetUs, lateStartUs, penaltyUs, nextRung } = job;
    const device = `${this.index}`;
    const labels = { device, category, kind: jobKind };
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
    this.onJob?.(job);
    if (lateStartUs !== undefined) this.metrics.lateness.observe(Math.max(0, lateStartUs) / 1e6);
  }

  #lost({ message, fault }: DeviceLost): void {
    this.metrics.deviceReady.set({ device: `${this.index}` }, 0);
    this.metrics.deviceLosses.inc({ device: `${this.index}`, fault });
    for (const id of [...this.#flights.keys()])
      this.#land(id)?.reject(new FrameFailure(`the device was lost with this frame: ${message}`));
    this.onChange({ kind: 'deviceLost', error: message });
  }
}

/** The shapes that were measured for a model, as rungs; making frames smaller is part of what a smaller one takes. */
function stepsOf(
  model: string,
  asked: readonly number[],
  { categories = [] }: ProfileStatus,
): (Step & { points: Rung['points'] })[] {
  return categories
    .filter((each) => each.model === model)
    .map(({ shape, resizeUs = 0, batches }) => {
      const perFrameUs = shape.join() === asked.join() ? 0 : resizeUs;
      const points = batches.map(({ size, wcetUs }) => ({ batch: size, wcetUs: wcetUs + size * perFrameUs }));
      return { shape, points, wcet: new WcetTable(points) };
    });
}

/** A frame's axes in the network's own order. */
export function networkDims(shape: readonly number[], layout: 'NCHW' | 'NHWC'): number[] {
  const [channels, height, width] = shape as [number, number, number];
  return layout === 'NCHW' ? [channels, height, width] : [height, width, channels];
}

/** The frame's latency at this instant, in microseconds. */
export function latencyUs({ arrivedUs }: Answer): number {
  return nowUs() - arrivedUs;
}
