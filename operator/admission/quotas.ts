import { categoryName, namespaceOf } from '../../api/names.js';
import type { Device } from './device.js';
import { deviceKey } from './device.js';
import type { DevicePlan } from './plan.js';
import { placedOn } from './plan.js';
import type { QuotaRefusal } from './refusal.js';
import type { TenantRequest } from './request.js';

/** A team's share of one kind of device, in device-milliseconds a second. */
export interface FlavorShare {
  readonly nominal: number;
  /** What it may have beyond that. */
  readonly borrowingLimit: number;
  /** What others may have of it. */
  readonly lendingLimit: number;
}

/** What a team's namespaces may be promised together. */
export interface Quota {
  readonly name: string;
  readonly cohort: string | undefined;
  readonly weight: number;
  readonly shares: ReadonlyMap<string, FlavorShare>;
  /** PriorityClasses that its tenants may name; any when undefined. */
  readonly priorityClasses: ReadonlySet<string> | undefined;
  readonly mostTenants: number;
  readonly mostStreams: number;
}

/** Figures are sums of quotients. */
const TOLERANCE = 1e-6;

/** What promises cost: device-milliseconds a second, by quota and then by flavor. */
export type Usage = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** What tenants are charged, by their keys and then by flavor. */
export type Charges = ReadonlyMap<string, ReadonlyMap<string, number>>;

interface Cost {
  readonly key: string;
  readonly quota: string;
  readonly flavor: string;
  readonly cost: number;
}

/** Costs by whatever they are asked for by, and then by flavor. */
function summed(costs: readonly Cost[], of: (cost: Cost) => string): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const sums = new Map<string, Map<string, number>>();
  for (const each of costs) {
    const own = sums.get(of(each)) ?? new Map<string, number>();
    sums.set(of(each), own.set(each.flavor, (own.get(each.flavor) ?? 0) + each.cost));
  }
  return sums;
}

export const usedOf = (usage: Usage, quota: string, flavor: string): number => usage.get(quota)?.get(flavor) ?? 0;

/**
 * Which team a namespace is of and what it may have, in the words of kueue's ClusterQueues. A tenant is charged what its frames
 * would cost alone: streams × rate × E(1). That is known before it is admitted and adds up, which shares of a device do not: batches
 * of several tenants only make it cheaper.
 */
export class Quotas {
  readonly all: readonly Quota[];
  readonly #byName: ReadonlyMap<string, Quota>;
  readonly #ofNamespace: ReadonlyMap<string, string>;
  readonly #flavors: ReadonlyMap<string, string>;
  /** The longest E(1) of a category on any device of a flavor, in microseconds. */
  readonly #singleUs = new Map<string, Map<string, number>>();
  /** What a plan costs whom: plans are values. */
  readonly #costs = new WeakMap<DevicePlan, readonly Cost[]>();

  /**
   * @param ofNamespace the quota of a namespace, by name
   * @param flavors the flavor of a device, by its `deviceKey`
   */
  constructor(
    all: readonly Quota[],
    ofNamespace: ReadonlyMap<string, string>,
    flavors: ReadonlyMap<string, string>,
    devices: readonly Device[],
  ) {
    this.all = all;
    this.#byName = new Map(all.map((quota) => [quota.name, quota]));
    this.#ofNamespace = ofNamespace;
    this.#flavors = flavors;
    for (const device of devices) {
      const flavor = flavors.get(deviceKey(device));
      if (flavor === undefined) continue;
      const known = this.#singleUs.get(flavor) ?? new Map<string, number>();
      this.#singleUs.set(flavor, known);
      for (const [category, table] of device.tables)
        known.set(category, Math.max(known.get(category) ?? 0, table.at(1)));
    }
  }

  of(namespace: string): Quota | undefined {
    return this.#byName.get(this.#ofNamespace.get(namespace) ?? '');
  }

