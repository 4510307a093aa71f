import { isDeepStrictEqual } from 'node:util';
import { tenantOfKey } from '../../api/names.js';
import { reasonOf } from '../../kube/cluster.js';
import type { InformerListener } from '../../kube/informer.js';
import { Informer, keyOf } from '../../kube/informer.js';
import type { Logger } from '../../kube/log.js';
import type { KubeObject, Objects } from '../../kube/objects.js';
import type { Services } from '../../kube/core-objects.js';
import { WorkQueue } from '../../kube/work-queue.js';
import type { TenantObject } from '../objects.js';
import type { EndpointSliceObject, ServiceObject, Spoken } from '../services.js';
import {
  SERVICE_SELECTOR,
  SLICE_SELECTOR,
  hasLabelsOf,
  isAsWanted,
  isOurs,
  restored,
  serviceName,
  serviceOf,
  urlOf,
  serviceOfSlice,
  slicesOf,
  tenantOf,
} from '../services.js';
import type { Obstacle, TenantStatus } from '../tenant-status.js';
import type { ClusterView } from '../view.js';

const FIELD_MANAGER = 'deeprt-operator';
/** Whether a Service that stands in the way is still there is looked at this often. */
const TAKEN_POLL_MS = 10_000;

export interface NetworkApi {
  readonly services: Services<ServiceObject>;
  readonly slices: Objects<EndpointSliceObject>;
  readonly spoken: Spoken;
}

/** What a tenant's clients come by, and how far it has got. */
interface Way {
  readonly status: TenantStatus;
  /** Those of its slices that were seen to; undefined before. */
  readonly done?: readonly EndpointSliceObject[];
  readonly obstacle?: Obstacle;
}

/** Sees to it that tenants have their Service and its slices, as their placements are; each compared with what there is. */
export class Network {
  readonly queue = new WorkQueue<string>();
  readonly #view: ClusterView;
  readonly #api: NetworkApi;
  readonly #mayWrite: () => void;
  readonly #settled: (key: string) => void;
  readonly #services: Informer<ServiceObject>;
  readonly #slices: Informer<EndpointSliceObject>;
  readonly #ways = new Map<string, Way>();

