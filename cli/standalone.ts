import { once } from 'node:events';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Counter, Histogram } from 'prom-client';
import type { DeviceOptions } from '../agent/device/messages.js';
import type { IngestOptions } from '../agent/ingest/server.js';
import { IngestServer } from '../agent/ingest/server.js';
import { Devices } from '../agent/node/devices.js';
import type { Profile } from '../agent/profile/profile.js';
import { changesProfile, logChange } from '../agent/serving/changes.js';
import { tenantKey } from '../api/names.js';
import type { Verdict } from '../operator/admission/verdict.js';
import type { Promised } from '../sched/promise.js';
import { BadInput } from './directory.js';
import { followFolder } from './folder.js';
import type { Logger } from './log.js';
import type { ListenFlags } from './listening.js';
import { listen } from './listening.js';
import type { Question, Reply } from './planner-thread.js';
import type { Decided, PlannerOptions, Reading } from './planner.js';
import { progressBar } from './progress.js';
import { ownFolder } from './state-folder.js';

export interface StandaloneOptions {
  readonly dir: string;
  readonly stateDir: string;
  readonly devices: readonly DeviceOptions[];
  /** By which execution times they are promised; firmly where absent. */
  readonly promise?: Promised;
  readonly listen: Pick<ListenFlags, 'listen' | 'grpc' | 'admin'>;
  /** How frames are taken; over HTTP from anybody where absent. */
  readonly ingest?: IngestOptions;
  readonly log: Logger;
  readonly node?: string;
  /** Whether the Adaptation Module is at work; it is where absent. */
  readonly adaptation?: boolean;
}

/** What failed is tried again after this long, then ever more rarely. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 60_000;

const nodeName = ({ node }: StandaloneOptions): string => node ?? hostname().toLowerCase();

/** The planner in a thread of its own, so that deciding does not hold up frames. */
class PlannerThread {
  readonly #worker: Worker;

  constructor(options: PlannerOptions) {
    this.#worker = new Worker(new URL('./planner-thread.js', import.meta.url), { workerData: options });
    this.#worker.unref();
  }

  read(): Promise<Reading> {
    return this.#ask({ ask: 'read' }) as Promise<Reading>;
  }

