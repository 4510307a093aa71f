import { smallerFrames } from '../../api/frames.js';
import { findOffer } from '../../sched/offer.js';
import { withTenant } from './adding.js';
import type { Device } from './device.js';
import type { FullOffer, NodeAnswer } from './explain.js';
import { explainOffer, perNode, summarizeRefusals } from './explain.js';
import type { DevicePlan } from './plan.js';
import { emptyPlan } from './plan.js';
import type { Plans } from './plans.js';
import type { Reason } from './reasons.js';
import { hasOffer, isNodeRefusal, sentenceOf } from './reasons.js';
import type { TenantRequest } from './request.js';
import { defaultJitterUs } from './request.js';
import type { Answer } from './verdict.js';

/** Offers are searched on the emptiest devices only: what fits nowhere there hardly fits elsewhere. */
const OFFER_DEVICES = 3;
/** The nodes closest to admitting are told of. */
const MOST_REFUSALS = 16;

/** Why a tenant has no place, and what would have one now. */
export function answerTo(plans: Plans, request: TenantRequest, refusals: readonly NodeAnswer[]): Answer {
  if (refusals.length === 0)
    return { reason: 'NoEligibleNode', message: 'no device has been profiled yet; start an agent or give a profile' };
  const nodes = perNode(refusals);
  const { node, refusal } = nodes[0]!;
  const summary = nodes.length === 1 ? `${node}: ${sentenceOf(refusal)}` : summarizeRefusals(nodes);
  const each = nodes.map((answer) => ({
    node: answer.node,
    reason: answer.refusal.reason,
    message: sentenceOf(answer.refusal),
  }));
  const answer = { message: summary, refusals: each.slice(0, MOST_REFUSALS) };
  if (isNodeRefusal(refusal)) return { ...answer, reason: 'NoEligibleNode' };
  const reason: Reason = refusal.reason;
  if (!hasOffer(refusal)) return { ...answer, reason };

  const { plans: eligible } = plans.eligible({ ...request, strategy: 'Spread' });
  const offer = offerOn(plans, eligible.slice(0, OFFER_DEVICES), request);
  const alone = eligible.some((plan) => 'plan' in withTenant(emptied(plan.device), request, request.streams));
  const outlook = alone
    ? 'it may fit when other tenants leave'
    : `it would not fit on ${nodes.length === 1 ? 'this node' : 'any of these nodes'} even alone`;
  return { ...answer, reason, message: `${summary}; ${outlook}; ${explainOffer(offer)}`, offer };
}

function offerOn(plans: Plans, devices: readonly DevicePlan[], request: TenantRequest): FullOffer {
  const fits = (changed: TenantRequest, streams: number): boolean =>
    devices.some((plan) => 'plan' in withTenant(plan, changed, streams, plans.beside(plan)));
  const { streams: count, periodUs, jitterUs, deadlineUs, jitterGiven } = request;
  const offer = findOffer(
    { count, periodUs, jitterUs, deadlineUs },
    (period) => (jitterGiven ? Math.min(jitterUs, period) : defaultJitterUs(period)),
    ({ count: streams, ...figures }) => fits({ ...request, ...figures }, streams),
  );
  const frames = smallerFrames(request.frames ?? {}).find((smaller) => fits({ ...request, frames: smaller }, count));
  return frames === undefined ? offer : { ...offer, frames };
}

/** One empty plan per device, so that what is refused on it is remembered. */
const emptyPlans = new WeakMap<Device, DevicePlan>();
function emptied(device: Device): DevicePlan {
  const plan = emptyPlans.get(device) ?? emptyPlan(device);
  emptyPlans.set(device, plan);
  return plan;
}
