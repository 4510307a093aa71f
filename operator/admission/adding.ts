import { coverages } from '../../api/frames.js';
import { shapeText, categoryName } from '../../api/names.js';
import type { DevicePlan, Fit, Placed } from './plan.js';
import type { Refusal } from './refusal.js';
import { emptyPlan, placedOn } from './plan.js';
import { pending, planFor } from './device-plan.js';
import type { TenantRequest } from './request.js';
import type { Way } from './stages.js';
import { QUICKER_PARTS, receiveRefusal, stagesFor, waysFor } from './stages.js';

/** Refusals stay what they are as long as the plans of the node do, and many tenants ask for the same. */
const refused = new WeakMap<
  DevicePlan,
  { readonly beside: readonly DevicePlan[]; readonly all: Map<string, Refusal> }
>();

function refusalsOf(plan: DevicePlan, beside: readonly DevicePlan[]): Map<string, Refusal> {
  const known = refused.get(plan);
  if (known?.beside.length === beside.length && known.beside.every((each, i) => each === beside[i])) return known.all;
  const all = new Map<string, Refusal>();
  refused.set(plan, { beside, all });
  return all;
}

/**
 * The plan with these streams added, or why not.
 *
 * @param beside plans of the node's other devices
 */
export function withTenant(
  plan: DevicePlan,
  request: TenantRequest,
  streams: number,
  beside: readonly DevicePlan[] = [],
): Fit {
  const { model, shape, periodUs, jitterUs, deadlineUs, frames } = request;
  const form = JSON.stringify(frames ?? null);
  const asked = [model, shapeText(shape), request.class, periodUs, jitterUs, deadlineUs, streams, form].join();
  const refusals = refusalsOf(plan, beside);
  const known = refusals.get(asked);
  if (known !== undefined) return { refusal: known };
  const obstacle = obstacleOn(plan, request);
  const fit = obstacle === undefined ? added(plan, request, streams, beside) : { refusal: obstacle };
  if ('refusal' in fit) refusals.set(asked, fit.refusal);
  return fit;
}

/** The same, tried anew: by the ways that the stages leave, the first that the device takes. */
function added(
  plan: DevicePlan,
  request: TenantRequest,
  streams: number,
  beside: readonly DevicePlan[],
  covers = coverages(request.frames),
): Fit {
  const found = waysFor(plan, request, streams, beside, covers);
  if ('refusal' in found) {
    // Images that nobody said are sent give way to what somebody said, and to tensors, on all devices of the node.
    const [lighter, lighterBeside] = [lightened(plan), beside.map(lightened)];
    const least = request.frames === undefined ? covers.slice(-1) : covers;
    if (lighter !== plan || lighterBeside.some((each, i) => each !== beside[i]))
      return added(lighter, request, streams, lighterBeside, least);
    // What the device refuses whatever the stages do is to be told first.
    const placed = [...placedOn(plan), { request, streams, covered: {}, decodeUs: 0 }];
    const without = planFor(plan.device, placed, plan);
    return 'refusal' in without ? without : found;
  }
  const attempt = ({ covered, decodeUs, receiveUs }: Way): Fit => {
    const placed = [...placedOn(plan), { request, streams, covered, decodeUs }];
    const own = planFor(plan.device, placed, { ...plan, receiveUs });
    const others = beside.map((other) => receiving(other, receiveUs));
    if ('refusal' in own) return own;
    for (const other of others) if ('refusal' in other) return other;
    return { plan: own.plan, beside: others.flatMap((other) => ('plan' in other ? other.plan : [])) };
  };
  let fit: Fit | undefined;
  for (const way of found.ways) {
    fit = attempt(way);
    if ('plan' in fit) return fit;
  }
  const quicker = withQuickDecoding(plan, { ...found.ways[0]!, request, streams }, beside);
  if (quicker !== undefined) return quicker;
  // Where the device would take it but for what others wait for the event loop then, that is what is full.
  const [way] = found.ways;
  const alone = waysFor(emptyPlan(plan.device), request, streams, []);
  const aloneUs = 'ways' in alone ? alone.ways[0]!.receiveUs : Infinity;
  const least = Math.min(aloneUs, plan.receiveUs, ...beside.map(({ receiveUs }) => receiveUs));
  const held = way!.receiveUs > least && 'plan' in attempt({ ...way!, receiveUs: least });
  return held ? { refusal: receiveRefusal(plan, request, streams, way!, beside) } : fit!;
}

/** The plan with these streams where decoding takes less of everybody's deadline than it did, so that the device has more. */
function withQuickDecoding(
  plan: DevicePlan,
  { receiveUs, ...more }: Placed & Pick<Way, 'receiveUs'>,
  beside: readonly DevicePlan[],
): Fit | undefined {
  const all = [...placedOn(plan), more];
  for (const part of QUICKER_PARTS) {
    const quick = all.map((each) => {
      const decodeUs = Math.floor(part * each.request.deadlineUs);
      return each.decodeUs > decodeUs ? { ...each, decodeUs } : each;
    });
    if (quick.every((each, i) => each === all[i])) continue;
    if (stagesFor(plan.device, quick, receiveUs, beside) !== receiveUs) return undefined;
    const fit = planFor(plan.device, quick, { ...plan, receiveUs });
    if ('plan' in fit) return beside.some((other) => other.receiveUs < receiveUs) ? undefined : { ...fit, beside };
  }
  return undefined;
}

/** The plan where receiving may take longer than before; the same where it need not. */
function receiving(plan: DevicePlan, receiveUs: number): Fit {
  if (plan.categories.length === 0 || receiveUs <= plan.receiveUs) return { plan };
  return planFor(plan.device, placedOn(plan), { ...plan, receiveUs });
}

/** The plan where half of the tenants that did not say that they send images, the later ones, have none covered; the same where nobody has. */
function lightened(plan: DevicePlan): DevicePlan {
  const all = plan.categories.flatMap(({ placed }) => placed);
  const undeclared = all.filter(({ request, decodeUs }) => request.frames === undefined && decodeUs > 0);
  if (undeclared.length === 0) return plan;
  const later = new Set(undeclared.slice(Math.floor(undeclared.length / 2)));
  const categories = plan.categories.map((category) => ({
    ...category,
    placed: category.placed.map((each) => (later.has(each) ? { ...each, covered: {}, decodeUs: 0 } : each)),
  }));
  return { ...plan, categories };
}

/** What forbids a tenant whatever else the device does. */
function obstacleOn(plan: DevicePlan, request: TenantRequest): Refusal | undefined {
  const { device } = plan;
  const name = categoryName(request.model, request.shape);
  const table = device.tables.get(name);
  const failure = device.failures.get(request.model);
  if (failure !== undefined) return { reason: 'ModelUnavailable', model: request.model, message: failure };
  if (table === undefined) return pending(plan.device, name, request.model);
  if (request.class === 'RealTime') {
    const availableUs = request.deadlineUs - (device.stages?.channelUs ?? 0);
    if (availableUs <= table.at(1))
      return { reason: 'DeadlineShorterThanWCET', category: name, wcetUs: table.at(1), availableUs };
  }
  return undefined;
}
