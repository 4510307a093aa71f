import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Counter, Histogram } from 'prom-client';
import { stringify } from 'yaml';
import type { DeviceOptions } from '../agent/device/messages.js';
import { changesProfile, logChange } from '../agent/changes.js';
import { IngestServer } from '../agent/ingest/server.js';
import type { FileCredentials } from '../agent/ingest/tls.js';
import type { Unit } from '../agent/devices.js';
import { Devices } from '../agent/devices.js';
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
import type { Promised } from '../sched/promise.js';
import type { Logger } from './log.js';
import { followFolder } from './folder.js';
import { progressBar } from './progress.js';

export interface StandaloneOptions {
  readonly dir: string;
  readonly stateDir: string;
  readonly devices: readonly DeviceOptions[];
  /** By which execution times they are promised; firmly where absent. */
  readonly promise?: Promised;
  readonly host: string;
  readonly port: number;
  /** Serve HTTPS with them. */
  readonly credentials?: FileCredentials;
  readonly log: Logger;
  readonly node?: string;
  /** Whether the Adaptation Module is at work; it is where absent. */
  readonly adaptation?: boolean;
}

const nodeName = ({ node }: StandaloneOptions): string => node ?? hostname().toLowerCase();

/** The operator's logic and one node's agent in one process, over a folder of manifests. */
export class Standalone {
  readonly #options: StandaloneOptions;
  readonly #node: string;
  readonly devices: Devices;
  readonly #server: IngestServer;
  readonly #decisions: Counter<'reason'>;
  readonly #reconciles: Histogram;
  /** Where frames are served. */
  url = '';

  #files: Files = new Map();
  /** The devices as placement sees them, and the profiles that say so. */
  readonly #measured = new Map<Unit, { readonly profile: Profile; readonly device: Device }>();
  #plans: readonly DevicePlan[] | undefined;
  /** Of models that could not be had. */
  #retry: NodeJS.Timeout | undefined;
  decision: Decision = { plans: [], verdicts: [] };

  /** Reconciliation runs one at a time; a change meanwhile makes one more. */
  #reconciling: Promise<void> = Promise.resolve();

  private constructor(options: StandaloneOptions, devices: Devices) {
    this.#options = options;
    this.#node = nodeName(options);
    this.devices = devices;
    this.#server = new IngestServer(devices, options.credentials);
    for (const { agent } of devices.units)
      agent.onChange = (change) => {
        logChange(options.log, change);
        if (changesProfile(change)) void this.refresh();
      };
    const registers = [devices.metrics.registry];
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
    const { devices, stateDir, log, adaptation = true, promise = 'Firm' } = options;
    const progress = progressBar('profiling');
    const standalone = new Standalone(
      options,
      await Devices.start({ node: nodeName(options), devices, stateDir, log, progress, adaptation, promise }),
    );
    try {
      standalone.#files = files;
      await standalone.#reconcile();
      standalone.url = (await standalone.#server.listen(options.host, options.port)).url;
      standalone.#server.open();
      options.log.info({ url: standalone.url }, 'listening');
    } catch (error) {
      await standalone.devices.stop();
      throw error;
    }
    return standalone;
  }

  /** Follows the folder, and the device's drift from its profile, until `stop`. */
  watch(): { stop: () => Promise<void> } {
    const drifts = this.devices.units.map(({ keeper }) => keeper.watchDrift(() => void this.refresh()));
    const folder = followFolder(this.#options.dir, () => void this.refresh());
    return {
      stop: async () => {
        await folder.stop();
        await Promise.all(drifts.map((drift) => drift.stop()));
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
    await this.devices.stop();
  }

  async #reconcile(): Promise<void> {
    const observed = this.#reconciles.startTimer();
    const { catalogue } = catalogueOf(this.#files);
    const { units } = this.devices;
    const devices = await Promise.all(units.map((unit) => this.#measure(unit, catalogue)));
    this.#retryWhenDue();
    const before = this.decision.verdicts;
    const promised = this.#plans ?? (await this.#readPromises(devices, catalogue.tenants));
    const decision = decide({
      models: catalogue.models,
      devices,
      requests: catalogue.tenants.map((tenant) => requestOf(tenant)),
      promised,
    });
    const changed = decision.plans.filter((plan) => this.#plans?.includes(plan) !== true);
    // The record of what is promised comes first, so that a crash in between loses nothing.
    if (changed.length > 0) await this.#writePromises(decision.plans);
    // Whoever moves leaves one device before coming to another, or both would be counted on meanwhile.
    for (const plan of changed.sort((a, b) => a.categories.length - b.categories.length)) {
      const { keeper, agent } = units[plan.device.device]!;
      await keeper.serve(scheduleOf(plan));
      this.devices.metrics.admittedUtilization.set({ node: this.#node, device: `${agent.index}` }, plan.utilization);
    }
    this.#plans = decision.plans;
    this.decision = decision;
    this.#announce(before, decision.verdicts);
    observed();
  }

  async #measure(unit: Unit, { models, baseDirs }: Catalogue): Promise<Device> {
    const profile = await unit.keeper.bring([...models.values()], ({ metadata }) => baseDirs.get(metadata.name)!);
    const known = this.#measured.get(unit);
    if (known?.profile === profile) return known.device;
    const device = deviceOf(profile);
    this.#measured.set(unit, { profile, device });
    return device;
  }

  #retryWhenDue(): void {
    clearTimeout(this.#retry);
    const due = this.devices.units.flatMap(({ keeper }) => keeper.retryInMs ?? []);
    if (due.length > 0) this.#retry = setTimeout(() => void this.refresh(), Math.min(...due)).unref();
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

  async #writePromises(plans: readonly DevicePlan[]): Promise<void> {
    const schedule = {
      apiVersion: API_VERSION,
      kind: 'NodeSchedule',
      metadata: { name: this.#node },
      spec: { nodeName: this.#node, devices: plans.map(scheduleOf) },
    };
    await writeFile(`${this.#promiseFile}.part`, stringify(schedule, { aliasDuplicateObjects: false }));
    await rename(`${this.#promiseFile}.part`, this.#promiseFile);
  }

  async #readPromises(
    devices: readonly Device[],
    tenants: readonly ResourceOf<'InferenceTenant'>[],
  ): Promise<DevicePlan[]> {
    let text: string;
    try {
      text = await readFile(this.#promiseFile, 'utf8');
    } catch {
      return [];
    }
    const resource = parseManifests(this.#promiseFile, text).manifests[0]?.resource;
    if (resource?.kind !== 'NodeSchedule') return [];
    const requests = new Map(tenants.map((tenant) => [tenantKey(tenant.metadata), requestOf(tenant)]));
    return (resource.spec.devices ?? []).flatMap((schedule) => {
      const device = devices.find(({ device: index }) => index === schedule.device);
      return device === undefined ? [] : [planOf(schedule, device, requests)];
    });
  }
}
