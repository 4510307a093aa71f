import { smallerFrames } from '../../api/frames.js';
import { categoryName } from '../../api/names.js';
import { findOffer, greatest } from '../../sched/offer.js';
import { withTenant } from './adding.js';
import type { Device } from './device.js';
import type { FullOffer, NodeAnswer } from './explain.js';
import { explainOffer, perNode, summarizeRefusals } from './explain.js';
import type { DevicePlan } from './plan.js';
import { emptyPlan } from './plan.js';
import { fits } from './placing.js';
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

  const eligible = plans
    .eligible({ ...request, strategy: 'Spread' })
    .plans.filter(({ device }) => canServe(device, request) && plans.quotas?.mayUse(request, device) !== false);
  const offer = offerOn(plans, eligible.slice(0, OFFER_DEVICES), request);
  const outlook = outlookOn(
    eligible.map(({ device }) => device),
    nodes.length,
    request,
  );
  return { ...answer, reason, message: `${summary}; ${outlook}${explainOffer(offer)}`, offer };
}

/** Whether waiting may help, as far as the devices that may be asked say; nothing where none may. */
function outlookOn(devices: readonly Device[], refusing: number, request: TenantRequest): string {
  if (devices.length === 0) return '';
  if (isServedAlone(devices, request)) return 'it may fit when other tenants leave; ';
  const tried = [...new Set(devices.map(({ node }) => node))];
  const where = tried.length === refusing ? (refusing === 1 ? 'this node' : 'any of these nodes') : nodesText(tried);
  return `it would not fit on ${where} even alone; `;
}

const nodesText = (nodes: readonly string[]): string =>
  nodes.length === 1 ? nodes[0]! : `any of the ${nodes.length} nodes that take tenants now`;

function offerOn(plans: Plans, devices: readonly DevicePlan[], request: TenantRequest): FullOffer {
  const { streams: count, minStreams = 1, periodUs, jitterUs, deadlineUs, jitterGiven } = request;
  const offer = findOffer(
    { count, periodUs, jitterUs, deadlineUs },
    (period) => (jitterGiven ? Math.min(jitterUs, period) : defaultJitterUs(period)),
    ({ count: streams, ...figures }) => fits(plans, devices, { ...request, ...figures }, streams),
  );
  const frames = smallerFrames(request.frames ?? {}).find((smaller) =>
    fits(plans, devices, { ...request, frames: smaller }, count),
  );
  return {
    ...offer,
    ...(offer.streams === undefined || offer.streams >= minStreams ? {} : { minStreams: offer.streams }),
    ...(frames === undefined ? {} : { frames }),
  };
}

/** Whether a device has measured what the tenant needs. */
const canServe = ({ tables, failures }: Device, { model, shape }: TenantRequest): boolean =>
  tables.has(categoryName(model, shape)) && !failures.has(model);

/** Whether these devices would take the tenant if they served nobody else. */
function isServedAlone(devices: readonly Device[], request: TenantRequest): boolean {
  const takes = (device: Device, streams: number): boolean => 'plan' in withTenant(emptied(device), request, streams);
  if (!request.allowSplit) return devices.some((device) => takes(device, request.streams));
  let left = request.streams;
  for (const device of devices) {
    left -= greatest(1, left, (streams) => takes(device, streams)) ?? 0;
    if (left === 0) return true;
  }
  return false;
}

/** One empty plan per device, so that what is refused on it is remembered. */
const emptyPlans = new WeakMap<Device, DevicePlan>();
function emptied(device: Device): DevicePlan {
  const plan = emptyPlans.get(device) ?? emptyPlan(device);
  emptyPlans.set(device, plan);
  return plan;
}
