import { withTenant } from './adding.js';
import { withSpare, withoutSpare, withoutTenant } from './device-plan.js';
import type { NodeAnswer } from './explain.js';
import type { DevicePlan } from './plan.js';
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
    const fit = withTenant(plan, request, streams, plans.beside(plan));
    if ('plan' in fit) {
      for (const each of [fit.plan, ...(fit.beside ?? [])]) plans.set(each);
      return undefined;
    }
    refusals.push({ node: plan.device.node, refusal: fit.refusal });
  }
  return refusals;
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
      const fit = withTenant(plan, request, middle, plans.beside(plan));
      if ('plan' in fit) [low, fitting] = [middle, [fit.plan, ...(fit.beside ?? [])]];
      else {
        above = middle;
        if (middle === left || middle === 1) refusals.push({ node: plan.device.node, refusal: fit.refusal });
      }
    }
    for (const each of fitting) plans.set(each);
    left -= low;
    if (left === 0) return undefined;
  }
  plans.undo(mark);
  return refusals;
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

/** Gives a tenant without a place whatever time is left: where it had that before, else where most of it is. */
export function placeInSpareTime(plans: Plans, request: TenantRequest): void {
  const { key } = request;
  const { plans: eligible } = plans.eligible({ ...request, strategy: 'Spread' });
  const [known] = plans.spareOf(key);
  if (known !== undefined && sameRequest(known.placed.request, request) && eligible.includes(known.plan)) return;
  leaveSpareTime(plans, key);
  for (const plan of eligible) {
    const served = withSpare(plan, { request, streams: request.streams, covered: request.frames ?? {}, decodeUs: 0 });
    if (served === undefined) continue;
    plans.set(served);
    return;
  }
}

export function leaveSpareTime(plans: Plans, key: string): void {
  for (const { plan } of plans.spareOf(key)) plans.set(withoutSpare(plan, key));
}
