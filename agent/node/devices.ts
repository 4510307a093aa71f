import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { FrameHead } from '../../api/frames.js';
import { frameCost } from '../../api/frames.js';
import { nowUs } from '../../kube/clock.js';
import { divisionFor } from '../device/cores.js';
import { memoryMeter } from '../device/memory.js';
import { tenantPath } from '../../api/names.js';
import type { Told } from '../../ui/live-page.js';
import type { DeviceOptions } from '../device/messages.js';
import { DecodeStage } from '../ingest/decode/stage.js';
import type { Serving } from '../ingest/passage.js';
import { cleanUp, stopFetching } from '../models/model-file.js';
import { Residents } from '../models/residents.js';
import type { ProfileKeeperOptions } from '../profile/keeper.js';
import { ProfileKeeper } from '../profile/keeper.js';
import { NodeStages } from '../profile/node-stages.js';
import type { Whose } from '../profile/stage-watch.js';
import type { LateFrame } from '../serving/late-frames.js';
import { LateLog } from '../serving/late-log.js';
import { AgentMetrics } from '../serving/metrics.js';
import { DeviceService } from '../serving/service.js';
import type { ServedTenant, TenantBooks } from '../serving/tenant.js';
import { booksOf } from '../serving/tenant.js';
import { liveNode, liveRuns } from './live.js';

/** One device of a node, with the models on it and its profile. */
export interface Unit {
  readonly service: DeviceService;
  readonly keeper: ProfileKeeper;
}

export interface DevicesOptions extends Omit<ProfileKeeperOptions, 'device' | 'stages' | 'decode'> {
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
    for (const { service } of units) {
      service.onPoolGone = (pool) => decode.poolGone(pool);
      service.onLeft = (path, { namespace, name }) => {
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
      const lateLog = await LateLog.open(join(options.stateDir, 'late', `${index}.jsonl`), options.log);
      const service = await DeviceService.start(device, { index, metrics, adaptation, patient, lateLog });
      if (service.gone !== undefined)
        options.log.error({ device: index, error: service.gone }, 'device does not work; trying goes on');
      // Devices that are cores share the machine's memory.
      const share = device.provider === 'cpu' ? Math.floor(meter.freeBytes / devices.length) : undefined;
      const residents = await Residents.start(service, meter, options.log, device.memoryBytes ?? share);
      return { service, keeper: new ProfileKeeper(service, residents, { ...options, device, stages, decode }) };
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
      (sum, { service: { shares } }) => sum + shares.receive + (sharesCore ? shares.decode : 0),
      0,
    );
  }

  /** Compares what frames take of the stages with what they were expected to. */
  readonly stageWatch = {
    decoded: (head: FrameHead, us: number, whose: Whose): void =>
      this.#stages.watch.decoded(head, us, frameCost(this.#stages.value, head).decodeUs, whose, nowUs()),
    handled: (expectedUs: number): void => this.#stages.watch.handled(expectedUs),
  };

  /** Whether any frames can be served. */
  get ready(): boolean {
    return this.units.some(({ service }) => service.ready);
  }

  /** Frames that were accepted and not answered yet. */
  get inFlight(): number {
    return this.units.reduce((sum, { service }) => sum + service.inFlight, 0);
  }

  /** Where the tenant's frames may go; on several devices when its streams are split. */
  serving(path: string): Serving[] {
    return this.units.flatMap(({ service }) => {
      const tenant = service.tenants.at(path);
      return tenant === undefined ? [] : [{ service, tenant }];
    });
  }

  /** The paths of all tenants being served. */
  names(): string[] {
    return [...new Set(this.served().map(({ terms }) => tenantPath(terms)))].sort();
  }

  /** The promised frames that were late last, the newest first; of one tenant, where one is named. */
  late(tenant?: string): LateFrame[] {
    const all = this.units.flatMap(({ service }) => service.late.list(tenant));
    return all.sort((a, b) => (a.at < b.at ? 1 : -1));
  }

  /** What the live page tells of the node. */
  readonly live: readonly Told[] = [
    { event: 'node', everyMs: 1000, tell: () => ({ data: liveNode(this) }) },
    { event: 'runs', everyMs: 250, tell: (told) => liveRuns(this.services, told as readonly number[] | undefined) },
  ];

  get services(): readonly DeviceService[] {
    return this.units.map(({ service }) => service);
  }

  /** The tenants being served, once for each device that they are on. */
  served(): ServedTenant[] {
    return this.units.flatMap(({ service }) => service.tenants.served());
  }

  /** What became of every tenant's frames since the start, also of those withdrawn last, by `<namespace>/<name>`. */
  books(): Map<string, TenantBooks> {
    const parts = new Map<string, ServedTenant[]>();
    for (const tenant of this.units.flatMap(({ service }) => service.tenants.servedOrLeft())) {
      parts.set(tenant.key, [...(parts.get(tenant.key) ?? []), tenant]);
    }
    return new Map([...parts].map(([key, all]) => [key, booksOf(all)]));
  }

  async stop(): Promise<void> {
    stopFetching(this.#stateDir);
    await Promise.all([...this.units.map(({ service }) => service.stop()), this.decode.stop()]);
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
