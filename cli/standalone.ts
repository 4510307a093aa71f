import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { watch } from 'chokidar';
import { Counter, Histogram } from 'prom-client';
import { stringify } from 'yaml';
import { Agent } from '../agent/agent.js';
import type { DeviceOptions } from '../agent/device/messages.js';
import { logChange } from '../agent/changes.js';
import { ModelKeeper } from '../agent/models.js';
import { IngestServer } from '../agent/ingest/server.js';
import { AgentMetrics } from '../agent/metrics.js';
import { API_VERSION } from '../api/crds.js';
import type { ResourceOf } from '../api/manifests.js';
import { describeProblem, parseManifests } from '../api/manifests.js';
import type { Decision, Verdict } from '../operator/admission/admit.js';
import { decide } from '../operator/admission/admit.js';
import type { Device } from '../operator/admission/device.js';
import { deviceOf } from '../operator/admission/device.js';
import type { DevicePlan } from '../operator/admission/device-plan.js';
import { requestOf, tenantKey } from '../operator/admission/request.js';
import { planOf, scheduleOf } from '../operator/admission/schedule.js';
import type { Profile } from '../agent/profile/profiler.js';
import type { Catalogue, Files } from './directory.js';
import { BadInput, catalogueOf, readFiles } from './directory.js';
import type { Logger } from './log.js';
import { progressBar } from './progress.js';

export interface StandaloneOptions {
  readonly dir: string;
  readonly stateDir: string;
  readonly device: DeviceOptions;
  readonly host: string;
  readonly port: number;
  readonly log: Logger;
  readonly node?: string;
  /** Whether the Adaptation Module is at work; it is where absent. */
  readonly adaptation?: boolean;
}

const SETTLE_MS = 200;

/** The operator's logic and one agent in one process, over a folder of manifests. */
export class Standalone {
  readonly #options: StandaloneOptions;
  readonly #node: string;
  readonly agent: Agent;
  readonly #server: IngestServer;
  readonly #decisions: Counter<'reason'>;
  readonly #reconciles: Histogram;
  /** Where frames are served. */
  url = '';

  #files: Files = new Map();
  readonly #keeper: ModelKeeper;
  /** The device as placement sees it, and the profile that says so. */
  #measured: { readonly profile: Profile; readonly device: Device } | undefined;
  #plans: readonly DevicePlan[] | undefined;
  /** Of models that could not be had. */
  #retry: NodeJS.Timeout | undefined;
  decision: Decision = { plans: [], verdicts: [] };

  /** Reconciliation runs one at a time; a change meanwhile makes one more. */
  #reconciling: Promise<void> = Promise.resolve();