  decide(profiles: Extract<Question, { ask: 'decide' }>['profiles']): Promise<Decided> {
    return this.#ask({ ask: 'decide', profiles }) as Promise<Decided>;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(question: Question): Promise<unknown> {
    this.#worker.ref();
    this.#worker.postMessage(question);
    const [reply] = (await once(this.#worker, 'message')) as [Reply];
    this.#worker.unref();
    if ('value' in reply) return reply.value;
    throw reply.isBadInput ? new BadInput(reply.error) : new Error(reply.error);
  }
}

/** The operator's logic and one node's agent in one process, over a folder of manifests. */
export class Standalone {
  readonly #options: StandaloneOptions;
  readonly #node: string;
  readonly devices: Devices;
  readonly #planner: PlannerThread;
  /** The folder for what is kept. */
  readonly #giveBack: () => void;
  readonly #server: IngestServer;
  readonly #decisions: Counter<'reason'>;
  readonly #reconciles: Histogram;
  /** Where frames are served. */
  url = '';
  /** Whom the devices are promised to. */
  decision: Decided = { devices: [], verdicts: [] };

  /** The devices' profiles as the planner knows them. */
  #profiles: readonly Profile[] = [];
  /** When what failed is tried again, and models that could not be had. */
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** Reconciliation runs one at a time; a change meanwhile makes one more. */
  #reconciling: Promise<unknown> = Promise.resolve();
  /** The one that has not begun. */
  #next: Promise<boolean> | undefined;

  private constructor(options: StandaloneOptions, devices: Devices, planner: PlannerThread, giveBack: () => void) {
    this.#options = options;
    this.#node = nodeName(options);
    this.devices = devices;
    this.#planner = planner;
    this.#giveBack = giveBack;
    this.#server = new IngestServer(devices, options.ingest);
    for (const { service } of devices.units)
      service.onChange = (change) => {
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
   * @throws BadInput when a manifest is wrong, or the folder for what is kept cannot be written to
   */
  static async start(options: StandaloneOptions): Promise<Standalone> {
    const { devices, dir, stateDir, log, adaptation = true, promise = 'Firm' } = options;
    const node = nodeName(options);
    const planner = new PlannerThread({ dir, stateDir, node });
    let giveBack = (): void => undefined;
    try {
      const { problems } = await planner.read();
      if (problems.length > 0) throw new BadInput(problems.join('\n'));
      giveBack = await ownFolder(stateDir);
      const progress = progressBar('profiling');
      const units = await Devices.start({ node, devices, stateDir, log, progress, adaptation, promise });
      const standalone = new Standalone(options, units, planner, giveBack);
      try {
        await standalone.#serve();
      } catch (error) {
        await units.stop();
        throw error;
      }
      return standalone;
    } catch (error) {
      giveBack();
      await planner.stop();
      throw error;
    }
  }

  /** Serves for the first time, however often that has to be tried. */
  async #serve(): Promise<void> {
    while (!(await this.refresh())) await delay(this.#retryMs);
    const { log } = this.#options;
    this.url = (await listen(this.#server, this.#options.listen, log)).url;
    this.#server.open();
    log.info({ url: this.url }, 'listening');
  }

  /** Follows the folder, and the device's drift from its profile, until `stop`. */
  watch(): { stop: () => Promise<void> } {
    const drifts = this.devices.units.map(({ keeper }) => keeper.watch(() => void this.refresh()));
    const folder = followFolder(this.#options.dir, () => void this.refresh());
    return {
      stop: async () => {
        await folder.stop();
        await Promise.all(drifts.map((drift) => drift.stop()));
        await this.#reconciling;
      },
    };
  }

  /**
   * Reads the folder again and brings the node in line; once for all who ask while it has not begun. What fails is tried
   * again by itself.
   *
   * @returns whether it did not fail
   */
  refresh(): Promise<boolean> {
    this.#next ??= this.#reconciling.then(() => {
      this.#next = undefined;
      return this.#attempt();
    });
    this.#reconciling = this.#next;
    return this.#next;
  }

  async #attempt(): Promise<boolean> {
    clearTimeout(this.#retry);
    const observed = this.#reconciles.startTimer();
    try {
      await this.#reconcile();
      this.#retryMs = FIRST_RETRY_MS;
      this.#retryIn(this.devices.units.flatMap(({ keeper }) => keeper.retryInMs ?? []));
      return true;
    } catch (error) {
      this.#options.log.error(
        { error: (error as Error).message, retryMs: this.#retryMs },
        'reconciliation failed; what was applied before stays, it is tried again',
      );
      this.#retryIn([this.#retryMs]);
      this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
      return false;
    } finally {
      observed();
    }
  }

  /** Takes no more frames, answers those accepted, ends. */
  async stop(): Promise<void> {
    await this.#server.drain();
    await this.#reconciling;
    clearTimeout(this.#retry);
    await Promise.all([this.devices.stop(), this.#planner.stop()]);
    this.#giveBack();
  }

  async #reconcile(): Promise<void> {
    const { log } = this.#options;
    const { problems, models } = await this.#planner.read();
    for (const problem of problems) log.error({ problem }, 'manifest refused; what was applied before stays');
    const { units } = this.devices;
    const baseDirs = new Map(models.map(({ model, baseDir }) => [model.metadata.name, baseDir]));
    const catalogue = models.map(({ model }) => model);
    const profiles = await Promise.all(
      units.map(({ keeper }) => keeper.bring(catalogue, ({ metadata }) => baseDirs.get(metadata.name)!)),
    );
    const decided = await this.#planner.decide(
      profiles.map((profile, device) => (profile === this.#profiles[device] ? undefined : profile)),
    );
    this.#profiles = profiles;
    if (decided.damage !== undefined)
      log.error({ error: decided.damage }, 'the record of what was promised is not taken; deciding anew');
    for (const { schedule, utilization } of decided.devices) {
      const { device } = schedule;
      await units[device]!.keeper.serve(schedule);
      this.devices.metrics.admittedUtilization.set({ node: this.#node, device: `${device}` }, utilization);
    }
    const before = this.decision.verdicts;
    this.decision = decided;
    this.#announce(before, decided.verdicts);
  }

  #retryIn(dueMs: readonly number[]): void {
    clearTimeout(this.#retry);
    if (dueMs.length > 0) this.#retry = setTimeout(() => void this.refresh(), Math.min(...dueMs)).unref();
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
}