  /** @param settled is told of tenants for which something has come of it */
  constructor(view: ClusterView, api: NetworkApi, log: Logger, mayWrite: () => void, settled: (key: string) => void) {
    this.#view = view;
    this.#api = api;
    this.#mayWrite = mayWrite;
    this.#settled = settled;
    // What somebody else deletes or changes is put back.
    const follow = (kind: string): InformerListener<KubeObject> => ({
      changed: (_key, object) => {
        const tenant = tenantOf(object) ?? this.#tenantByName(object);
        if (tenant !== undefined) this.queue.add(tenant);
      },
      failed: (error, retryMs) => log.warn({ kind, error, retryMs }, 'watch ended; starting it again'),
    });
    const { services, slices } = api;
    this.#services = new Informer<ServiceObject>(
      services.listWatch({ labelSelector: SERVICE_SELECTOR }),
      follow('Service'),
    );
    this.#slices = new Informer<EndpointSliceObject>(
      slices.listWatch({ labelSelector: SLICE_SELECTOR }),
      follow('EndpointSlice'),
    );
  }

  start(): void {
    this.#services.start();
    this.#slices.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#services.stop(), this.#slices.stop()]);
  }

  forget(key: string): void {
    this.#ways.delete(key);
  }

  /** Where a tenant's frames go to, from inside the cluster. */
  url(tenant: TenantObject): string {
    return urlOf(tenant, this.#api.spoken.scheme);
  }

  /**
   * Has the tenant's Service and slices made as its status has it.
   *
   * @returns why clients cannot come by them, if they cannot; `pending` while it is under way
   */
  want(key: string, tenant: TenantObject, status: TenantStatus): Obstacle | 'pending' | undefined {
    const way = this.#ways.get(key);
    const served = status.placements?.some(({ endpoint }) => endpoint !== undefined) === true;
    if (!served && way === undefined && this.#services.get(...nameOf(tenant)) === undefined) return undefined;
    this.#ways.set(key, { ...way, status });
    const wanted = slicesOf(tenant, status, this.#api.spoken);
    if (way?.done !== undefined && isDeepStrictEqual(way.done, wanted)) return way.obstacle;
    this.queue.add(key);
    return way?.obstacle ?? 'pending';
  }

  async reconcile(key: string): Promise<void> {
    const { name } = tenantOfKey(key);
    const tenant = this.#view.tenant(key);
    const status = this.#ways.get(key)?.status;
    if (tenant === undefined || status === undefined) return;
    const isDeleted = tenant.metadata.deletionTimestamp !== undefined;
    if (isDeleted && (status.placements ?? []).length > 0) return;
    const wanted = slicesOf(tenant, status, this.#api.spoken);
    try {
      const taken = !isDeleted && (await this.#serviceOf(tenant));
      if (taken) this.queue.addAfter(key, TAKEN_POLL_MS);
      else await this.#slicesOf(tenant, wanted);
      this.#conclude(key, { status, done: wanted, ...(taken ? { obstacle: takenBy(serviceName(name)) } : {}) });
    } catch (error) {
      const message = `the Service ${serviceName(name)} cannot be made: ${reasonOf(error)}`;
      this.#conclude(key, { status, obstacle: { reason: 'ServiceNotMade', message } });
      throw error;
    }
  }

  /** Only news is told: whoever is told looks again. */
  #conclude(key: string, way: Way): void {
    const before = this.#ways.get(key);
    if (before === undefined) return; // it has gone meanwhile
    this.#ways.set(key, { ...way, status: before.status });
    if (!isDeepStrictEqual([before.done, before.obstacle], [way.done, way.obstacle])) this.#settled(key);
  }

  /** Sees to it that the tenant has its Service; says whether somebody else's has that name. */
  async #serviceOf(tenant: TenantObject): Promise<boolean> {
    const wanted = serviceOf(tenant, this.#api.spoken);
    const [name, namespace] = nameOf(tenant);
    const known = this.#services.get(name, namespace);
    if (known !== undefined && isAsWanted(known, wanted)) return false;
    const found = known ?? (await this.#api.services.get(name, namespace));
    const isTenant = (other: string): boolean => this.#view.tenants.get(other, namespace) !== undefined;
    if (found !== undefined && !isOurs(found, tenant, isTenant)) return true;
    this.#mayWrite();
    if (found === undefined) await this.#api.services.apply(wanted, FIELD_MANAGER);
    else if (!isAsWanted(found, wanted)) await this.#api.services.merge(restored(wanted), FIELD_MANAGER);
    return false;
  }

  async #slicesOf(tenant: TenantObject, wanted: readonly EndpointSliceObject[]): Promise<void> {
    const [service, namespace] = nameOf(tenant);
    for (const slice of wanted) {
      const known = this.#slices.get(slice.metadata.name, namespace);
      // Nobody is sent to where nobody answers yet.
      if (known === undefined && !slice.endpoints.some(({ conditions }) => conditions.ready)) continue;
      if (
        known !== undefined &&
        isDeepStrictEqual([known.endpoints, known.ports], [slice.endpoints, slice.ports]) &&
        hasLabelsOf(known, slice) &&
        isDeepStrictEqual(known.metadata.ownerReferences, slice.metadata.ownerReferences)
      )
        continue;
      this.#mayWrite();
      await this.#api.slices.apply(slice, FIELD_MANAGER);
    }
    const names = new Set(wanted.map(({ metadata }) => metadata.name));
    for (const slice of this.#slices.list()) {
      if (slice.metadata.namespace !== namespace || serviceOfSlice(slice) !== service) continue;
      if (names.has(slice.metadata.name)) continue;
      this.#mayWrite();
      await this.#api.slices.delete(slice.metadata);
    }
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
}

const takenBy = (service: string): Obstacle => ({
  reason: 'ServiceNameTaken',
  message: `there is a Service "${service}" that belongs to somebody else, so clients cannot come by that name; rename that Service or this tenant`,
});

const nameOf = ({ metadata }: TenantObject): [name: string, namespace: string] => [
  serviceName(metadata.name),
  metadata.namespace ?? '',
];