  namespacesOf({ name }: Quota): string[] {
    return [...this.#ofNamespace].filter(([, quota]) => quota === name).map(([namespace]) => namespace);
  }

  flavorOf(device: Device): string | undefined {
    return this.#flavors.get(deviceKey(device));
  }

  /** What streams cost on devices of a flavor, in device-milliseconds a second; undefined where that was not measured. Spare time costs nothing. */
  costOn(flavor: string, { model, shape, periodUs, ...request }: TenantRequest, streams: number): number | undefined {
    if (request.class === 'BestEffort') return 0;
    const singleUs = this.#singleUs.get(flavor)?.get(categoryName(model, shape));
    return singleUs === undefined ? undefined : (1000 * streams * singleUs) / periodUs;
  }

  /** What streams on a device are charged, in device-milliseconds a second; 0 where nobody knows, or charges anything. */
  chargeOn(device: Device, request: TenantRequest, streams: number): number {
    const flavor = this.flavorOf(device);
    return flavor === undefined ? 0 : (this.costOn(flavor, request, streams) ?? 0);
  }

  usage(plans: readonly DevicePlan[]): Usage {
    return summed(
      plans.flatMap((plan) => this.#costsOf(plan)),
      ({ quota }) => quota,
    );
  }

  /** What each tenant that is under a quota is charged, by flavor. */
  charges(plans: readonly DevicePlan[]): Charges {
    return summed(
      plans.flatMap((plan) => this.#costsOf(plan)),
      ({ key }) => key,
    );
  }

  #costsOf(plan: DevicePlan): readonly Cost[] {
    const known = this.#costs.get(plan);
    if (known !== undefined) return known;
    const flavor = this.flavorOf(plan.device);
    const placed = flavor === undefined ? [] : placedOn(plan);
    const costs = placed.flatMap(({ request, streams }) => {
      const quota = this.of(request.namespace)?.name;
      return quota === undefined
        ? []
        : [{ key: request.key, quota, flavor: flavor!, cost: this.chargeOn(plan.device, request, streams) }];
    });
    this.#costs.set(plan, costs);
    return costs;
  }

  /** Why a team may not have these streams on a device as well; undefined: it may, or nothing limits it. */
  refusal(usage: Usage, request: TenantRequest, streams: number, device: Device): QuotaRefusal | undefined {
    const quota = this.of(request.namespace);
    if (quota === undefined || request.class === 'BestEffort') return undefined;
    const flavor = this.flavorOf(device);
    const share = quota.shares.get(flavor ?? '');
    const refused = { reason: 'QuotaExceeded', quota: quota.name, flavor } as const;
    if (flavor === undefined || share === undefined) return { ...refused, cost: 0, free: 0, nominal: 0, lent: false };
    const cost = this.costOn(flavor, request, streams);
    if (cost === undefined) return undefined; // what is not measured is refused for that
    const used = usedOf(usage, quota.name, flavor);
    const own = share.nominal + share.borrowingLimit - used;
    const left = Math.min(own, this.#leftFor(quota, flavor, usage));
    if (cost <= left + TOLERANCE) return undefined;
    return {
      ...refused,
      cost,
      free: Math.max(0, left),
      nominal: share.nominal,
      lent: this.beyond(usage, quota, flavor) + cost <= TOLERANCE,
    };
  }

  /** Whether a team has any share of a device's kind. */
  mayUse(request: TenantRequest, device: Device): boolean {
    const quota = this.of(request.namespace);
    return quota === undefined || request.class === 'BestEffort' || quota.shares.has(this.flavorOf(device) ?? '');
  }

  /**
   * What a cohort leaves to one of its quotas: all that is not used of what may be lent, and the own part that may not (kueue,
   * KEP-79 and KEP-1224). A quota without a cohort is one by itself.
   */
  #leftFor(quota: Quota, flavor: string, usage: Usage): number {
    const members = quota.cohort === undefined ? [quota] : this.all.filter(({ cohort }) => cohort === quota.cohort);
    let [pool, own] = [0, 0];
    for (const member of members) {
      const { nominal, lendingLimit } = member.shares.get(flavor) ?? { nominal: 0, lendingLimit: 0 };
      const lendable = Math.min(nominal, lendingLimit);
      const beyond = usedOf(usage, member.name, flavor) - (nominal - lendable);
      pool += lendable;
      if (member === quota) own = beyond;
      else pool -= Math.max(0, beyond);
    }
    return Math.max(0, pool) - own;
  }

  /** Whether a team stays within its nominal share with these streams on a device as well. */
  isNominal(usage: Usage, request: TenantRequest, streams: number, device: Device): boolean {
    const flavor = this.flavorOf(device);
    const quota = this.of(request.namespace);
    if (flavor === undefined || quota?.shares.has(flavor) !== true) return false;
    const cost = this.costOn(flavor, request, streams);
    return cost !== undefined && this.beyond(usage, quota, flavor) + cost <= TOLERANCE;
  }

  /** What a team has of a flavor beyond its nominal share; negative: what is left of that. */
  beyond(usage: Usage, { name, shares }: Quota, flavor: string): number {
    return usedOf(usage, name, flavor) - (shares.get(flavor)?.nominal ?? 0);
  }

  /**
   * The flavors of which tenants' promises are beyond their team's nominal share: in the order of rank, whoever does not fit into
   * what those before have left of it.
   *
   * @param requests in the order of rank
   */
  borrowed(charges: Charges, requests: readonly TenantRequest[]): Map<string, ReadonlySet<string>> {
    const within = new Map<string, number>();
    const borrowed = new Map<string, Set<string>>();
    for (const { key, namespace } of requests)
      for (const [flavor, cost] of charges.get(key) ?? []) {
        const quota = this.of(namespace)!;
        const place = `${quota.name}/${flavor}`;
        const used = (within.get(place) ?? 0) + cost;
        if (used <= (quota.shares.get(flavor)?.nominal ?? 0) + TOLERANCE) within.set(place, used);
        else borrowed.set(key, new Set(borrowed.get(key)).add(flavor));
      }
    return borrowed;
  }

  /** What would be used without some tenants. */
  usageWithout(usage: Usage, charges: Charges, keys: readonly string[]): Usage {
    const left = new Map([...usage].map(([quota, used]) => [quota, new Map(used)]));
    for (const key of keys) {
      const used = left.get(this.of(namespaceOf(key))?.name ?? '');
      for (const [flavor, cost] of charges.get(key) ?? []) used?.set(flavor, (used.get(flavor) ?? 0) - cost);
    }
    return left;
  }
}
