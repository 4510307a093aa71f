import { withTenant } from './adding.js';
import type { DevicePlan, Fit, Placed } from './plan.js';
import { placedOn } from './plan.js';
import { planFor } from './device-plan.js';
import type { Entry } from './entry.js';
import type { NodeAnswer } from './explain.js';
import type { Plans } from './plans.js';
import { isPreemptable } from './reasons.js';
import type { TenantRequest } from './request.js';

type Planned = Extract<Fit, { plan: DevicePlan }>;

/**
 * Makes room at the cost of less important tenants, where that truly makes it fit; says whether it did. They are decided
 * again, later.
 */
export function preempt(
  plans: Plans,
  request: TenantRequest,
  entries: ReadonlyMap<string, Entry>,
  refusals: readonly NodeAnswer[],
): boolean {
  const helps = refusals.some(({ refusal }) => isPreemptable(refusal));
  if (!helps || !request.preempts || request.class !== 'RealTime') return false;
  let best: Preemption | undefined;
  for (const plan of plans.eligible(request).plans) {
    const room = makeRoom(plan, request, entries, plans.beside(plan));
    if (room === undefined) continue;
    if (
      best === undefined ||
      room.victims.length < best.victims.length ||
      (room.victims.length === best.victims.length && room.highestPriority < best.highestPriority)
    )
      best = room;
  }
  if (best === undefined) return false;
  for (const each of [best.plan, ...best.beside]) plans.set(each);
  for (const victim of best.victims) {
    plans.withdraw(victim); // what it had on other devices is of no use without the rest
    // Who else uses the cluster is nobody's business in another namespace.
    const by = victim.startsWith(`${request.namespace}/`) ? request.key : 'a tenant of another namespace';
    const message = `preempted on ${best.plan.device.node} by ${by}, whose priority is ${request.priority}`;
    entries.get(victim)?.displace({ reason: 'Preempted', message });
  }
  return true;
}

/** Room made on one device: the plan with the preemptor and without its victims. */
interface Preemption {
  readonly plan: DevicePlan;
  /** Of the node's other devices, those that change along with it. */
  readonly beside: readonly DevicePlan[];
  /** Keys of the tenants that have to go. */
  readonly victims: readonly string[];
  readonly highestPriority: number;
}

/**
 * The fewest and least important tenants of a device whose going makes room for one of higher priority; undefined when
 * even all of lower priority together would not. One single victim is preferred; otherwise the least important go until there is
 * room, and those who turn out not to have been in the way are kept, the most important first.
 *
 * @param current what tenants ask for now: their priority may have changed since they were placed
 * @param beside plans of the node's other devices
 */
function makeRoom(
  plan: DevicePlan,
  request: TenantRequest,
  current: ReadonlyMap<string, { readonly request: TenantRequest }>,
  beside: readonly DevicePlan[],
): Preemption | undefined {
  const priorityOf = (key: string): number => current.get(key)?.request.priority ?? 0;
  // Best effort is in nobody's way. Youngest last placed, so first to go among equals.
  const candidates = [
    ...new Set(
      placedOn(plan)
        .filter((placed) => placed.request.class === 'RealTime')
        .map((placed) => placed.request.key),
    ),
  ]
    .filter((key) => priorityOf(key) < request.priority)
    .reverse()
    .sort((a, b) => priorityOf(a) - priorityOf(b));
  if (candidates.length === 0) return undefined;

  const without = (victims: readonly string[]): Planned | undefined => {
    const rest: Placed[] = placedOn(plan).filter((placed) => !victims.includes(placed.request.key));
    const left = planFor(plan.device, rest, plan);
    if ('refusal' in left) return undefined;
    const fit = withTenant(left.plan, request, request.streams, beside);
    return 'plan' in fit ? fit : undefined;
  };
  const conclude = (victims: readonly string[], { plan: after, beside: others = [] }: Planned): Preemption => ({
    plan: after,
    beside: others,
    victims,
    highestPriority: Math.max(...victims.map(priorityOf)),
  });

  let best = without(candidates);
  if (best === undefined) return undefined;
  for (const key of candidates) {
    const after = without([key]);
    if (after !== undefined) return conclude([key], after);
  }
  let victims: readonly string[] = candidates;
  for (const key of [...candidates].reverse()) {
    const fewer = victims.filter((each) => each !== key);
    const after = without(fewer);
    if (after !== undefined) [victims, best] = [fewer, after];
  }
  return conclude(victims, best);
}
