import { withoutTenant } from './device-plan.js';
import type { Device } from './device.js';
import { deviceKey } from './device.js';
import type { NodeAnswer } from './explain.js';
import type { NodeInfo } from './node.js';
import { objection } from './node.js';
import type { DevicePlan, Placed } from './plan.js';
import type { Quotas, Usage } from './quotas.js';
import type { QuotaRefusal } from './refusal.js';
import { placedOn } from './plan.js';
import type { TenantRequest } from './request.js';

/** Where everybody is after a decision; a value that nobody changes any more. */
export interface Settled {
  readonly quotas: Quotas | undefined;
  all(): readonly DevicePlan[];
}

/** A tenant's streams on one device. */
export interface Held {
  readonly plan: DevicePlan;
  readonly placed: Placed;
}

type Nodes = ReadonlyMap<string, NodeInfo> | undefined;

/** The plans of all devices while a decision is being made, and how to go back. */
export class Plans implements Settled {
  readonly quotas: Quotas | undefined;
  readonly #nodes: Nodes;
  readonly #plans: Map<string, DevicePlan>;
  /** What plans were before they were replaced, the oldest first. */
  readonly #replaced: DevicePlan[] = [];
  /** Undefined: to be counted again. */
  #usage: Usage | undefined;
  /** Which devices serve a tenant. */
  readonly #where: Map<string, ReadonlySet<string>>;

  constructor(nodes: Nodes, settled?: Settled, quotas?: Quotas) {
    this.#nodes = nodes;
    this.quotas = quotas;
    this.#plans = new Map(settled instanceof Plans ? settled.#plans : []);
    this.#where = new Map(settled instanceof Plans ? settled.#where : []);
  }

  all(): DevicePlan[] {
    return [...this.#plans.values()];
  }

  node(device: Device): NodeInfo | undefined {
    return this.#nodes?.get(device.node);
  }

  /** The plan of this device as it is now. */
  of(device: Device): DevicePlan {
    return this.#plans.get(deviceKey(device))!;
  }

  /** The same by its `deviceKey`; undefined: there is no such device. */
  at(device: string): DevicePlan | undefined {
    return this.#plans.get(device);
  }

  /** Plans of the other devices of its node. */
  beside({ device }: DevicePlan): DevicePlan[] {
    return this.all().filter((other) => other.device.node === device.node && other.device.device !== device.device);
  }

  /** What a tenant is promised. */
  held(key: string): Held[] {
    return [...(this.#where.get(key) ?? [])].map((device) => {
      const plan = this.#plans.get(device)!;
      return { plan, placed: placedOn(plan).find(({ request }) => request.key === key)! };
    });
  }

  /** Where a tenant that was not admitted is served in spare time. */
  spareOf(key: string): Held[] {
    return this.all().flatMap((plan) =>
      plan.spare.filter(({ request }) => request.key === key).map((placed) => ({ plan, placed })),
    );
  }

  /** Why the tenant's team may not have these streams on a device besides all that it has. */
  quotaRefusal(device: Device, request: TenantRequest, streams: number): QuotaRefusal | undefined {
    if (this.quotas?.of(request.namespace) === undefined) return undefined;
    return this.quotas.refusal(this.usage(), request, streams, device);
  }

  /** What promises cost teams, where there are quotas. */
  usage(): Usage {
    this.#usage ??= this.quotas?.usage(this.all()) ?? new Map<string, never>();
    return this.#usage;
  }

  set(plan: DevicePlan): void {
    const device = deviceKey(plan.device);
    const before = this.#plans.get(device);
    if (before === plan) return;
    const keys = new Set(placedOn(plan).map(({ request }) => request.key));
    for (const { request } of before === undefined ? [] : placedOn(before)) {
      if (keys.has(request.key)) continue;
      const where = new Set(this.#where.get(request.key));
      where.delete(device);
      if (where.size > 0) this.#where.set(request.key, where);
      else this.#where.delete(request.key);
    }
    for (const key of keys) {
      const where = this.#where.get(key);
      if (where?.has(device) !== true) this.#where.set(key, new Set(where).add(device));
    }
    this.#usage = undefined;
    if (before !== undefined) this.#replaced.push(before);
    this.#plans.set(device, plan);
  }

  withdraw(key: string): void {
    for (const { plan } of this.held(key)) this.set(withoutTenant(plan, key));
  }

  /** An instant to go back to. */
  mark(): number {
    return this.#replaced.length;
  }

  undo(mark: number): void {
    for (const plan of this.#replaced.splice(mark).reverse()) this.set(plan);
    this.#replaced.length = mark;
  }

  /**
   * Devices that may take the tenant, in the order in which it prefers them, and the objections of the others' nodes.
   *
   * @param homes where it is, or was told to be
   */
  eligible(
    request: TenantRequest,
    homes: ReadonlySet<string> = new Set(),
  ): { readonly plans: DevicePlan[]; readonly refusals: NodeAnswer[] } {
    const plans: DevicePlan[] = [];
    const refusals: NodeAnswer[] = [];
    for (const plan of this.#plans.values()) {
      const node = this.node(plan.device);
      // Whoever is there already may change in place, also on a cordoned node.
      const refusal =
        node === undefined || (node.state === 'Cordoned' && homes.has(deviceKey(plan.device)))
          ? undefined
          : objection(node, request);
      if (refusal === undefined) plans.push(plan);
      else refusals.push({ node: plan.device.node, refusal });
    }
    // Pack takes the fullest device that still fits, Spread the emptiest; one's own comes first.
    const direction = request.strategy === 'Pack' && request.class === 'RealTime' ? -1 : 1;
    const away = (plan: DevicePlan): number => (homes.has(deviceKey(plan.device)) ? 0 : 1);
    plans.sort((a, b) => away(a) - away(b) || direction * (a.utilization - b.utilization));
    return { plans, refusals };
  }
}
