import type { DevicePlan, Fit } from './plan.js';
import type { NodeAnswer } from './explain.js';
import { fitOn } from './placing.js';
import type { Plans } from './plans.js';
import { isPreemptable } from './reasons.js';
import type { TenantRequest } from './request.js';
import type { Standing, Victim } from './victims.js';
import { Victims } from './victims.js';

/** What came of making room: it was made, or those who borrowed are to be told first; undefined: there is none to make. */
export type Outcome = 'made' | { readonly notify: readonly string[] } | undefined;

/** Room made on one device: the plan with the tenant and without its victims. */
interface Room {
  readonly fit: Extract<Fit, { plan: DevicePlan }>;
  readonly victims: readonly Victim[];
}

/**
 * Makes room at the cost of others, where that truly makes it fit: of less important tenants of the same team, and of what teams of
 * the cohort have borrowed, where this one is within its nominal share. They are decided again, later.
 */
export function preempt(
  plans: Plans,
  request: TenantRequest,
  standing: Standing,
  refusals: readonly NodeAnswer[],
): Outcome {
  const helps = refusals.some(({ refusal }) => isPreemptable(refusal));
  if (!helps || request.class !== 'RealTime') return undefined;
  const victims = new Victims(plans, request, standing);
  const best = bestRoom(plans, request, victims);
  if (best === undefined) return undefined;
  const notify = untold(best, victims);
  if (notify.length > 0) return { notify };
  for (const { key, why } of best.victims) {
    const nodes = new Set(plans.held(key).map(({ plan }) => plan.device.node));
    standing.entries.get(key)?.displace({ reason: why, message: messageTo(key, why, [...nodes], request) });
  }
  // What they had on other devices is of no use without the rest.
  for (const { key } of best.victims) plans.withdraw(key);
  for (const each of [best.fit.plan, ...(best.fit.beside ?? [])]) plans.set(each);
  return 'made';
}

/** Of the rooms on all devices, the one that nobody has to be told of first, with the fewest and least important victims. */
function bestRoom(plans: Plans, request: TenantRequest, victims: Victims): Room | undefined {
  const rooms: Room[] = [];
  for (const plan of plans.eligible(request).plans) {
    const ofQuota = victims.ofQuota(plan.device);
    const room = ofQuota && roomOn(plans, plan, request, ofQuota, victims);
    if (room === undefined) continue;
    rooms.push(room);
    // Where the quota was all that stood in the way, other devices ask for the same.
    if (room.victims === ofQuota) break;
  }
  const highest = (room: Room): number => Math.max(...room.victims.map(({ key }) => victims.priorityOf(key)));
  const [best] = rooms.sort(
    (a, b) =>
      untold(a, victims).length - untold(b, victims).length ||
      a.victims.length - b.victims.length ||
      highest(a) - highest(b),
  );
  return best;
}

/** Whose notice has not run out. */
const untold = ({ victims }: Room, all: Victims): string[] =>
  victims.flatMap(({ key, why }) => (why === 'Reclaimed' && !all.isTold(key) ? [key] : []));

/** Who else uses the cluster is nobody's business in another namespace. */
function messageTo(
  victim: string,
  why: Victim['why'],
  nodes: readonly string[],
  { key, namespace, priority }: TenantRequest,
): string {
  const by = victim.startsWith(`${namespace}/`) ? key : 'a tenant of another namespace';
  return why === 'Preempted'
    ? `preempted on ${nodes.join(', ')} by ${by}, whose priority is ${priority}`
    : `what it had borrowed was given back to ${by}, whose team is within its nominal share`;
}

/**
 * The fewest and least important tenants whose going, besides that of those who go for the quota, makes room on a device; undefined when
 * even all together would not. One single victim is preferred; otherwise those who come first go until there is room, and those who turn
 * out not to have been in the way are kept, the last first.
 */
function roomOn(
  plans: Plans,
  plan: DevicePlan,
  request: TenantRequest,
  ofQuota: readonly Victim[],
  all: Victims,
): Room | undefined {
  const without = (victims: readonly Victim[]): Room | undefined => {
    const mark = plans.mark();
    for (const { key } of victims) plans.withdraw(key);
    const fit = fitOn(plans, plans.of(plan.device), request, request.streams);
    plans.undo(mark);
    return 'plan' in fit ? { fit, victims } : undefined;
  };
  if (ofQuota.length > 0) {
    const room = without(ofQuota);
    if (room !== undefined) return room;
  }
  const gone = new Set(ofQuota.map(({ key }) => key));
  const candidates = all.on(plan).filter(({ key }) => !gone.has(key));
  if (candidates.length === 0) return undefined;
  let best = without([...ofQuota, ...candidates]);
  if (best === undefined) return undefined;
  for (const candidate of candidates) {
    const room = without([...ofQuota, candidate]);
    if (room !== undefined) return room;
  }
  for (const candidate of [...candidates].reverse())
    best = without(best.victims.filter((each) => each !== candidate)) ?? best;
  return best;
}
