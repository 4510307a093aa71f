import { isDeepStrictEqual } from 'node:util';
import type { ResourceOf } from '../../api/manifests.js';
import type { Cluster } from '../../kube/cluster.js';
import { reasonOf, statusOf } from '../../kube/cluster.js';
import { Informer } from '../../kube/informer.js';
import { MODELS, PROFILES, SCHEDULES } from '../../kube/kinds.js';
import type { KubeObject } from '../../kube/objects.js';
import { Nodes, Objects } from '../../kube/objects.js';
import { WorkQueue, work } from '../../kube/work-queue.js';
import type { Agent, Change } from '../agent.js';
import { logChange } from '../changes.js';
import type { Logger, ModelKeeper } from '../models.js';
import type { Profile } from '../profile/profiler.js';
import { DEGRADED_FOR_MS } from '../tenant.js';
import { recheck } from '../recheck.js';
import type { Applied, Count, ScheduleStatus } from './report.js';
import { countOf, isUrgent, scheduleStatus } from './report.js';
import { readState, writeState } from './state.js';

type Schedule = ResourceOf<'NodeSchedule'> & KubeObject;
type Model = ResourceOf<'InferenceModel'> & KubeObject;

export interface NodeAgentOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly stateDir: string;
  /** Where relative file URIs of models start. */
  readonly modelDir: string;
  /** Address and port that cameras reach this agent at. */
  readonly endpoint: string;
  readonly log: Logger;
}

const FIELD_MANAGER = 'deeprt-agent';
/** In steady state a status is written at most this often, and at least every `HEARTBEAT_MS`. */
const REPORT_MS = 10_000;
const HEARTBEAT_MS = 30_000;

type Task = 'models' | 'profile' | 'schedule' | 'report';

/**
 * The agent's side of the control plane: follows the catalogue and its own NodeSchedule, publishes its GPUProfile, applies what it
 * has checked itself, reports. Everything it needs to serve is also on disk, so neither a restart nor an API server that is
 * away ends the service.
 */
export class NodeAgent {
  readonly #agent: Agent;
  readonly #keeper: ModelKeeper;
  readonly #options: NodeAgentOptions;
  readonly #queue = new WorkQueue<Task>({ firstRetryMs: 250, longestRetryMs: 10_000 });
  readonly #models: Informer<Model>;
  readonly #schedules: Informer<Schedule>;
  readonly #nodes: Nodes;
  readonly #profileApi: Objects<Profile & KubeObject>;
  readonly #scheduleApi: Objects<Schedule>;
  #ownedBy: object[] | undefined;
  /** The device's profile over the API server's whole catalogue; what was stored may know fewer models. */
  #complete: Profile | undefined;
  #published: Profile | undefined;
  /** The schedule that is served, and the profile it was checked against. */
  #serving: { spec: Schedule['spec']; profile: Profile } | undefined;
  #applied: Applied | undefined;
  #reported: { status: ScheduleStatus; atMs: number } | undefined;
  #count: Count = { atMs: Date.now(), answered: new Map() };

