import { availableParallelism } from 'node:os';
import type { FrameHead } from '../api/frames.js';
import { frameCost } from '../api/frames.js';
import { Agent } from './agent.js';
import { nowUs } from './clock.js';
import { DecodeStage } from './decode/stage.js';
import { divisionFor } from './device/cores.js';
import type { Serving } from './ingest/frame.js';
import { memoryMeter } from './device/memory.js';
import type { DeviceOptions } from './device/messages.js';
import { cleanUp, stopFetching } from './device/model-file.js';
import { AgentMetrics } from './metrics.js';
import type { ModelKeeperOptions } from './models.js';
import { ModelKeeper } from './models.js';
import { NodeStages } from './profile/node-stages.js';
import { Residents } from './residents.js';
import type { ServedTenant, TenantBooks } from './tenant.js';
import { booksOf } from './tenant.js';

/** One device of a node, with the models on it and its profile. */
export interface Unit {
  readonly agent: Agent;
  readonly keeper: ModelKeeper;
}

export interface DevicesOptions extends Omit<ModelKeeperOptions, 'device' | 'stages' | 'decode'> {
  readonly devices: readonly DeviceOptions[];
  readonly adaptation?: boolean;
}

/** A node's devices: each its own process, tenants, models and profile, so that one that fails takes only its own down. */
export class Devices {
  readonly units: readonly Unit[];
  readonly metrics: AgentMetrics;
  readonly decode: DecodeStage;
  readonly #stages: NodeStages;
  readonly #stateDir: string;

  private constructor(
    units: readonly Unit[],
    metrics: AgentMetrics,
    decode: DecodeStage,
    stages: NodeStages,
    stateDir: string,
  ) {
    this.#stateDir = stateDir;
    this.units = units;
    this.metrics = metrics;
    this.decode = decode;
    this.#stages = stages;
    for (const { agent } of units) {
      agent.onPoolGone = (pool) => decode.poolGone(pool);
      agent.onLeft = (path, { namespace, name }) => {
        if (this.serving(path).length === 0) metrics.forget(namespace, name);
      };
    }
  }

  /** @throws DeviceLost when the node's only device does not work */
  static async start({ devices, adaptation = true, ...options }: DevicesOptions): Promise<Devices> {
    await cleanUp(options.stateDir);
    const metrics = new AgentMetrics();
    const patient = devices.length > 1;
    const setup = stagesSetup(devices);
    const decode = new DecodeStage(setup.workers);
    const stages = new NodeStages({ ...setup, decode });
    const meters = await Promise.all(devices.map(memoryMeter));
    const units = devices.map(async (device, index) => {
      const meter = meters[index]!;
      const agent = await Agent.start(device, { index, metrics, adaptation, patient });
      if (agent.gone !== undefined)
        options.log.error({ device: index, error: agent.gone }, 'device does not work; trying goes on');
      // Devices that are cores share the machine's memory.
      const share = device.provider === 'cpu' ? Math.floor(meter.freeBytes / devices.length) : undefined;
      const residents = await Residents.start(agent, meter, options.log, device.memoryBytes ?? share);
      return { agent, keeper: new ModelKeeper(agent, residents, { ...options, device, stages, decode }) };
    });
    try {
      const decoding = decode.start();
      const all = await Promise.all(units);
      await decoding;
      return new Devices(all, metrics, decode, stages, options.stateDir);
    } catch (error) {
      await decode.stop();
      throw error;
    }
  }

  /** The share of the event loop's core that was promised to frames, decoding included where that shares it. */
  get promisedShare(): number {
    const sharesCore = this.#stages.value?.sharedCore === true;
    return this.units.reduce(
      (sum, { agent: { shares } }) => sum + shares.receive + (sharesCore ? shares.decode : 0),
      0,
    );
  }

  /** Compares what frames take of the stages with what they were expected to. */
  readonly stageWatch = {
    decoded: (head: FrameHead, us: number): void =>
      this.#stages.watch.decoded(head, us, frameCost(this.#stages.value, head).decodeUs, nowUs()),
    handled: (expectedUs: number): void => this.#stages.watch.handled(expectedUs),
  };

  /** Whether any frames can be served. */
  get ready(): boolean {
    return this.units.some(({ agent }) => agent.ready);
  }

  /** Frames that were accepted and not answered yet. */
  get inFlight(): number {
    return this.units.reduce((sum, { agent }) => sum + agent.inFlight, 0);
  }

  /** Where the tenant's frames may go; on several devices when its streams are split. */
  serving(path: string): Serving[] {
    return this.units.flatMap(({ agent }) => {
      const tenant = agent.tenant(path);
      return tenant === undefined ? [] : [{ agent, tenant }];
    });
  }

  /** The tenants being served, once for each device that they are on. */
  served(): ServedTenant[] {
    return this.units.flatMap(({ agent }) => agent.served());
  }

  /** What became of every tenant's frames since the start, also of those withdrawn last, by `<namespace>/<name>`. */
  books(): Map<string, TenantBooks> {
    const parts = new Map<string, ServedTenant[]>();
    for (const tenant of this.units.flatMap(({ agent }) => agent.servedOrLeft())) {
      parts.set(tenant.key, [...(parts.get(tenant.key) ?? []), tenant]);
    }
    return new Map([...parts].map(([key, all]) => [key, booksOf(all)]));
  }

  async stop(): Promise<void> {
    stopFetching(this.#stateDir);
    await Promise.all([...this.units.map(({ agent }) => agent.stop()), this.decode.stop()]);
  }
}

/** How many images are decoded at once, and where: on the cores that devices leave, one of which is the event loop's. */
function stagesSetup(devices: readonly DeviceOptions[]): {
  workers: number;
  sharedCore: boolean;
  cores?: readonly number[];
} {
  const division = divisionFor(devices);
  const threads = devices.reduce((sum, { provider, threads: own }) => sum + (provider === 'cpu' ? own : 1), 0);
  const left = division?.ingest.length ?? Math.max(1, availableParallelism() - threads);
  const cores = division?.devices.flat();
  return { workers: Math.max(1, left - 1), sharedCore: left < 2, ...(cores === undefined ? {} : { cores }) };
}
