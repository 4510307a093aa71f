import { withTransition } from '../api/conditions.js';
import type { LiveShare } from '../api/live.js';
import type { DevicePlan } from './admission/plan.js';
import { placedOn } from './admission/plan.js';
import type { Quota, Quotas, Usage } from './admission/quotas.js';
import { usedOf } from './admission/quotas.js';
import type { TenantRequest } from './admission/request.js';
import type { QuotaObject, ShareObject } from './objects.js';

export type QuotaStatus = NonNullable<QuotaObject['status']>;
export type ShareStatus = NonNullable<ShareObject['status']>;

/** How everybody stands after a decision, as far as quotas are concerned. */
export interface Standings {
  readonly quotas: Quotas;
  readonly plans: readonly DevicePlan[];
  readonly requests: readonly TenantRequest[];
  /** Keys of the tenants that are not promised what they ask for. */
  readonly pending: ReadonlySet<string>;
}

/** Figures in device-milliseconds a second, to a tenth. */
const tenth = (figure: number): number => Math.round(10 * figure) / 10;

/**
 * The status that a quota should have.
 *
 * @param generation of its object
 */
export function quotaStatus(
  quota: Quota,
  standings: Standings,
  generation = 0,
  previous: QuotaStatus | undefined,
  now: string,
): QuotaStatus {
  const { quotas, plans } = standings;
  const namespaces = quotas.namespacesOf(quota);
  const held = plans.flatMap(placedOn).filter(({ request }) => quotas.of(request.namespace) === quota);
  const waiting = pendingOf(quota, standings);
  const flavors = flavorsOf(quota, quotas.usage(plans)).map((each) => {
    const costs = waiting.map((request) => quotas.costOn(each.name, request, request.streams) ?? 0);
    return { ...each, pending: tenth(costs.reduce((sum, cost) => sum + cost, 0)) };
  });
  const [status, reason, message] =
    namespaces.length > 0
      ? ([
          'True',
          'InForce',
          `in force in ${namespaces.length} ${namespaces.length === 1 ? 'namespace' : 'namespaces'}`,
        ] as const)
      : ([
          'False',
          'NoNamespaces',
          'no namespace has the labels of spec.namespaceSelector, or another quota comes first for all that do',
        ] as const);
  const condition = { type: 'Active', status, reason, message, observedGeneration: generation };
  return {
    observedGeneration: generation,
    conditions: [withTransition(condition, previous?.conditions, now)],
    namespaces: namespaces.length,
    tenants: new Set(held.map(({ request }) => request.key)).size,
    streams: held.reduce((sum, { streams }) => sum + streams, 0),
    pendingTenants: waiting.length,
    used: inWords(flavors),
    borrowed: borrowedOf(flavors),
    flavors,
  };
}

/** What one of its namespaces is told of it. */
export function shareStatus(quota: Quota, namespace: string, standings: Standings): ShareStatus {
  const { quotas, plans } = standings;
  const here = plans.map((plan) => {
    const own = placedOn(plan).filter(({ request }) => request.namespace === namespace);
    const flavor = quotas.flavorOf(plan.device);
    const costs = own.map(({ request, streams }) => quotas.chargeOn(plan.device, request, streams));
    return { flavor, cost: costs.reduce((sum, cost) => sum + cost, 0) };
  });
  const flavors = flavorsOf(quota, quotas.usage(plans)).map((each) => {
    const own = here.filter(({ flavor }) => flavor === each.name);
    return { ...each, usedHere: tenth(own.reduce((sum, { cost }) => sum + cost, 0)) };
  });
  return {
    ...(quota.cohort === undefined ? {} : { cohort: quota.cohort }),
    used: inWords(flavors),
    usedHere: tenth(flavors.reduce((sum, { usedHere }) => sum + usedHere, 0)),
    borrowed: borrowedOf(flavors),
    pendingTenants: pendingOf(quota, standings).length,
    flavors,
  };
}

interface FlavorFigures {
  readonly name: string;
  readonly nominal: number;
  readonly used: number;
  readonly borrowed: number;
}

/** What all teams have, and how many of their tenants wait: for metrics and the live page. */
export const sharesOf = (standings: Standings): LiveShare[] =>
  standings.quotas.all.flatMap((quota) => {
    const pendingTenants = pendingOf(quota, standings).length;
    return flavorsOf(quota, standings.quotas.usage(standings.plans)).map(({ name, ...figures }) => ({
      quota: quota.name,
      flavor: name,
      ...figures,
      pendingTenants,
    }));
  });

const flavorsOf = (quota: Quota, usage: Usage): FlavorFigures[] =>
  [...quota.shares].map(([name, { nominal }]) => {
    const used = usedOf(usage, quota.name, name);
    return { name, nominal, used: tenth(used), borrowed: tenth(Math.max(0, used - nominal)) };
  });

const pendingOf = (quota: Quota, { quotas, requests, pending }: Standings): TenantRequest[] =>
  requests.filter(({ key, namespace, suspended }) => !suspended && pending.has(key) && quotas.of(namespace) === quota);

const inWords = (flavors: readonly FlavorFigures[]): string =>
  flavors.map(({ name, used, nominal }) => `${name} ${used}/${nominal}`).join(', ');

const borrowedOf = (flavors: readonly FlavorFigures[]): number =>
  tenth(flavors.reduce((sum, { borrowed }) => sum + borrowed, 0));
