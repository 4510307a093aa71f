import { withTenant } from './adding.js';
import { planFor, standing } from './device-plan.js';
import type { Device } from './device.js';
import { deviceKey } from './device.js';
import type { Displacement } from './entry.js';
import { evicts } from './node.js';
import type { DevicePlan, Fit, Placed } from './plan.js';
import { emptyPlan, placedOn } from './plan.js';
import type { Held } from './plans.js';
import { Plans } from './plans.js';
import type { TenantRequest } from './request.js';
import type { Snapshot } from './snapshot.js';
import { stagesFor } from './stages.js';

/** What of the earlier promises still holds, and who loses their place by that. */
export interface Stand {
  readonly plans: Plans;
  readonly displaced: ReadonlyMap<string, Displacement>;
}

/** Everybody keeps what still holds of what they were promised. */
export function settle(snapshot: Snapshot): Stand {
  const plans = new Plans(snapshot.nodes, snapshot.settled, snapshot.quotas);
  const displaced = new Map<string, Displacement>();
  if (snapshot.settled !== undefined) return { plans, displaced };
  const asked = new Map(snapshot.requests.map((request, rank) => [request.key, { request, rank }]));
  const promised = new Map((snapshot.promised ?? []).map((plan) => [deviceKey(plan.device), plan]));
  const surplus = surplusOf([...promised.values()], asked, plans);
  for (const devices of Map.groupBy(snapshot.devices, ({ node }) => node).values()) {
    const before = devices.map((device) => promised.get(deviceKey(device)) ?? emptyPlan(device));
    const evicted = ({ request }: Placed): boolean => {
      const node = plans.node(devices[0]!);
      return node !== undefined && evicts(node, asked.get(request.key)?.request ?? request);
    };
    const stays = (placed: Placed): boolean =>
      asked.has(placed.request.key) && !surplus.has(placed) && !evicted(placed);
    const all = keptOn(devices, before, stays, ({ request }) => asked.get(request.key)!.rank);
    for (const [i, plan] of all.entries()) {
      const spare = plan.spare.filter(({ request }) => asked.has(request.key));
      plans.set(spare.length === plan.spare.length ? plan : { ...plan, spare });
      const kept = new Set(placedOn(plan).map(({ request }) => request.key));
      for (const placed of placedOn(before[i]!)) {
        const { key } = placed.request;
        if (kept.has(key) || surplus.has(placed) || !asked.has(key)) continue;
        displaced.set(key, {
          message: evicted(placed)
            ? `driven out of ${plan.device.node} by a NoExecute taint`
            : `${plan.device.node} cannot keep its promise any more: its profile has changed`,
        });
      }
      promised.delete(deviceKey(plan.device));
    }
  }
  for (const { device, ...plan } of promised.values())
    for (const { request } of placedOn({ device, ...plan }))
      if (asked.has(request.key))
        displaced.set(request.key, { reason: 'NodeLost', message: `${nameOf(device, snapshot)} is gone` });
  restore(plans, snapshot);
  return { plans, displaced };
}

/** Where a record was lost, all who were told of a place there get it back before anybody may take it. */
function restore(plans: Plans, { requests, told }: Snapshot): void {
  for (const request of told === undefined ? [] : requests) {
    const { generation, streams } = told?.get(request.key) ?? {};
    if (streams === undefined || generation !== request.generation) continue;
    const held = plans.held(request.key);
    let left = request.streams - held.reduce((sum, { placed }) => sum + placed.streams, 0);
    for (const [device, count] of streams) {
      const plan = plans.at(device);
      if (plan === undefined || count > left || held.some((each) => each.plan === plan)) continue;
      const node = plans.node(plan.device);
      if (node !== undefined && evicts(node, request)) continue;
      const fit = withTenant(plan, request, count, plans.beside(plan));
      if ('refusal' in fit) continue;
      for (const each of [fit.plan, ...(fit.beside ?? [])]) plans.set(each);
      left -= count;
    }
  }
}

/** What is gone: a node, or a device of one that is still there. */
const nameOf = ({ node, device }: Device, { nodes }: Snapshot): string =>
  nodes?.has(node) === true ? `device ${device} of ${node}` : node;

