import type { Encoding, IngestCosts } from '../api/ingest.js';
import { ingestUsOf } from '../api/ingest.js';
import type { ResourceOf } from '../api/manifests.js';
import type { GivenUpBecause } from '../sched/frame.js';
import type { Step } from '../sched/ladder.js';
import { deepestRung, ladderOf } from '../sched/ladder.js';
import { WcetTable } from '../sched/wcet.js';
import { nowUs } from './clock.js';
import type { FramePool } from './device/frame-pool.js';
import type { BatchDone, DeviceOptions, OutputTensor, Program, ProgramCategory, Ran, Rung } from './device/messages.js';
import type { DeviceLost } from './device/device.js';
import { frameBytes } from './device/frames.js';
import type { SupervisorListener } from './device/supervisor.js';
import { SupervisedDevice } from './device/supervisor.js';
import { imageInput } from './ingest/image.js';
import { IngestWatch } from './profile/ingest-watch.js';
import { AgentMetrics } from './metrics.js';
import type { ProfileStatus, ScheduleDevice } from './recheck.js';
import { promisedOf, recheck } from './recheck.js';
import type { Outcome, TenantTerms } from './tenant.js';
import { OUTCOMES, ServedTenant } from './tenant.js';

/** How long frames of one category may pile up, in frames, before more are turned away. */
const MOST_WAITING = 4096;
const LEAST_SLOTS = 32;
const POOL_BYTES = 1024 ** 3;
/** Spare frames of each tenant that may be on their way through this node. */
const SPARE_SLOTS = 16;
const SPARE_POOL_BYTES = 256 * 1024 ** 2;
/** Of the time for ingest, the part that comes after the run: handing the answer over. */
const ANSWER_US = 2000;

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
export class FrameFailure extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The frame could not meet its deadline any more, or another took its place. */
export class FrameDropped extends FrameFailure {}

const DROPPED: Record<Exclude<GivenUpBecause, 'withdrawn'>, readonly [code: string, message: string]> = {
  late: ['DeadlinePassed', 'this frame could not meet its deadline any more, and was given up'],
  replaced: ['ReplacedByNewer', 'a newer frame of this stream took the place of this one (spec.spareFrames: Latest)'],
  full: ['SpareQueueFull', 'too many frames of this tenant wait for spare time already'],
};

interface Flight {
  readonly tenant: ServedTenant;
  readonly promised: boolean;
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
  /** Whether its frame is one of those that its tenant was promised. */
  readonly promised: boolean;
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
  /** Categories whose gaps are exported. */
  #visited: string[] = [];
  #costs: IngestCosts = {};
  /** What live frames take to be made ready. */
  readonly ingest = new IngestWatch();
  /** Told when the device is lost or back, when a model is kept off it, or when frames begin or end to be degraded. */
  onChange: (change: Change) => void = () => undefined;

