import { isDeepStrictEqual } from 'node:util';
import { tenantOfKey } from '../../api/names.js';
import { timestamp } from '../../kube/clock.js';
import { statusOf } from '../../kube/cluster.js';
import type { Happening } from '../../kube/events.js';
import type { Logger } from '../../kube/log.js';
import type { KubeObject, Objects } from '../../kube/objects.js';
import { WorkQueue } from '../../kube/work-queue.js';
import type { Decider } from '../decider.js';
import { withdrawn } from '../answer.js';
import { FINALIZER } from '../finalizers.js';
import type { TenantObject } from '../objects.js';
import type { TenantStatus } from '../tenant-status.js';
import { isUrgent, tenantStatus } from '../tenant-status.js';
import type { ClusterView } from '../view.js';
import { happenings } from './happenings.js';
import type { Network } from './network.js';
import { reportOf, stillServes } from './node-report.js';
import type { Written } from './written.js';
import { newest } from './written.js';

const FIELD_MANAGER = 'deeprt-operator';
/** Figures that nobody waits for are written at most this often per tenant, and while others wait for answers still less often. */
const LAZY_MS = 10_000;
const LAZY_WHILE_BUSY_MS = 60_000;
const BUSY_POLL_MS = 1000;
const WITHDRAW_POLL_MS = 200;
/** A deleted tenant waits no longer than this for an agent that does not answer. */
const LONGEST_WITHDRAWAL_MS = 30_000;

/** Writes what was decided about tenants, and lets go those that are deleted once no agent serves them any more. */
export class TenantStatuses {
  readonly queue = new WorkQueue<string>();
  readonly #view: ClusterView;
  readonly #api: Objects<TenantObject>;
  readonly #decider: Decider;
  readonly #network: Network;
  readonly #log: Logger;
  readonly #mayWrite: () => void;
  readonly #tell: (about: KubeObject, happening: Happening) => void;
  /** What was written last: the local copy may lag behind. */
  readonly #written = new Map<string, Written<TenantStatus> & { uid: string | undefined; atMs: number }>();
  /** Since when deleted tenants wait for their agents. */
  readonly #leaving = new Map<string, number>();

  constructor(
    view: ClusterView,
    api: Objects<TenantObject>,
    decider: Decider,
    network: Network,
    log: Logger,
    mayWrite: () => void,
    tell: (about: KubeObject, happening: Happening) => void,
  ) {
    this.#view = view;
    this.#api = api;
    this.#decider = decider;
    this.#network = network;
    this.#log = log;
    this.#mayWrite = mayWrite;
    this.#tell = tell;
  }

  async reconcile(key: string): Promise<void> {
    const { namespace, name } = tenantOfKey(key);
    const tenant = this.#view.tenant(key);
    if (tenant === undefined) {
      this.#written.delete(key);
      this.#leaving.delete(key);
      this.#network.forget(key);
      return;
    }
    if (tenant.metadata.deletionTimestamp !== undefined) return this.#withdraw(key, tenant);
    const verdict = this.#decider.verdicts.get(key);
    if (verdict === undefined) return; // not decided yet; the decision will call again

    const { uid } = tenant.metadata;
    const written = this.#written.get(key);
    const previous = written !== undefined && written.uid === uid ? newest(tenant, written) : tenant.status;
    const now = timestamp();
    const report = (node: string) => reportOf(this.#view, node, key);
    const url = this.#network.url(tenant);
    const served = tenantStatus(tenant, verdict, report, previous, now, url);
    const obstacle = this.#network.want(key, tenant, served);
    // Nobody is told to come before there is a way; what comes of it calls again.
    if (obstacle === 'pending' && isReady(served)) return;
    const status =
      obstacle === undefined || obstacle === 'pending'
        ? served
        : tenantStatus(tenant, verdict, report, previous, now, url, obstacle);
    if (isDeepStrictEqual(previous, status)) return;
    if (!isUrgent(previous, status)) {
      const ageMs = performance.now() - (written?.atMs ?? -Infinity);
      const waitMs = ageMs < LAZY_MS ? LAZY_MS - ageMs : BUSY_POLL_MS;
      if (ageMs < (this.#decider.backlog > 0 ? LAZY_WHILE_BUSY_MS : LAZY_MS)) {
        this.queue.addAfter(key, waitMs);
        return;
      }
    }
    this.#mayWrite();
    const { metadata } = await this.#api.applyStatus(
      { metadata: { name, namespace, ...(uid === undefined ? {} : { uid }) }, status } as unknown as TenantObject,
      FIELD_MANAGER,
    );
    this.#written.set(key, { uid, status, atMs: performance.now(), version: metadata.resourceVersion });
    for (const happening of happenings(previous, status)) this.#tell(withKind(tenant), happening);
  }

  /** A deleted tenant goes once no agent serves it any more. */
  async #withdraw(key: string, tenant: TenantObject): Promise<void> {
    const { finalizers = [], resourceVersion } = tenant.metadata;
    if (!finalizers.includes(FINALIZER)) return;
    const others = finalizers.filter((each) => each !== FINALIZER);
    const placements = (this.#written.get(key)?.status ?? tenant.status)?.placements ?? [];
    const sinceMs = this.#leaving.get(key) ?? performance.now();
    this.#leaving.set(key, sinceMs);
    const waitedMs = performance.now() - sinceMs;
    const nodes = [...new Set(placements.map(({ node }) => node))];
    const served = nodes.filter((node) => stillServes(this.#view, node, key));
    if (this.#decider.records.tenants().has(key) || (served.length > 0 && waitedMs < LONGEST_WITHDRAWAL_MS)) {
      this.queue.addAfter(key, WITHDRAW_POLL_MS);
      return;
    }
    if (served.length > 0)
      this.#log.warn({ tenant: key, nodes: served }, 'withdrawn without their agents having confirmed it');
    this.#mayWrite();
    try {
      // Whoever keeps the object must not be told that it is served.
      if (others.length > 0) await this.#tellWithdrawn(key, tenant);
      const version = others.length > 0 ? {} : { resourceVersion };
      await this.#api.merge(tenant.metadata, { metadata: { ...version, finalizers: others } });
    } catch (error) {
      if (statusOf(error) !== 404) throw error;
    }
  }

  async #tellWithdrawn(key: string, tenant: TenantObject): Promise<void> {
    const report = (node: string) => reportOf(this.#view, node, key);
    const url = this.#network.url(tenant);
    const status = tenantStatus(tenant, withdrawn(tenant), report, tenant.status, timestamp(), url);
    const { name, namespace, uid } = tenant.metadata;
    await this.#api.applyStatus(
      { metadata: { name, namespace, uid }, status } as unknown as TenantObject,
      FIELD_MANAGER,
    );
    this.#network.want(key, tenant, status);
  }
}

const isReady = ({ conditions = [] }: TenantStatus): boolean =>
  conditions.some(({ type, status }) => type === 'Ready' && status === 'True');

/** Informers' objects come without apiVersion and kind when they were listed. */
const withKind = (tenant: TenantObject): KubeObject => ({
  ...tenant,
  apiVersion: 'deeprt.dev/v1alpha1',
  kind: 'InferenceTenant',
});
