import { isDeepStrictEqual } from 'node:util';
import { reasonOf, statusOf } from '../kube/cluster.js';
import type { EventRecorder, Happening } from '../kube/events.js';
import type { InformerListener } from '../kube/informer.js';
import { Informer, keyOf } from '../kube/informer.js';
import { tenantKey } from './admission/request.js';
import { scheduledOn } from '../api/schedule.js';
import type { Term } from '../kube/leader.js';
import type { KubeObject, Meta, Objects, Services } from '../kube/objects.js';
import { WorkQueue, work } from '../kube/work-queue.js';
import type { Decider } from './decider.js';
import { FINALIZER, NotLeading } from './decider.js';
import type { Logger } from './log.js';
import type { OperatorMetrics } from './metrics.js';
import type { ModelStatus } from './model-status.js';
import { modelStatus } from './model-status.js';
import type { EndpointSliceObject, Scheme, ServiceObject } from './services.js';
import {
  SERVICE_SELECTOR,
  SLICE_SELECTOR,
  isAsWanted,
  isOurs,
  serviceName,
  serviceOf,
  serviceOfSlice,
  slicesOf,
  tenantOf,
} from './services.js';
import type { NodeReport, TenantStatus } from './tenant-status.js';
import { isUrgent, tenantStatus } from './tenant-status.js';
import type { ClusterView, ModelObject, TenantObject } from './view.js';

export const FIELD_MANAGER = 'deeprt-operator';
const WORKERS = 16;
const NETWORK_WORKERS = 2;
const EVENT_WORKERS = 2;
const EVENT_POLL_MS = 50;
const MOST_EVENT_WAIT_MS = 2000;
/** Figures that nobody waits for are written at most this often per tenant. */
const LAZY_MS = 10_000;
const WITHDRAW_POLL_MS = 200;
/** Whether a Service that stands in the way is still there is looked at this often. */
const TAKEN_POLL_MS = 10_000;
/** A deleted tenant waits no longer than this for an agent that does not answer. */
const LONGEST_WITHDRAWAL_MS = 30_000;

export interface Publishing {
  readonly tenants: Objects<TenantObject>;
  readonly models: Objects<ModelObject>;
  readonly services: Services<ServiceObject>;
  readonly slices: Objects<EndpointSliceObject>;
  /** What the agents speak. */
  readonly scheme: Scheme;
  readonly events: EventRecorder;
}

/** Tells the world what was decided: statuses, Events, Services. Everything here can be redone from the records. */
export class Publisher {
  readonly #view: ClusterView;
  readonly #api: Publishing;
  readonly #term: Term;
  readonly #log: Logger;
  readonly #metrics: OperatorMetrics;
  readonly #tenants = new WorkQueue<string>();
  readonly #models = new WorkQueue<string>();
  /** Services and their slices: after the statuses, which people wait for. */
  readonly #network = new WorkQueue<string>();
  readonly #events = new WorkQueue<{ about: KubeObject; happening: Happening }>();
  readonly #services: Informer<ServiceObject>;
  readonly #slices: Informer<EndpointSliceObject>;
  /** What was written last: the local copy may lag behind. */
  readonly #written = new Map<string, Written<TenantStatus> & { uid: string | undefined; atMs: number }>();
  readonly #writtenModels = new Map<string, Written<ModelStatus>>();
  /** Since when deleted tenants wait for their agents. */
  readonly #leaving = new Map<string, number>();
  /** Tenants whose Service's name is somebody else's. */
  readonly #taken = new Set<string>();
  decider!: Decider;

