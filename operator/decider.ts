import { tenantKey, tenantOfKey } from '../api/names.js';
import { reasonOf } from '../kube/cluster.js';
import { keyOf } from '../kube/informer.js';
import type { Term } from '../kube/leader.js';
import type { Logger } from '../kube/log.js';
import type { Objects } from '../kube/objects.js';
import { WorkQueue } from '../kube/work-queue.js';
import type { Decision } from './admission/decide.js';
import { decide } from './admission/decide.js';
import type { Device } from './admission/device.js';
import { deviceKey } from './admission/device.js';
import type { DevicePlan } from './admission/plan.js';
import type { Settled } from './admission/plans.js';
import type { Quotas } from './admission/quotas.js';
import type { TenantRequest } from './admission/request.js';
import type { Answer } from './answer.js';
import { unreadable } from './answer.js';
import { Finalizers, NotLeading } from './finalizers.js';
import { History } from './history.js';
import type { OperatorMetrics } from './metrics.js';
import type { ScheduleObject, TenantObject } from './objects.js';
import { toldPlaces } from './told.js';
import { Notices } from './notices.js';
import type { Standings } from './quota-status.js';
import { Ranks } from './ranks.js';
import { RecordConflict, Records } from './records.js';
import type { ClusterView } from './view.js';

/** The key that stands for everything: all tenants without a place are tried again. */
const WORLD = '';
/** Changes of the world come in bursts; one decision answers a burst. */
const WORLD_DELAY_MS = 50;
const LONGEST_CATCH_UP_MS = 10_000;

/** Told of what is to be published. */
export interface Publish {
  tenant(key: string): void;
  teams(): void;
}

/**
 * The one that decides: takes what changed, asks `decide` over a snapshot, and records the promises. One decision at a
 * time, each on the records that the one before left; tenants learn of it only after it is recorded.
 */
export class Decider {
  readonly records: Records;
  readonly history = new History();
  /** The newest answer to each tenant. */
  readonly verdicts = new Map<string, Answer>();
  /** How teams stand after the last decision; undefined where there are no quotas. */
  standings: Standings | undefined;
  readonly #notices: Notices;
  readonly #view: ClusterView;
  readonly #tenants: Objects<TenantObject>;
  readonly #term: Term;
  readonly #log: Logger;
  readonly #metrics: OperatorMetrics;
  readonly #publish: Publish;
  readonly #queue = new WorkQueue<string>();
  readonly #finalizers: Finalizers;
  /** Generations that were decided on, so that a mere change of status asks for no decision. */
  readonly #decided = new Map<string, string>();
  readonly #unmeasured = new Map<string, Device>();
  readonly #ranks = new Ranks();
  /** How the last decision left everybody, as long as nothing else has changed. */
  #settled: Settled | undefined;
  /** How often the world, or who is in it, has changed. */
  #changes = 0;

  constructor(
    view: ClusterView,
    tenants: Objects<TenantObject>,
    schedules: Objects<ScheduleObject>,
    term: Term,
    log: Logger,
    metrics: OperatorMetrics,
    publish: Publish,
    reclaimNoticeMs: number,
  ) {
    this.#view = view;
    this.#tenants = tenants;
    this.#term = term;
    this.#log = log;
    this.#metrics = metrics;
    this.#publish = publish;
    this.#notices = new Notices(reclaimNoticeMs, () => this.worldChanged());
    const mayWrite = (): void => this.#mayWrite();
    this.records = new Records(schedules, log, mayWrite);
    this.#finalizers = new Finalizers(view, tenants, log, mayWrite, (key) => this.#queue.add(key));
  }

  get backlog(): number {
    return this.#queue.depth + this.#finalizers.queue.depth;
  }

