import { namespaceOf } from '../../api/names.js';
import type { Device } from './device.js';
import type { Entry } from './entry.js';
import type { DevicePlan } from './plan.js';
import { placedOn } from './plan.js';
import type { Plans } from './plans.js';
import type { Charges, Usage } from './quotas.js';
import type { TenantRequest } from './request.js';

/** Somebody who may be driven out, and by what right. */
export interface Victim {
  readonly key: string;
  readonly why: 'Preempted' | 'Reclaimed';
}

/** Everything else that says who may be driven out. */
export interface Standing {
  readonly entries: ReadonlyMap<string, Entry>;
  /** Tenants whose notice to give back what they borrowed has run out. */
  readonly noticed: ReadonlySet<string>;
}

/** Keys of the tenants that were promised frames in time on a device; best effort is in nobody's way. Youngest last. */
const promisedOn = (plan: DevicePlan): string[] => [
  ...new Set(placedOn(plan).flatMap(({ request }) => (request.class === 'RealTime' ? [request.key] : []))),
];

/** Who may be driven out for one tenant, as plans are when it asks. */
export class Victims {
  readonly #plans: Plans;
  readonly #request: TenantRequest;
  readonly #standing: Standing;
  readonly #usage: Usage;
  readonly #charges: Charges;
  /** Who gives back first, by flavor. */
  readonly #reclaimed = new Map<string, readonly string[]>();

  constructor(plans: Plans, request: TenantRequest, standing: Standing) {
    this.#plans = plans;
    this.#request = request;
    this.#standing = standing;
    this.#usage = plans.usage();
    this.#charges = plans.quotas?.charges(plans.all()) ?? new Map<string, never>();
  }

  priorityOf(key: string): number {
    return this.#standing.entries.get(key)?.request.priority ?? 0;
  }

  isTold(key: string): boolean {
    return this.#standing.noticed.has(key);
  }

  /**
   * Whose going makes the team's quota hold the tenant on devices of a flavor, as few as will do, wherever they are; undefined: nobody's
   * does.
   */
  ofQuota(device: Device): Victim[] | undefined {
    const { quotas } = this.#plans;
    const { streams } = this.#request;
    const allowed = (victims: readonly Victim[]): boolean => {
      const keys = victims.map(({ key }) => key);
      const usage = quotas!.usageWithout(this.#usage, this.#charges, keys);
      return quotas!.refusal(usage, this.#request, streams, device) === undefined;
    };
    if (quotas?.of(this.#request.namespace) === undefined || allowed([])) return [];
    const flavor = quotas.flavorOf(device);
    const alike = this.#plans.all().filter((plan) => quotas.flavorOf(plan.device) === flavor);
    const candidates = this.#inOrder(device, new Set(alike.flatMap(promisedOn)));
    let victims: Victim[] = [];
    for (const candidate of candidates) {
      victims = [...victims, candidate];
      if (allowed(victims)) break;
    }
    if (!allowed(victims)) return undefined;
    for (const victim of victims.slice(0, -1)) {
      const fewer = victims.filter((each) => each !== victim);
      if (allowed(fewer)) victims = fewer;
    }
    return victims;
  }

  /** Whose going may make room on a device, the first to go first. */
  on(plan: DevicePlan): Victim[] {
    return this.#inOrder(plan.device, new Set(promisedOn(plan)));
  }

  /** What was borrowed comes first, then the least important of the same team. */
  #inOrder(device: Device, among: ReadonlySet<string>): Victim[] {
    const { quotas } = this.#plans;
    const { key: own, namespace, priority, preempts } = this.#request;
    const team = quotas?.of(namespace);
    const less = (key: string): boolean => {
      const other = quotas?.of(namespaceOf(key));
      return (other === undefined || other === team) && this.priorityOf(key) < priority;
    };
    const preempted = preempts
      ? [...among]
          .filter((key) => key !== own && less(key))
          // Youngest last placed, so first to go among equals.
          .reverse()
          .sort((a, b) => this.priorityOf(a) - this.priorityOf(b))
      : [];
    return [
      ...this.#reclaimable(device)
        .filter((key) => among.has(key))
        .map((key) => ({ key, why: 'Reclaimed' as const })),
      ...preempted.map((key) => ({ key, why: 'Preempted' as const })),
    ];
  }

  /** Who has borrowed what the tenant, within its team's nominal share, may have back. */
  #reclaimable(device: Device): readonly string[] {
    const { quotas } = this.#plans;
    const team = quotas?.of(this.#request.namespace);
    const flavor = quotas?.flavorOf(device);
    if (quotas === undefined || team?.cohort === undefined || flavor === undefined) return [];
    if (!quotas.isNominal(this.#usage, this.#request, this.#request.streams, device)) return [];
    const known = this.#reclaimed.get(flavor);
    if (known !== undefined) return known;
    const found = this.#reclaimOrder(flavor).filter((key) => {
      const other = quotas.of(namespaceOf(key))!;
      return other !== team && other.cohort === team.cohort;
    });
    this.#reclaimed.set(flavor, found);
    return found;
  }

  /**
   * Who gives back first: whoever has been told already, then who takes fewer streams than all, and so may keep some; of these and of the
   * others first the lowest in rank of the team that has borrowed most for its weight, and so on.
   */
  #reclaimOrder(flavor: string): string[] {
    const quotas = this.#plans.quotas!;
    const { entries, noticed } = this.#standing;
    const requests = [...entries.values()].map(({ request }) => request);
    const borrowed = quotas.borrowed(this.#charges, requests);
    const beyond = new Map(quotas.all.map((quota) => [quota.name, quotas.beyond(this.#usage, quota, flavor)]));
    const left = requests.filter(({ key }) => borrowed.get(key)?.has(flavor) === true).reverse();
    const order: string[] = [];
    while (left.length > 0) {
      const share = ({ namespace }: TenantRequest): number => {
        const { name, weight } = quotas.of(namespace)!;
        return beyond.get(name)! / weight;
      };
      const next = left.reduce((a, b) => (share(b) > share(a) ? b : a));
      left.splice(left.indexOf(next), 1);
      order.push(next.key);
      const { name } = quotas.of(next.namespace)!;
      beyond.set(name, beyond.get(name)! - this.#charges.get(next.key)!.get(flavor)!);
    }
    const takesFewer = (key: string): boolean => entries.get(key)!.request.minStreams !== undefined;
    const turn = (key: string): number => (noticed.has(key) ? 0 : takesFewer(key) ? 1 : 2);
    return order.sort((a, b) => turn(a) - turn(b));
  }
}
