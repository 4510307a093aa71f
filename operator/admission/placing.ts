import { withTenant } from './adding.js';
import { withSpare, withoutSpare, withoutTenant } from './device-plan.js';
import type { NodeAnswer } from './explain.js';
import type { DevicePlan, Fit } from './plan.js';
import type { Held, Plans } from './plans.js';
import type { TenantRequest } from './request.js';
import { sameRequest } from './request.js';

/**
 * Places streams, or returns why no device takes them, with all plans as they were.
 *
 * @param homes devices that come first
 */
export function place(
  plans: Plans,
  request: TenantRequest,
  streams: number,
  homes?: ReadonlySet<string>,
): NodeAnswer[] | undefined {
  const { plans: eligible, refusals } = plans.eligible(request, homes);
  if (request.allowSplit) return placeSplit(plans, request, streams, eligible, refusals);
  for (const plan of eligible) {
    const fit = fitOn(plans, plan, request, streams);
    if ('plan' in fit) {
      for (const each of [fit.plan, ...(fit.beside ?? [])]) plans.set(each);
      return undefined;
    }
    refusals.push({ node: plan.device.node, refusal: fit.refusal });
  }
  return refusals;
}

/** The plan with these streams, where the team may have them and the device can. */
export function fitOn(plans: Plans, plan: DevicePlan, request: TenantRequest, streams: number): Fit {
  const refusal = plans.quotaRefusal(plan.device, request, streams);
  return refusal === undefined ? withTenant(plan, request, streams, plans.beside(plan)) : { refusal };
}

/** Whether streams fit on these devices as everything is now; all plans stay as they are. */
export function fits(plans: Plans, devices: readonly DevicePlan[], request: TenantRequest, streams: number): boolean {
  if (!request.allowSplit) return devices.some((plan) => 'plan' in fitOn(plans, plan, request, streams));
  const mark = plans.mark();
  const isPlaced = placeSplit(plans, request, streams, devices, []) === undefined;
  plans.undo(mark);
  return isPlaced;
}

/** Fills device after device with as many streams as fit. */
function placeSplit(
  plans: Plans,
  request: TenantRequest,
  streams: number,
  eligible: readonly DevicePlan[],
  refusals: NodeAnswer[],
): NodeAnswer[] | undefined {
  let left = streams;
  const mark = plans.mark();
  for (const { device } of eligible) {
    const plan = plans.of(device);
    let fitting: readonly DevicePlan[] = [];
    let low = 0;
    for (let above = left + 1; above - low > 1;) {
      const middle = low === 0 && above === left + 1 ? left : Math.floor((low + above) / 2);
      const fit = fitOn(plans, plan, request, middle);
      if ('plan' in fit) [low, fitting] = [middle, [fit.plan, ...(fit.beside ?? [])]];
      else {
        above = middle;
        // A quota's figures are to be those of all streams.
        const tells = middle === left || (middle === 1 && fit.refusal.reason !== 'QuotaExceeded');
        if (tells) refusals.push({ node: plan.device.node, refusal: fit.refusal });
      }
    }
    for (const each of fitting) plans.set(each);
    left -= low;
    if (left === 0) return undefined;
  }
  plans.undo(mark);
  return refusals;
}

/**
 * Places as many streams as fit of a tenant that takes fewer than all, where that is more than it has: these give way to the new ones.
 *
 * @param has how many it has, of what it asks for
 * @param most how many its team may have
 * @returns how many; 0: it is left as it was
 */
export function placeFewer(
  plans: Plans,
  request: TenantRequest,
  has: number,
  most: number,
  homes?: ReadonlySet<string>,
): number {
  const { key, streams, minStreams = streams } = request;
  let found = 0;
  const mark = plans.mark();
  for (let [low, above] = [Math.max(minStreams, has + 1), Math.min(streams, most + 1)]; low < above;) {
    const middle = found === 0 ? low : Math.floor((low + above) / 2);
    plans.undo(mark);
    plans.withdraw(key);
    if (place(plans, request, middle, homes) === undefined) [found, low] = [middle, middle + 1];
    else if (found === 0) break;
    else above = middle;
  }
  plans.undo(mark);
  if (found === 0) return 0;
  plans.withdraw(key);
  place(plans, request, found, homes);
  return found;
}

/** Finds another place for the streams that lost nodes served; where there is none, their old one is kept for them. */
export function placeElsewhere(plans: Plans, request: TenantRequest, lost: readonly Held[]): NodeAnswer[] | undefined {
  const mark = plans.mark();
  const streams = lost.reduce((sum, { placed }) => sum + placed.streams, 0);
  for (const { plan } of lost) plans.set(withoutTenant(plan, request.key));
  const refusals = place(plans, request, streams);
  if (refusals !== undefined) plans.undo(mark);
  return refusals;
}

/**
 * Gives a tenant without a place whatever time is left: where it had that before, else where most of it is. Streams of a
 * tenant that may be split are spread over the devices of that node.
 */
export function placeInSpareTime(plans: Plans, request: TenantRequest): void {
  const { key, streams, allowSplit } = request;
  const { plans: eligible } = plans.eligible({ ...request, strategy: 'Spread' });
  const known = plans.spareOf(key);
  const served = known.reduce((sum, { placed }) => sum + placed.streams, 0);
  const stands = known.every(({ plan, placed }) => sameRequest(placed.request, request) && eligible.includes(plan));
  if (stands && served === streams) return;
  leaveSpareTime(plans, key);
  const on = ({ device }: DevicePlan, share: number): DevicePlan | undefined =>
    withSpare(plans.of(device), { request, streams: share, covered: request.frames ?? {}, decodeUs: 0 });
  const first = eligible.find((plan) => on(plan, streams) !== undefined);
  if (first === undefined) return;
  const isBeside = (plan: DevicePlan): boolean =>
    plan.device.node === first.device.node && on(plan, streams) !== undefined;
  const taking = allowSplit ? eligible.filter(isBeside).slice(0, streams) : [first];
  for (const [i, plan] of taking.entries())
    plans.set(on(plan, Math.floor(streams / taking.length) + (i < streams % taking.length ? 1 : 0))!);
}

export function leaveSpareTime(plans: Plans, key: string): void {
  for (const { plan } of plans.spareOf(key)) plans.set(withoutSpare(plan, key));
}