  tenantChanged(key: string, tenant: TenantObject, gone: boolean): void {
    if (gone || tenant.metadata.deletionTimestamp !== undefined) {
      this.#decided.delete(key);
      this.#ranks.forget(key);
      if (gone) this.#finalizers.forget(tenant);
      this.#changes++;
      this.#settled = undefined;
      if (this.verdicts.delete(key)) this.#queue.addAfter(WORLD, 0);
      return;
    }
    this.#finalizers.seen(tenant);
    // Whoever takes it off gets it back, whatever was decided.
    if (!this.#finalizers.isOn(tenant)) this.#finalizers.queue.add(key);
    else if (this.#decided.get(key) !== version(tenant)) this.#queue.add(key);
  }

  worldChanged(): void {
    this.#changes++;
    this.#settled = undefined;
    this.#queue.addAfter(WORLD, WORLD_DELAY_MS);
  }

  scheduleChanged(schedule: ScheduleObject, gone: boolean): void {
    // That of a node that is gone goes with it.
    const orphan = gone && this.#view.nodes.get(schedule.spec.nodeName) === undefined;
    const owners = this.#ownerOf(schedule.spec.nodeName);
    if (!orphan && this.records.noticed(schedule, gone, owners)) this.worldChanged();
  }

  /** Decides until the term ends. */
  async run(): Promise<void> {
    this.#term.signal.addEventListener('abort', () => {
      this.#queue.close();
      this.#finalizers.queue.close();
      this.#notices.close();
    });
    await this.records.load();
    await this.#catchUp();
    const holding = this.#finalizers.run();
    // Everybody is decided once: whoever has a place keeps it.
    this.#queue.add(WORLD);
    for (let keys = await this.#queue.takeAll(); keys.length > 0; keys = await this.#queue.takeAll()) {
      await this.#decideOn(keys);
      for (const key of keys) this.#queue.done(key);
    }
    await holding;
  }