  /** Told of each batch that has run. */
  onRan: ((ran: Ran) => void) | undefined;
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
          agent
            .#land(id)
            ?.reject(
              why === 'withdrawn'
                ? new FrameFailure('TenantWithdrawn', 'the tenant was withdrawn')
                : new FrameDropped(...DROPPED[why]),
            );
      },
      ran: (done) => agent.#ran(done),
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

  /** Programs a schedule; resolves when the batcher has taken it over. Tenants change at that instant. */
  async apply(schedule: ScheduleDevice, profile: ProfileStatus): Promise<void> {
    this.#costs = profile;
    const served = new Map<string, TenantTerms>();
    const { visits } = recheck(schedule, profile);
    const categories = categoriesOf(schedule).map((category): ProgramCategory => {
      const { name, tenants } = category;
      const { ladder, termsOf } = this.#ladderOf(category, profile);
      for (const tenant of tenants) served.set(`${tenant.namespace}.${tenant.name}`, termsOf(tenant));
      this.#growPools(category, frameBytes(ladder[0]!.dims, termsOf(tenants[0]!).input.elementType));
      const promised = category.promised === undefined ? [] : [...promisedOf(category.promised, profile)];
      const overheadUs = profile.dispatchOverheadUs ?? 0;
      return { name, model: category.model, ladder, overheadUs, visit: visits.get(name), promised };
    });
    const program: Program = { adaptation: this.#adaptation, categories };
    // Whoever leaves stops sending before the change, whoever comes starts after it.
    for (const [path, tenant] of this.#tenants)
      if (!served.has(path)) {
        this.#tenants.delete(path);
        this.#former.set(path, tenant);
      }
    await this.#device.program(program);
    const programmed = new Set(program.categories.flatMap(({ name }) => [poolName(name, true), poolName(name, false)]));
    for (const [name, pool] of this.#pools)
      if (!programmed.has(name)) {
        this.#pools.delete(name);
        this.#device.retirePool(pool);
      }
    for (const [path, terms] of served) {
      const known = this.#tenants.get(path) ?? this.#former.get(path);
      this.#former.delete(path);
      known?.change(terms);
      this.#tenants.set(path, known ?? new ServedTenant(terms));
    }
    this.#tellPromises(program);
  }

  /** The shapes that a category may be computed at on this device, and its tenants' terms. */
  #ladderOf(
    category: ServedCategory,
    profile: ProfileStatus,
  ): { ladder: Rung[]; termsOf: (tenant: ServedEntry) => TenantTerms } {
    const model = this.#models.get(category.model);
    const shapes = ladderOf(category.shape, stepsOf(category.model, category.shape, profile));
    if (model === undefined || shapes.length === 0)
      throw new Error(`category ${category.name}: its model is not loaded and measured on this device`);
    const layout = model.spec.input.layout ?? 'NCHW';
    const ladder = shapes.map(({ shape, points }) => ({ dims: networkDims(shape, layout), points }));
    const { dims } = ladder[0]!;
    this.#layouts.set(category.name, layout);
    const common = {
      category: category.name,
      model: category.model,
      shape: category.shape,
      input: { name: model.spec.input.name, dims, elementType: model.spec.input.elementType ?? ('float32' as const) },
      image: imageInput(model, category.shape),
      outputs: this.#outputs.get(`${category.model}@${category.shape.join('x')}`) ?? [],
    };
    const termsOf = (tenant: ServedEntry): TenantTerms => ({
      ...common,
      namespace: tenant.namespace,
      name: tenant.name,
      promised: tenant.promised,
      beyond: tenant.beyondPromise === 'Refuse' ? 'refuse' : 'serve',
      latest: tenant.spareFrames === 'Latest',
      streams: tenant.streams,
      periodUs: tenant.periodUs,
      jitterUs: tenant.jitterUs,
      deadlineUs: tenant.deadlineUs ?? Infinity,
      deepest: deepestRung(tenant.minShape, shapes),
      late: tenant.lateFrames === 'Drop' ? 'drop' : 'serve',
    });
    return { ladder, termsOf };
  }

  /** Exports what the device is promised to. */
  #tellPromises({ categories }: Program): void {
    const device = `${this.index}`;
    const { tenantStreams, tenantRate, tenantDeadline, gap } = this.metrics;
    for (const gauge of [tenantStreams, tenantRate, tenantDeadline])
      for (const { terms } of this.#former.values())
        gauge.remove({ namespace: terms.namespace, tenant: terms.name, device });
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
    if (!promised && !this.hasRoomForSpare(tenant)) return undefined;
    const pool = this.#pools.get(poolName(tenant.terms.category, promised));
    const index = pool?.take();
    if (pool === undefined || index === undefined) return undefined;
    if (!promised) tenant.spareInFlight++;
    return { pool, index, promised, bytes: pool.stage(index) };
  }

  giveSlot(tenant: ServedTenant, { pool, index, promised }: Omit<Slot, 'bytes'>): void {
    if (!promised) tenant.spareInFlight--;
    pool.give(index);
  }

  /** Submits a frame; its slot is taken care of from here on. */
  async submit(tenant: ServedTenant, slot: Slot, arrivedUs: number, encoding: Encoding, stream = ''): Promise<Answer> {
    const { category, model, deepest, late, deadlineUs, namespace, name, latest } = tenant.terms;
    const { promised } = slot;
    const objection =
      this.failure === undefined ? this.#device.objection(model) : `the device is being replaced: ${this.failure}`;
    if (objection !== undefined) {
      this.giveSlot(tenant, slot);
      throw new FrameFailure('DeviceUnavailable', objection);
    }
    try {
      slot.pool.publish(slot.index);
    } catch (error) {
      this.giveSlot(tenant, slot);
      throw new FrameFailure(
        'OutOfMemory',
        `no shared memory for the frame: ${(error as Error).message}; give /dev/shm more`,
      );
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#flights.set(id, { tenant, promised, pool: slot.pool, slot: slot.index, arrivedUs, resolve, reject });
      this.metrics.queueDepth.inc({ device: `${this.index}`, category });
      const atUs = nowUs();
      const key = `${namespace}/${name}`;
      const dueUs = arrivedUs + deadlineUs - Math.min(ANSWER_US, ingestUsOf(this.#costs, encoding));
      const offer = { category, tenant: key, stream, replacesOlder: latest, atUs, promised, deepest, late, dueUs };
      this.#device.submit({ id, pool: slot.pool.id, slot: slot.index, offer });
      this.metrics.ingest.observe((atUs - arrivedUs) / 1e6);
      if (promised) this.ingest.note(encoding, atUs - arrivedUs);
    });
  }

  /** Notes what became of a frame. */
  count(tenant: ServedTenant, outcome: Outcome, promised: boolean | undefined, latencyUs?: number, batch = 0): void {
    const { namespace, name } = tenant.terms;
    tenant.outcomes[outcome]++;
    this.metrics.frames.inc({ namespace, tenant: name, outcome });
    if (promised === true) tenant.promisedFrames++;
    if (promised === false) tenant.spareFrames++;
    if (promised === false) this.metrics.spareFrames.inc({ namespace, tenant: name, outcome });
    if (promised === true && (outcome === 'late' || outcome === 'dropped')) {
      tenant.misses++;
      this.metrics.misses.inc({ namespace, tenant: name });
    }
    if (latencyUs === undefined) return;
    tenant.latencyUs.record(Math.max(1, latencyUs));
    tenant.batchSum += batch;
    this.metrics.latency.observe({ namespace, tenant: name }, latencyUs / 1e6);
  }

  async stop(): Promise<void> {
    await this.#device.stop();
    for (const id of [...this.#flights.keys()])
      this.#land(id)?.reject(new FrameFailure('AgentStopping', 'the agent is stopping'));
  }

  /** Frames that were accepted and not answered yet. */
  get inFlight(): number {
    return this.#flights.size;
  }

  #growPools({ name, tenants }: ServedCategory, slotBytes: number): void {
    // Promised frames of the longest time that any of them may spend here, twice over, and some.
    const promised = tenants.filter((tenant) => tenant.promised);
    const perUs = promised.reduce((sum, { streams, periodUs }) => sum + streams / periodUs, 0);
    const streams = promised.reduce((sum, tenant) => sum + tenant.streams, 0);
    const longestUs = promised.reduce((longest, { deadlineUs = 0 }) => Math.max(longest, deadlineUs), 0);
    const wanted = Math.max(LEAST_SLOTS, Math.min(MOST_WAITING, Math.ceil(2 * longestUs * perUs) + 4 * streams));
    if (promised.length > 0) this.#growPool(poolName(name, true), slotBytes, wanted, POOL_BYTES);
    this.#growPool(poolName(name, false), slotBytes, SPARE_SLOTS * tenants.length, SPARE_POOL_BYTES);
  }

  #growPool(name: string, slotBytes: number, wanted: number, mostBytes: number): void {
    const slots = Math.max(1, Math.min(wanted, Math.floor(mostBytes / slotBytes)));
    const known = this.#pools.get(name);
    if (known !== undefined && known.slotBytes === slotBytes && known.slots >= slots) return;
    if (known !== undefined) this.#device.retirePool(known);
    this.#pools.set(name, this.#device.newPool(slotBytes, slots));
  }

  #land(id: number): Flight | undefined {
    const flight = this.#flights.get(id);
    if (flight === undefined) return undefined;
    this.#flights.delete(id);
    this.giveSlot(flight.tenant, { pool: flight.pool, index: flight.slot, promised: flight.promised });
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
      else if (error !== undefined)
        flight.reject(new FrameFailure('ModelFailed', `the model failed on this batch: ${error}`));
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

  #lost({ message, fault }: DeviceLost): void {
    this.metrics.deviceReady.set({ device: `${this.index}` }, 0);
    this.metrics.deviceLosses.inc({ device: `${this.index}`, fault });
    for (const id of [...this.#flights.keys()])
      this.#land(id)?.reject(new FrameFailure('DeviceLost', `the device was lost with this frame: ${message}`));
    this.onChange({ kind: 'deviceLost', error: message });
  }
}

type Entry = ScheduleDevice['categories'][number]['tenants'][number];

/** A tenant's entry in a schedule, and whether its frames were promised to be in time. */
type ServedEntry = Entry & { readonly promised: boolean };

/** A category as a schedule asks for it: those who were promised something, and those whom it serves in spare time. */
interface ServedCategory {
  readonly name: string;
  readonly model: string;
  readonly shape: readonly number[];
  readonly promised?: ScheduleDevice['categories'][number];
  readonly tenants: ServedEntry[];
}

function categoriesOf({ categories, spare = [] }: ScheduleDevice): ServedCategory[] {
  const all = new Map<string, ServedCategory>();
  const add = (model: string, shape: readonly number[], tenant: ServedEntry): void => {
    const name = `${model}@${shape.join('x')}`;
    const known = all.get(name) ?? { name, model, shape, tenants: [] };
    known.tenants.push(tenant);
    all.set(name, known);
  };
  for (const category of categories) {
    const { name, model, shape, tenants } = category;
    if (category.class === 'RealTime')
      all.set(name, {
        name,
        model,
        shape,
        promised: category,
        tenants: tenants.map((each) => ({ ...each, promised: true })),
      });
    else for (const tenant of tenants) add(model, shape, { ...tenant, promised: false });
  }
  for (const { model, shape, ...tenant } of spare) add(model, shape, { ...tenant, promised: false });
  return [...all.values()];
}

const poolName = (category: string, promised: boolean): string => (promised ? category : `${category}/spare`);

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
