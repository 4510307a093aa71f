import type { ResourceOf } from '../api/manifests.js';
import { nowUs } from './clock.js';
import { Device } from './device/device.js';
import type { FramePool } from './device/frame-pool.js';
import type { BatchDone, DeviceOptions, JobDone, LoadedModel, OutputTensor, Program } from './device/messages.js';
import { frameBytes } from './device/frames.js';
import { imageInput } from './ingest/image.js';
import { AgentMetrics } from './metrics.js';
import type { Outcome, TenantTerms } from './tenant.js';
import { ServedTenant } from './tenant.js';

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
  /**
   * To be called once the outputs are no longer needed. The memory of a batch is given back at once when all of its
   * frames are done: left to the garbage collector, megabytes a second of it would make for long pauses.
   */
  readonly release: () => void;
}

/** Why a frame was not answered. */
export class FrameFailure extends Error {}

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

/**
 * A node's agent with its device: holds the tenants of the applied schedule, hands their frames to the device and their
 * answers back.
 */
export class Agent {
  readonly metrics: AgentMetrics;
  readonly books: DeviceBooks = { busyUs: 0, jobs: 0, overruns: 0 };
  readonly #tenants = new Map<string, ServedTenant>();
  readonly #former = new Map<string, ServedTenant>();
  readonly #flights = new Map<number, Flight>();
  readonly #pools = new Map<string, FramePool>();
  readonly #models = new Map<string, ResourceOf<'InferenceModel'>>();
  readonly #outputs = new Map<string, TenantTerms['outputs']>();
  #device!: Device;
  #lastId = 0;
  #failure: Error | undefined;

  private constructor(metrics: AgentMetrics) {
    this.metrics = metrics;
  }

  static async start(options: DeviceOptions, metrics = new AgentMetrics()): Promise<Agent> {
    const agent = new Agent(metrics);
    agent.#device = await Device.start(options, {
      batchDone: (done) => agent.#batchDone(done),
      dropped: (ids) => ids.forEach((id) => agent.#land(id)?.reject(new FrameFailure('the tenant was withdrawn'))),
      jobDone: (done) => agent.#jobDone(done),
      lost: (error) => agent.#lost(error),
    });
    return agent;
  }

  get device(): Device {
    return this.#device;
  }

  /** Whether frames can be served. */
  get ready(): boolean {
    return this.#failure === undefined;
  }

  /** Why frames cannot be served; undefined when they can. */
  get failure(): string | undefined {
    return this.#failure?.message;
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
    const loaded: LoadedModel = {
      name: model.metadata.name,
      path,
      inputName: model.spec.input.name,
      elementType: model.spec.input.elementType ?? 'float32',
      layout: model.spec.input.layout ?? 'NCHW',
    };
    await this.#device.load(loaded);
    this.#models.set(model.metadata.name, model);
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
      categories: schedule.categories.map((category) => {
        const model = this.#models.get(category.model);
        const measured = profile.categories?.find(
          ({ model: name, shape }) => name === category.model && shape.join() === category.shape.join(),
        );
        if (model === undefined || measured === undefined)
          throw new Error(`category ${category.name}: its model is not loaded and measured on this device`);
        const dims = networkDims(category.shape, model.spec.input.layout ?? 'NCHW');
        const elementType = model.spec.input.elementType ?? 'float32';
        for (const tenant of category.tenants)
          served.set(`${tenant.namespace}.${tenant.name}`, {
            namespace: tenant.namespace,
            name: tenant.name,
            class: category.class,
            category: category.name,
            streams: tenant.streams,
            periodUs: tenant.periodUs,
            jitterUs: tenant.jitterUs,
            deadlineUs: tenant.deadlineUs ?? Infinity,
            input: { name: model.spec.input.name, dims, elementType },
            image: imageInput(model, category.shape),
            outputs: this.#outputs.get(`${category.model}@${category.shape.join('x')}`) ?? [],
          });
        this.#growPool(category, frameBytes(dims, elementType));
        return {
          name: category.name,
          model: category.model,
          dims,
          class: category.class,
          points: measured.batches.map(({ size, wcetUs }) => ({ batch: size, wcetUs })),
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
    for (const [path, terms] of served) {
      const known = this.#tenants.get(path) ?? this.#former.get(path);
      this.#former.delete(path);
      known?.change(terms, ingestUs);
      this.#tenants.set(path, known ?? new ServedTenant(terms, ingestUs));
    }
  }

  /** A slot for a frame of this tenant; undefined when too many frames wait. */
  takeSlot(tenant: ServedTenant): Slot | undefined {
    const pool = this.#pools.get(tenant.terms.category);
    const index = pool?.take();
    return pool === undefined || index === undefined ? undefined : { pool, index, bytes: pool.bytes(index) };
  }

  giveSlot({ pool, index }: Slot): void {
    pool.give(index);
  }

  /** Submits a frame; its slot is taken care of from here on. */
  async submit(tenant: ServedTenant, slot: Slot, arrivedUs: number): Promise<Answer> {
    if (this.#failure !== undefined) {
      this.giveSlot(slot);
      throw new FrameFailure(`the device is lost: ${this.#failure.message}`);
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#flights.set(id, { tenant, pool: slot.pool, slot: slot.index, arrivedUs, resolve, reject });
      this.metrics.queueDepth.inc({ category: tenant.terms.category });
      const enteredUs = this.#device.submit(id, tenant.terms.category, slot.pool, slot.index);
      this.metrics.ingest.observe((enteredUs - arrivedUs) / 1e6);
    });
  }

  /** Notes what became of a frame. */
  count(tenant: ServedTenant, outcome: Outcome, latencyUs?: number, batch = 0): void {
    const { namespace, name } = tenant.terms;
    tenant.outcomes[outcome]++;
    this.metrics.frames.inc({ namespace, tenant: name, outcome });
    if (outcome === 'late') this.metrics.misses.inc({ namespace, tenant: name });
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
    if (known === undefined || known.slotBytes !== slotBytes || known.slots < slots)
      this.#pools.set(category.name, this.#device.newPool(slotBytes, slots));
  }

  #land(id: number): Flight | undefined {
    const flight = this.#flights.get(id);
    if (flight === undefined) return undefined;
    this.#flights.delete(id);
    flight.pool.give(flight.slot);
    this.metrics.queueDepth.dec({ category: flight.tenant.terms.category });
    return flight;
  }

  #batchDone({ ids, outputs, startUs, endUs, error }: BatchDone): void {
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
      else flight.resolve({ outputs, index, startUs, endUs, arrivedUs: flight.arrivedUs, batch: ids.length, release });
    });
  }

  #jobDone({ category, jobKind, frames, startUs, endUs, wcetUs, lateStartUs }: JobDone): void {
    const labels = { category, kind: jobKind };
    this.books.jobs++;
    this.books.busyUs += endUs - startUs;
    this.metrics.jobDuration.observe(labels, (endUs - startUs) / 1e6);
    this.metrics.batchSize.observe(labels, frames);
    this.metrics.busy.inc({ device: '0' }, (endUs - startUs) / 1e6);
    if (endUs - startUs > wcetUs) {
      this.books.overruns++;
      this.metrics.overruns.inc({ category });
    }
    if (lateStartUs !== undefined) this.metrics.lateness.observe(Math.max(0, lateStartUs) / 1e6);
  }

  #lost(error: Error): void {
    this.#failure = error;
    for (const id of [...this.#flights.keys()])
      this.#land(id)?.reject(new FrameFailure(`the device is lost: ${error.message}`));
  }
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