  constructor(agent: Agent, keeper: ModelKeeper, options: NodeAgentOptions) {
    this.#agent = agent;
    this.#keeper = keeper;
    this.#options = options;
    const { cluster, log, node } = options;
    const failed =
      (kind: string) =>
      (error: string, retryMs: number): void =>
        log.warn({ kind, error, retryMs }, 'watch ended; starting it again');
    agent.onChange = (change) => this.#hear(change);
    this.#nodes = new Nodes(cluster);
    this.#profileApi = new Objects(cluster, PROFILES);
    this.#scheduleApi = new Objects(cluster, SCHEDULES);
    this.#models = new Informer(new Objects<Model>(cluster, MODELS).listWatch(), {
      changed: () => this.#queue.addAfter('models', 100),
      failed: failed(MODELS.kind),
    });
    this.#schedules = new Informer(this.#scheduleApi.listWatch({ fieldSelector: `metadata.name=${node}` }), {
      changed: () => this.#queue.add('schedule'),
      failed: failed(SCHEDULES.kind),
    });
  }

  /** Serves by what was stored last, if anything was, before the API server is asked. */
  async resume(): Promise<void> {
    const { stateDir, node, log, modelDir } = this.#options;
    const { models, schedule } = await readState(stateDir, node);
    if (schedule === undefined) return;
    try {
      const profile = await this.#keeper.bring(models, () => modelDir);
      await this.#serve(schedule.spec, profile);
      log.info({ node }, 'serving by the schedule stored on this node');
    } catch (error) {
      log.error(
        { node, error: (error as Error).message },
        'the stored schedule cannot be served; waiting for the API server',
      );
    }
  }

  /** Follows the API server until `stop` is aborted. */
  async run(stop: AbortSignal): Promise<void> {
    this.#models.start();
    this.#schedules.start();
    stop.addEventListener('abort', () => this.#queue.close());
    if (stop.aborted) this.#queue.close();
    const drift = this.#keeper.watchDrift(() => {
      if (this.#complete !== undefined) this.#complete = this.#keeper.profile;
      this.#queue.add('profile');
      this.#queue.add('schedule');
    });
    // The first list of models is in: an empty catalogue is one, too.
    void this.#models.synced().then(() => this.#queue.add('models'));
    await work(
      this.#queue,
      4,
      (task) => this.#perform(task),
      (task, error) => this.#options.log.warn({ task, error: reasonOf(error) }, 'failed; trying again'),
    );
    await Promise.all([this.#models.stop(), this.#schedules.stop(), drift.stop()]);
  }

  #hear(change: Change): void {
    logChange(this.#options.log, change);
    this.#queue.add('report');
    if (change.kind === 'modelQuarantined') this.#queue.add('models');
  }

  async #perform(task: Task): Promise<void> {
    switch (task) {
      case 'models':
        return this.#bringModels();
      case 'profile':
        return this.#publishProfile();
      case 'schedule':
        return this.#follow();
      case 'report':
        return this.#report();
    }
  }

  async #bringModels(): Promise<void> {
    const models = this.#models.list();
    this.#queue.add('profile');
    this.#complete = await this.#keeper.bring(models, () => this.#options.modelDir);
    this.#queue.add('profile');
    this.#queue.add('schedule');
    const { retryInMs } = this.#keeper;
    if (retryInMs !== undefined) this.#queue.addAfter('models', retryInMs);
  }

  /** Publishes what the device was measured to do; while that is not known yet, at least that there is a device. */
  async #publishProfile(): Promise<void> {
    const { node } = this.#options;
    const profile = this.#complete;
    const name = `${node}-0`;
    if (profile === undefined && this.#published === undefined && (await this.#profileApi.get(name)) !== undefined)
      return; // an earlier measurement stands until there is a newer one
    if (profile !== undefined && profile === this.#published) return;
    this.#ownedBy ??= await this.#owner();
    const head = { metadata: { name, ownerReferences: this.#ownedBy }, spec: { nodeName: node, device: 0 } };
    await this.#profileApi.apply(head as unknown as Profile, FIELD_MANAGER);
    const pending = {
      type: 'Profiled',
      status: 'False',
      reason: 'Profiling',
      message: 'the device is being measured',
      lastTransitionTime: new Date().toISOString(),
    };
    const status = profile?.status ?? { conditions: [pending] };
    await this.#profileApi.applyStatus({ metadata: { name }, status } as unknown as Profile, FIELD_MANAGER);
    this.#published = profile;
  }

  async #owner(): Promise<object[]> {
    const { node } = this.#options;
    const found = await this.#nodes.get(node);
    if (found === undefined)
      throw new Error(`there is no Node "${node}"; give the name of this machine's with --node-name`);
    return [{ apiVersion: 'v1', kind: 'Node', name: node, uid: found.metadata.uid }];
  }

  /** Checks the newest schedule against the newest profile and applies it; what it does not trust it does not apply. */
  async #follow(): Promise<void> {
    const schedule = this.#schedules.get(this.#options.node);
    const profile = this.#keeper.profile;
    if (schedule === undefined || profile === undefined) return;
    const generation = schedule.metadata.generation ?? 0;
    const served = this.#serving !== undefined && isDeepStrictEqual(this.#serving.spec, schedule.spec);
    if (!served || this.#serving?.profile !== profile) {
      // What is served already goes on when the profile turns out to be wrong; admission will see to it.
      const refusal = served ? undefined : this.#objection(schedule, profile);
      if (refusal === undefined) await this.#serve(schedule.spec, profile);
      else this.#options.log.error({ generation, refusal }, 'schedule refused; what was applied before goes on');
      this.#applied = { generation, ...(refusal === undefined ? {} : { refusal }) };
      await this.#store();
    } else this.#applied = { generation };
    this.#queue.add('report');
  }

  #objection({ spec }: Schedule, profile: Profile): string | undefined {
    const other = spec.devices?.find(({ device, categories }) => device !== 0 && categories.length > 0);
    if (other !== undefined) return `this node has no device ${other.device}`;
    const device = spec.devices?.find((each) => each.device === 0);
    return device === undefined ? undefined : recheck(device, profile.status ?? {});
  }

  async #serve(spec: Schedule['spec'], profile: Profile): Promise<void> {
    const device = spec.devices?.find((each) => each.device === 0) ?? { device: 0, categories: [] };
    await this.#agent.apply(device, profile.status ?? {});
    this.#serving = { spec, profile };
    const tenants = device.categories.flatMap((category) =>
      category.tenants.map(({ namespace, name }) => `${namespace}/${name}`),
    );
    this.#options.log.info({ tenants: tenants.length }, 'schedule applied');
  }

  async #store(): Promise<void> {
    if (this.#serving === undefined) return;
    const { stateDir, node } = this.#options;
    const used = new Set(this.#serving.spec.devices?.flatMap(({ categories }) => categories.map(({ model }) => model)));
    const schedule = {
      metadata: { name: node, namespace: '' },
      kind: 'NodeSchedule' as const,
      spec: this.#serving.spec,
    };
    const models = this.#models.list().filter(({ metadata }) => used.has(metadata.name));
    await writeState(stateDir, node, { models, schedule });
  }

  async #report(): Promise<void> {
    const degraded = this.#agent.served().some((tenant) => tenant.degradation(Date.now()) !== undefined);
    this.#queue.addAfter('report', degraded ? DEGRADED_FOR_MS : REPORT_MS);
    const { node, endpoint } = this.#options;
    if (this.#schedules.get(node) === undefined || this.#applied === undefined) return;
    const nowMs = Date.now();
    const tenants = this.#agent.served();
    const facts = {
      applied: this.#applied,
      deviceFailure: this.#agent.failure,
      endpoint,
      tenants,
      books: this.#agent.books,
    };
    const status = scheduleStatus(facts, this.#count, this.#reported?.status, nowMs);
    const ageMs = nowMs - (this.#reported?.atMs ?? 0);
    const news = !isDeepStrictEqual(figures(this.#reported?.status), figures(status));
    if (!isUrgent(this.#reported?.status, status) && !(news && ageMs >= REPORT_MS) && ageMs < HEARTBEAT_MS) return;
    try {
      await this.#scheduleApi.applyStatus({ metadata: { name: node }, status } as unknown as Schedule, FIELD_MANAGER);
    } catch (error) {
      if (statusOf(error) !== 404) throw error; // the schedule is gone, and its status with it
    }
    this.#reported = { status, atMs: nowMs };
    this.#count = countOf(tenants, nowMs);
  }
}

/** A report without the time it was made at. */
function figures(status: ScheduleStatus | undefined): object | undefined {
  return status === undefined ? undefined : { ...status, reportedAt: '' };
}