  /**
   * The records may name tenants that the local copy does not know yet; striking them would break promises. Waits for
   * those that exist.
   */
  async #catchUp(): Promise<void> {
    for (const key of this.records.tenants()) {
      const { namespace, name } = tenantOfKey(key);
      const known = (): boolean => this.#view.tenant(key) !== undefined;
      if (known() || (await this.#tenants.get(name, namespace)) === undefined) continue;
      for (const deadline = performance.now() + LONGEST_CATCH_UP_MS; !known() && performance.now() < deadline;)
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #decideOn(keys: readonly string[]): Promise<void> {
    try {
      await this.#cycle(keys);
      for (const key of keys) this.#queue.forget(key);
    } catch (error) {
      if (error instanceof NotLeading || this.#term.signal.aborted) return;
      this.#log.warn({ error: reasonOf(error), tenants: keys.length }, 'decision not recorded; it is made again');
      for (const key of keys) {
        this.#decided.delete(key);
        if (error instanceof RecordConflict) this.#queue.addAfter(key, 0);
        else this.#queue.addRateLimited(key);
      }
    }
  }

  async #cycle(keys: readonly string[]): Promise<void> {
    const finished = this.#metrics.reconciles.startTimer();
    const world = keys.includes(WORLD);
    await this.records.refresh((node) => this.#ownerOf(node), world);
    const promisedTenants = this.records.tenants();
    const tenants = this.#view.tenants.list().filter((tenant) => {
      const counts = this.#finalizers.isOn(tenant) || promisedTenants.has(keyOf(tenant));
      if (!counts) this.#finalizers.queue.add(keyOf(tenant));
      return counts;
    });
    const { asking, odd } = this.#view.requests(tenants);
    const requests = asking.map(({ request }) => request);
    const asked = new Map(asking.map(({ tenant, request }) => [request.key, tenant]));
    const settled = world ? undefined : this.#settled;
    const changes = this.#changes;
    const measured = this.#view.devices();
    const promised = settled?.all() ?? this.records.promised(measured, requests);
    const gone = new Set(this.records.nodes().filter((node) => this.#view.nodes.get(node) === undefined));
    const quotas = settled?.quotas ?? this.#view.quotas(measured);
    const decision = decide({
      models: this.#view.modelsByName(),
      devices: this.#devices(measured, promised, gone),
      nodes: this.#view.nodeInfos(),
      requests,
      promised,
      told: toldPlaces(tenants.filter((tenant) => !this.verdicts.has(keyOf(tenant)))),
      quotas,
      noticed: this.#notices.expired(),
      ...(world ? {} : { due: new Set(keys) }),
      ...(settled === undefined ? {} : { settled }),
    });
    this.#settled = undefined; // until it is recorded
    await this.records.write(decision.plans, (node) => this.#ownerOf(node));
    this.#mayWrite(); // where nothing had to be recorded, nobody asked yet whose decision it is
    this.#conclude(decision, asked);
    for (const { tenant, error } of odd) this.#leaveOut(tenant, error);
    this.#tellTeams(decision, quotas, requests, world);
    for (const node of gone) await this.records.drop(node);
    // Whatever shrank made room for those who wait.
    const before = new Map(promised.map((plan) => [deviceKey(plan.device), plan.utilization]));
    const shrank = decision.plans.some((plan) => plan.utilization < (before.get(deviceKey(plan.device)) ?? 0) - 1e-9);
    if (shrank || this.#ranks.haveChanged(requests, world ? undefined : keys)) this.worldChanged();
    if (changes === this.#changes) this.#settled = decision.settled;
    finished();
  }

  /** An object that nobody can read asks for nothing, and is told so. */
  #leaveOut(tenant: TenantObject, error: string): void {
    const key = keyOf(tenant);
    const answer = unreadable(tenant, error);
    if (this.verdicts.get(key)?.message !== answer.message) this.#log.warn({ tenant: key, error }, 'tenant left out');
    this.verdicts.set(key, answer);
    this.#decided.set(key, version(tenant));
    this.#publish.tenant(key);
  }

  #conclude({ verdicts }: Decision, asked: ReadonlyMap<string, TenantObject>): void {
    for (const verdict of verdicts) {
      const key = tenantKey(verdict);
      const known = this.verdicts.get(key);
      if (known?.reason !== verdict.reason || known.admitted !== verdict.admitted) {
        this.#metrics.decisions.inc({ reason: verdict.reason });
        this.history.note(verdict);
        const { admitted, reason, message } = verdict;
        this.#log.info({ tenant: key, admitted, reason, message }, `tenant ${admitted ? '' : 'not '}admitted`);
      }
      const tenant = asked.get(key)!;
      const now = this.#view.tenant(key);
      if (now?.metadata.uid !== tenant.metadata.uid || now?.metadata.deletionTimestamp !== undefined) {
        this.#queue.addAfter(WORLD, 0); // it went while it was recorded
        continue;
      }
      this.verdicts.set(key, { ...verdict, generation: tenant.metadata.generation ?? 0, borrowing: known?.borrowing });
      this.#decided.set(key, version(tenant));
      this.#publish.tenant(key);
    }
  }

  /** Whose promises are beyond their team's share, and what everybody has. */
  #tellTeams(
    { plans, borrowed, notices }: Decision,
    quotas: Quotas | undefined,
    requests: readonly TenantRequest[],
    all: boolean,
  ): void {
    this.#notices.decided(notices, all);
    const pending = new Set<string>();
    for (const [key, verdict] of this.verdicts) {
      if (!verdict.admitted) pending.add(key);
      const borrowing = !borrowed.has(key) ? undefined : this.#notices.has(key) ? 'Noticed' : 'Borrowed';
      if (verdict.borrowing === borrowing) continue;
      this.verdicts.set(key, { ...verdict, borrowing });
      this.#publish.tenant(key);
    }
    if (quotas === undefined && this.standings === undefined && this.#view.teams.flavors.list().length === 0) return;
    this.standings = quotas === undefined ? undefined : { quotas, plans, requests, pending };
    this.#publish.teams();
  }

  /** Measured devices, and those with promises whose profile is missing, as long as their node exists. */
  #devices(measured: readonly Device[], promised: readonly DevicePlan[], gone: ReadonlySet<string>): Device[] {
    const known = new Set(measured.map(deviceKey));
    const missing = promised
      .filter(({ device }) => !known.has(deviceKey(device)) && !gone.has(device.node))
      .filter(({ device: { node, device } }) => !this.#view.isVanished({ nodeName: node, device }))
      .map(({ device }) => {
        const key = deviceKey(device);
        const empty = { tables: new Map(), failures: new Map(), memoryOf: new Map(), memoryBytes: undefined };
        const stand = this.#unmeasured.get(key) ?? { ...device, ...empty };
        this.#unmeasured.set(key, stand);
        return stand;
      });
    return [...measured, ...missing];
  }

  #ownerOf(node: string): object[] {
    const uid = this.#view.nodes.get(node)?.metadata.uid;
    return uid === undefined ? [] : [{ apiVersion: 'v1', kind: 'Node', name: node, uid }];
  }

  #mayWrite(): void {
    if (!this.#term.holds()) throw new NotLeading('this process is not the leader any more');
  }
}

function version({ metadata }: TenantObject): string {
  return `${metadata.uid}/${metadata.generation}`;
}