  constructor(view: ClusterView, api: Publishing, term: Term, log: Logger, metrics: OperatorMetrics) {
    this.#view = view;
    this.#api = api;
    this.#term = term;
    this.#log = log;
    this.#metrics = metrics;
    // What somebody else deletes or changes is put back.
    const follow = (kind: string): InformerListener<KubeObject> => ({
      changed: (_key, object) => {
        const tenant = tenantOf(object) ?? this.#tenantByName(object);
        if (tenant !== undefined) this.#network.add(tenant);
      },
      failed: (error, retryMs) => log.warn({ kind, error, retryMs }, 'watch ended; starting it again'),
    });
    this.#services = new Informer<ServiceObject>(
      api.services.listWatch({ labelSelector: SERVICE_SELECTOR }),
      follow('Service'),
    );
    this.#slices = new Informer<EndpointSliceObject>(
      api.slices.listWatch({ labelSelector: SLICE_SELECTOR }),
      follow('EndpointSlice'),
    );
  }

  /** The tenant of an object that says nothing of it any more. */
  #tenantByName(object: KubeObject): string | undefined {
    const { name, namespace } = object.metadata;
    const service = serviceOfSlice(object) ?? name;
    const found = this.#view.tenants
      .list()
      .find(({ metadata }) => metadata.namespace === namespace && serviceName(metadata.name) === service);
    return found === undefined ? undefined : keyOf(found);
  }

  get depths(): ReadonlyMap<string, number> {
    return new Map([
      ['tenants', this.#tenants.depth],
      ['models', this.#models.depth],
      ['services', this.#network.depth],
      ['events', this.#events.depth],
    ]);
  }

  tenant(key: string): void {
    this.#tenants.add(key);
  }

  model(name: string): void {
    this.#models.add(name);
  }

  /** Publishes until the term ends. */
  async run(): Promise<void> {
    const queues = [this.#tenants, this.#models, this.#network, this.#events];
    this.#term.signal.addEventListener('abort', () => queues.forEach((queue) => queue.close()));
    this.#services.start();
    this.#slices.start();
    for (const model of this.#view.models.list()) this.model(model.metadata.name);
    for (const tenant of this.#view.tenants.list()) this.tenant(keyOf(tenant));
    const failed = (key: unknown, error: unknown): void => {
      if (error instanceof NotLeading) return;
      this.#metrics.failures.inc();
      if (statusOf(error) !== 409) this.#log.warn({ key, error: reasonOf(error) }, 'not published; trying again');
    };
    await Promise.all([
      work(this.#tenants, WORKERS, (key) => this.#publish(key), failed),
      work(this.#models, 1, (name) => this.#publishModel(name), failed),
      work(this.#network, NETWORK_WORKERS, (key) => this.#publishNetwork(key), failed),
      work(this.#events, EVENT_WORKERS, ({ about, happening }) => this.#record(about, happening), failed),
    ]);
    await Promise.all([this.#services.stop(), this.#slices.stop()]);
  }

  async #publish(key: string): Promise<void> {
    const [namespace, name] = key.split('/') as [string, string];
    const tenant = this.#view.tenants.get(name, namespace);
    if (tenant === undefined) {
      this.#written.delete(key);
      this.#taken.delete(key);
      this.#leaving.delete(key);
      return;
    }
    if (tenant.metadata.deletionTimestamp !== undefined) return this.#withdraw(key, tenant);
    const verdict = this.decider.verdicts.get(key);
    if (verdict === undefined) return; // not decided yet; the decision will call again

    const { uid } = tenant.metadata;
    const written = this.#written.get(key);
    const previous = written !== undefined && written.uid === uid ? newest(tenant, written) : tenant.status;
    const status = tenantStatus(
      tenant,
      verdict,
      (node) => this.#reportOf(node, key),
      previous,
      new Date().toISOString(),
      this.#taken.has(key) ? serviceName(name) : undefined,
    );
    if (!isDeepStrictEqual(previous, status)) {
      const waitMs = (written?.atMs ?? -Infinity) + LAZY_MS - performance.now();
      if (!isUrgent(previous, status) && waitMs > 0) {
        this.#tenants.addAfter(key, waitMs);
        return;
      }
      this.#mayWrite();
      const { metadata } = await this.#api.tenants.applyStatus(
        { metadata: { name, namespace, ...(uid === undefined ? {} : { uid }) }, status } as unknown as TenantObject,
        FIELD_MANAGER,
      );
      this.#written.set(key, { uid, status, atMs: performance.now(), version: metadata.resourceVersion });
      for (const happening of happenings(previous, status)) this.#events.add({ about: withKind(tenant), happening });
    }
    const has = this.#services.get(serviceName(name), namespace) !== undefined;
    if (status.placements?.some(({ endpoint }) => endpoint !== undefined) || has) this.#network.add(key);
  }

  /** A deleted tenant goes once no agent serves it any more. */
  async #withdraw(key: string, tenant: TenantObject): Promise<void> {
    const { finalizers = [], resourceVersion } = tenant.metadata;
    if (!finalizers.includes(FINALIZER)) return;
    const placements = (this.#written.get(key)?.status ?? tenant.status)?.placements ?? [];
    const sinceMs = this.#leaving.get(key) ?? performance.now();
    this.#leaving.set(key, sinceMs);
    const waitedMs = performance.now() - sinceMs;
    const served = [...new Set(placements.map(({ node }) => node))].filter((node) => this.#stillServes(node, key));
    if (this.decider.records.tenants().has(key) || (served.length > 0 && waitedMs < LONGEST_WITHDRAWAL_MS)) {
      this.#tenants.addAfter(key, WITHDRAW_POLL_MS);
      return;
    }
    if (served.length > 0)
      this.#log.warn({ tenant: key, nodes: served }, 'withdrawn without their agents having confirmed it');
    this.#mayWrite();
    try {
      await this.#api.tenants.merge(tenant.metadata, {
        metadata: { resourceVersion, finalizers: finalizers.filter((each) => each !== FINALIZER) },
      });
    } catch (error) {
      if (statusOf(error) !== 404) throw error;
    }
  }

  #stillServes(node: string, key: string): boolean {
    const schedule = this.#view.schedules.get(node);
    // An agent that never reported, is silent or gone with its node has nobody to withdraw from.
    if (schedule === undefined || this.#view.nodeLost(node) || this.#view.agentSilent(node) !== false) return false;
    const listed = (schedule.spec.devices ?? []).some((device) =>
      scheduledOn(device).some((each) => tenantKey(each) === key),
    );
    return listed || (schedule.status?.observedGeneration ?? 0) < (schedule.metadata.generation ?? 0);
  }

  #reportOf(node: string, key: string): NodeReport {
    const schedule = this.#view.schedules.get(node);
    const condition = (type: string): NodeReport['applied'] =>
      schedule?.status?.conditions?.find((each) => each.type === type);
    const serving = (schedule?.spec.devices ?? []).filter((device) =>
      scheduledOn(device).some((each) => tenantKey(each) === key),
    );
    const told = schedule?.status?.devices ?? [];
    const own = told.filter(({ device }) => serving.some((each) => each.device === device));
    const failed = own.find(({ failure }) => failure !== undefined);
    const gone =
      told.length === 0 ? undefined : serving.find(({ device }) => !told.some((each) => each.device === device));
    // That another device's part of it was refused concerns others.
    const refused = told.some(({ refusal }) => refusal !== undefined);
    const ownRefusal = own.find(({ refusal }) => refusal !== undefined)?.refusal;
    const applied = condition('Applied');
    const figures = schedule?.status?.tenants?.find(({ namespace, name }) => `${namespace}/${name}` === key);
    return {
      current: serving.length > 0 && schedule?.status?.observedGeneration === schedule?.metadata.generation,
      applied: refused && ownRefusal === undefined && applied !== undefined ? { ...applied, status: 'True' } : applied,
      deviceFailure:
        gone !== undefined
          ? `device ${gone.device} is not there any more`
          : failed === undefined
            ? undefined
            : `device ${failed.device}: ${failed.failure ?? ''}`,
      silent: this.#view.agentSilent(node),
      endpoint: schedule?.status?.endpoint,
      misses: figures?.misses ?? 0,
      promisedFrames: figures?.promisedFrames ?? 0,
      spareFrames: figures?.spareFrames ?? 0,
      onTime: figures?.onTime ?? 0,
      degraded: figures?.degraded,
      keptApart: figures?.keptApart === true,
    };
  }

  async #publishModel(name: string): Promise<void> {
    const model = this.#view.models.get(name);
    if (model === undefined) {
      this.#writtenModels.delete(name);
      return;
    }
    const written = this.#writtenModels.get(name);
    const previous = written === undefined ? model.status : newest(model, written);
    const status = modelStatus(model, this.#view.profiles.list(), previous, new Date().toISOString());
    if (isDeepStrictEqual(previous, status)) return;
    this.#mayWrite();
    const { metadata } = await this.#api.models.applyStatus(
      { metadata: { name }, status } as unknown as ModelObject,
      FIELD_MANAGER,
    );
    this.#writtenModels.set(name, { status, version: metadata.resourceVersion });
  }

  async #publishNetwork(key: string): Promise<void> {
    const [namespace, name] = key.split('/') as [string, string];
    const tenant = this.#view.tenants.get(name, namespace);
    const status = this.#written.get(key)?.status ?? tenant?.status;
    if (tenant === undefined || status === undefined || tenant.metadata.deletionTimestamp !== undefined) return;
    if (!(await this.#hasService(key, tenant))) return;
    const wanted = slicesOf(tenant, status, this.#api.scheme);
    for (const slice of wanted) {
      const known = this.#slices.get(slice.metadata.name, namespace);
      if (
        known !== undefined &&
        isDeepStrictEqual([known.endpoints, known.ports], [slice.endpoints, slice.ports]) &&
        isDeepStrictEqual(known.metadata.ownerReferences, slice.metadata.ownerReferences)
      )
        continue;
      this.#mayWrite();
      await this.#api.slices.apply(slice, FIELD_MANAGER);
    }
    const names = new Set(wanted.map(({ metadata }) => metadata.name));
    for (const slice of this.#slices.list()) {
      if (slice.metadata.namespace !== namespace || serviceOfSlice(slice) !== serviceName(name)) continue;
      if (names.has(slice.metadata.name)) continue;
      this.#mayWrite();
      await this.#api.slices.delete(slice.metadata);
    }
  }

  /** Sees to it that the tenant has its Service, unless somebody else's has that name. */
  async #hasService(key: string, tenant: TenantObject): Promise<boolean> {
    const wanted = serviceOf(tenant, this.#api.scheme);
    const { name, namespace = '' } = wanted.metadata;
    const known = this.#services.get(name, namespace);
    if (known !== undefined && isAsWanted(known, wanted)) return true;
    const found = known ?? (await this.#api.services.get(name, namespace));
    const taken = found !== undefined && !isOurs(found, tenant);
    if (taken !== this.#taken.has(key)) {
      if (taken) this.#taken.add(key);
      else this.#taken.delete(key);
      this.#tenants.add(key);
    }
    if (taken) this.#network.addAfter(key, TAKEN_POLL_MS);
    else {
      this.#mayWrite();
      if (found === undefined) await this.#api.services.apply(wanted, FIELD_MANAGER);
      else await this.#api.services.merge(wanted, FIELD_MANAGER);
    }
    return !taken;
  }

  /** Events are news, not records: one that cannot be written is let go. */
  async #record(about: KubeObject, happening: Happening): Promise<void> {
    // Statuses come first, but not for ever.
    for (let waitedMs = 0; this.#tenants.depth > 0 && waitedMs < MOST_EVENT_WAIT_MS; waitedMs += EVENT_POLL_MS)
      await new Promise((resolve) => setTimeout(resolve, EVENT_POLL_MS));
    try {
      await this.#api.events.record(about, happening);
    } catch (error) {
      this.#log.warn({ object: keyOf(about), error: reasonOf(error) }, 'Event not written');
    }
  }

  #mayWrite(): void {
    if (!this.#term.holds()) throw new NotLeading('this process is not the leader any more');
  }
}

/** A status as it was written, and what the object was then. */
interface Written<S> {
  readonly status: S;
  readonly version: string | undefined;
}

/** The status that an object has: as it was written last, unless somebody else has written since. The local copy may lag behind. */
function newest<S>(
  { metadata, status }: { metadata: Meta; status?: S | undefined },
  written: Written<S>,
): S | undefined {
  const [seen, own] = [Number(metadata.resourceVersion), Number(written.version)];
  return seen > own ? status : written.status;
}

/** Informers' objects come without apiVersion and kind when they were listed. */
const withKind = (tenant: TenantObject): KubeObject => ({
  ...tenant,
  apiVersion: 'deeprt.dev/v1alpha1',
  kind: 'InferenceTenant',
});

const ACTIONS: Readonly<Record<string, string>> = {
  Admitted: 'Admit',
  Programmed: 'Program',
  Ready: 'Serve',
  Degraded: 'Degrade',
  KeptApart: 'KeepApart',
};

/** What of a change of status is worth an Event: every decision, and every coming and going of service. */
function happenings(before: TenantStatus | undefined, after: TenantStatus): Happening[] {
  const all: Happening[] = [];
  for (const { type, status, reason, message } of after.conditions ?? []) {
    const action = ACTIONS[type];
    const old = before?.conditions?.find((each) => each.type === type);
    if (action === undefined || (old?.status === status && old.reason === reason)) continue;
    // Not yet being served is no news; no longer being served is.
    if (type !== 'Admitted' && status !== 'True' && old?.status !== 'True') continue;
    const good =
      type === 'Degraded' || type === 'KeptApart'
        ? status !== 'True'
        : status === 'True'
          ? type !== 'Admitted' || reason === 'Admitted'
          : reason === 'ProfilePending';
    all.push({ type: good ? 'Normal' : 'Warning', reason, action, note: message });
  }
  const nodes = (status: TenantStatus | undefined): string =>
    [...new Set((status?.placements ?? []).map(({ node }) => node))].sort().join(', ');
  const [from, to] = [nodes(before), nodes(after)];
  if (from !== '' && to !== '' && from !== to)
    all.push({ type: 'Normal', reason: 'Moved', action: 'Place', note: `moved from ${from} to ${to}` });
  return all;
}