  private constructor(options: StandaloneOptions, agent: Agent) {
    this.#options = options;
    this.#node = options.node ?? hostname().toLowerCase();
    this.agent = agent;
    this.#server = new IngestServer(agent);
    agent.onChange = (change) => {
      logChange(options.log, change);
      if (change.kind === 'modelQuarantined') void this.refresh();
    };
    const { device, stateDir, log } = options;
    this.#keeper = new ModelKeeper(agent, {
      node: this.#node,
      device,
      stateDir,
      log,
      progress: progressBar('profiling'),
    });
    const registers = [agent.metrics.registry];
    this.#decisions = new Counter({
      name: 'deeprt_admission_decisions_total',
      help: 'Admission decisions by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.#reconciles = new Histogram({
      name: 'deeprt_reconcile_duration_seconds',
      help: 'Time to bring the node in line with its manifests.',
      registers,
    });
  }

  /**
   * Reads the folder, profiles the machine, admits, serves.
   *
   * @throws BadInput when a manifest is wrong
   */
  static async start(options: StandaloneOptions): Promise<Standalone> {
    const files = await readFiles(options.dir);
    const { problems } = catalogueOf(files);
    if (problems.length > 0) throw new BadInput(problems.map(describeProblem).join('\n'));
    await mkdir(options.stateDir, { recursive: true });
    const standalone = new Standalone(
      options,
      await Agent.start(options.device, new AgentMetrics(), options.adaptation),
    );
    try {
      standalone.#files = files;
      await standalone.#reconcile();
      const { address, port } = await standalone.#server.listen(options.host, options.port);
      standalone.url = `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
      options.log.info({ url: standalone.url }, 'listening');
    } catch (error) {
      await standalone.agent.stop();
      throw error;
    }
    return standalone;
  }

  /** Follows the folder, and the device's drift from its profile, until `stop`. */
  watch(): { stop: () => Promise<void> } {
    const drift = this.#keeper.watchDrift(() => void this.refresh());
    let timer: NodeJS.Timeout | undefined;
    const watcher = watch(this.#options.dir, { depth: 0, ignoreInitial: true });
    watcher.on('all', () => {
      clearTimeout(timer);
      timer = setTimeout(() => void this.refresh(), SETTLE_MS);
    });
    watcher.on('error', (error) =>
      this.#options.log.error({ error: (error as Error).message }, 'cannot watch the folder'),
    );
    return {
      stop: async () => {
        clearTimeout(timer);
        await watcher.close();
        await drift.stop();
        await this.#reconciling;
      },
    };
  }

  /** Reads the folder again and brings the node in line. A file that has become wrong keeps its last good content. */
  async refresh(): Promise<void> {
    this.#reconciling = this.#reconciling.then(async () => {
      try {
        const read = await readFiles(this.#options.dir);
        const files = new Map(read);
        for (const [file, { problems }] of read)
          if (problems.length > 0) files.set(file, { manifests: this.#files.get(file)?.manifests ?? [], problems: [] });
        for (const problem of catalogueOf(read).problems)
          this.#options.log.error(
            { problem: describeProblem(problem) },
            'manifest refused; what was applied before stays',
          );
        this.#files = files;
        await this.#reconcile();
      } catch (error) {
        this.#options.log.error(
          { error: (error as Error).message },
          'reconciliation failed; it is tried again with the next change',
        );
      }
    });
    return this.#reconciling;
  }

  /** Takes no more frames, answers those accepted, ends. */
  async stop(): Promise<void> {
    clearTimeout(this.#retry);
    await this.#server.drain();
    await this.agent.stop();
  }

  async #reconcile(): Promise<void> {
    const observed = this.#reconciles.startTimer();
    const { catalogue } = catalogueOf(this.#files);
    const device = await this.#measure(catalogue);
    const before = this.decision.verdicts;
    const promised = this.#plans ?? (await this.#readPromises(device, catalogue.tenants));
    const decision = decide({
      models: catalogue.models,
      devices: [device],
      requests: catalogue.tenants.map((tenant) => requestOf(tenant)),
      promised,
    });
    const plan = decision.plans[0]!;
    // The record of what is promised comes first, so that a crash in between loses nothing.
    if (plan !== this.#plans?.[0]) {
      await this.#writePromises(plan);
      await this.agent.apply(scheduleOf(plan), this.#keeper.profile!.status!);
      this.agent.metrics.admittedUtilization.set({ node: this.#node, device: '0' }, plan.utilization);
    }
    this.#plans = decision.plans;
    this.decision = decision;
    this.#announce(before, decision.verdicts);
    observed();
  }

  async #measure({ models, baseDirs }: Catalogue): Promise<Device> {
    const profile = await this.#keeper.bring([...models.values()], ({ metadata }) => baseDirs.get(metadata.name)!);
    clearTimeout(this.#retry);
    const { retryInMs } = this.#keeper;
    if (retryInMs !== undefined) this.#retry = setTimeout(() => void this.refresh(), retryInMs).unref();
    if (this.#measured?.profile !== profile) this.#measured = { profile, device: deviceOf(profile) };
    return this.#measured.device;
  }

  #announce(before: readonly Verdict[], after: readonly Verdict[]): void {
    const known = new Map(before.map((verdict) => [tenantKey(verdict), verdict]));
    for (const verdict of after) {
      const old = known.get(tenantKey(verdict));
      known.delete(tenantKey(verdict));
      if (old?.admitted === verdict.admitted && old.reason === verdict.reason && old.message === verdict.message)
        continue;
      this.#decisions.inc({ reason: verdict.reason });
      const { admitted, reason, message } = verdict;
      this.#options.log.info(
        { tenant: tenantKey(verdict), admitted, reason, message },
        admitted ? 'tenant admitted' : 'tenant refused',
      );
    }
    for (const key of known.keys()) this.#options.log.info({ tenant: key }, 'tenant withdrawn');
  }

  get #promiseFile(): string {
    return join(this.#options.stateDir, 'schedule.yaml');
  }

  async #writePromises(plan: DevicePlan): Promise<void> {
    const schedule = {
      apiVersion: API_VERSION,
      kind: 'NodeSchedule',
      metadata: { name: this.#node },
      spec: { nodeName: this.#node, devices: [scheduleOf(plan)] },
    };
    await writeFile(`${this.#promiseFile}.part`, stringify(schedule, { aliasDuplicateObjects: false }));
    await rename(`${this.#promiseFile}.part`, this.#promiseFile);
  }

  async #readPromises(device: Device, tenants: readonly ResourceOf<'InferenceTenant'>[]): Promise<DevicePlan[]> {
    let text: string;
    try {
      text = await readFile(this.#promiseFile, 'utf8');
    } catch {
      return [];
    }
    const resource = parseManifests(this.#promiseFile, text).manifests[0]?.resource;
    if (resource?.kind !== 'NodeSchedule') return [];
    const requests = new Map(tenants.map((tenant) => [tenantKey(tenant.metadata), requestOf(tenant)]));
    return (resource.spec.devices ?? []).map((schedule) => planOf(schedule, device, requests));
  }
}