const isMeasured = ({ tables, failures }: Device): boolean => tables.size > 0 || failures.size > 0;

/** What of earlier promises still holds on the devices of a node, which share its stages: all of it, unless a profile changed for the worse. */
function keptOn(
  devices: readonly Device[],
  before: readonly DevicePlan[],
  stays: (placed: Placed) => boolean,
  rank: (placed: Placed) => number,
): readonly DevicePlan[] {
  const changed = devices.map((device, i) => before[i]!.device !== device);
  const same = (plan: DevicePlan): boolean =>
    placedOn(plan).every(stays) && (!isMeasured(plan.device) || plan.categories.every(({ rate }) => rate > 0));
  if (!changed.includes(true) && before.every(same)) return before;
  // Until one is looked at, it counts for what it had, by the newest figures.
  let all: readonly DevicePlan[] = before.map((plan, i) => standing(plan, devices[i]!, stays));
  const keep = (i: number, plan: DevicePlan): void => {
    const found = keptPlan(devices[i]!, plan, stays, rank, all.toSpliced(i, 1));
    all = found.beside.toSpliced(i, 0, found.plan);
  };
  for (const [i, plan] of before.entries()) keep(i, plan);
  const short = (plan: DevicePlan, i: number): boolean =>
    stagesFor(plan.device, placedOn(plan), plan.receiveUs, all.toSpliced(i, 1)) !== plan.receiveUs;
  // What one of them needs of the stages may be too much for those before it.
  for (let i = all.findIndex(short); i !== -1; i = all.findIndex(short)) keep(i, all[i]!);
  return all;
}

/** What of an earlier promise still holds on one device, and what becomes of those beside it. */
function keptPlan(
  device: Device,
  before: DevicePlan,
  stays: (placed: Placed) => boolean,
  rank: (placed: Placed) => number,
  beside: readonly DevicePlan[],
): Required<Extract<Fit, { plan: DevicePlan }>> {
  const placed = placedOn(before);
  const kept = placed.filter(stays);
  const known = before.categories.every(({ rate }) => rate > 0);
  const measured = isMeasured(device);
  const receiveUs = stagesFor(device, kept, before.receiveUs, beside);
  const isSame = before.device === device && receiveUs === before.receiveUs;
  if (isSame && kept.length === placed.length && (known || !measured)) return { plan: before, beside };
  // Without a measurement nothing can be checked: what was promised stands until there is one.
  if (!measured && kept.length > 0) return { plan: standing(before, device, stays), beside };
  const all = receiveUs === undefined ? undefined : planFor(device, kept, { ...before, receiveUs });
  if (all !== undefined && 'plan' in all) return { plan: all.plan, beside };
  let found = { plan: emptyPlan(device), beside };
  for (const { request, streams } of [...kept].sort((a, b) => rank(a) - rank(b))) {
    const fit = withTenant(found.plan, request, streams, found.beside);
    if ('plan' in fit) found = { plan: fit.plan, beside: fit.beside ?? found.beside };
  }
  return found;
}

/**
 * A crash between the records of two nodes can leave a tenant that moved on both: streams beyond what it asks for,
 * the older promise and the lost node first.
 */
function surplusOf(
  promised: readonly DevicePlan[],
  asked: ReadonlyMap<string, { readonly request: TenantRequest }>,
  plans: Plans,
): Set<Placed> {
  const all = Map.groupBy(
    promised.flatMap((plan) => placedOn(plan).map((placed) => ({ plan, placed }))),
    ({ placed }) => placed.request.key,
  );
  const surplus = new Set<Placed>();
  for (const [key, held] of all) {
    let left = Math.max(asked.get(key)?.request.streams ?? 0, ...held.map(({ placed }) => placed.request.streams));
    const isLost = ({ plan }: Held): number => (plans.node(plan.device)?.state === 'Lost' ? 1 : 0);
    if (held.length > 1)
      held.sort((a, b) => isLost(a) - isLost(b) || b.placed.request.generation - a.placed.request.generation);
    for (const { placed } of held) {
      if (placed.streams > left) surplus.add(placed);
      else left -= placed.streams;
    }
  }
  return surplus;
}
