import type { Covered } from '../../api/frames.js';
import type { Streams } from '../../sched/category.js';
import { DueCurve } from '../../sched/curve.js';
import { memoryFor, total } from '../../sched/memory.js';
import type { Demand, Misfit, Visit } from '../../sched/rounds.js';
import { chooseRounds, grown, leastUtilization, utilizationOf } from '../../sched/rounds.js';
import type { Device } from './device.js';
import type { TenantRequest } from './request.js';
import type { NodeRefusal } from './node.js';
import { categoryName, tenantKey } from './request.js';
import type { StageRefusal, Way } from './stages.js';
import { QUICKER_PARTS, receiveRefusal, stagesFor, streamsOn, waysFor } from './stages.js';

/** Streams of a tenant that a device serves; possibly not all of them. */
export interface Placed {
  readonly request: TenantRequest;
  readonly streams: number;
  /** Which of its frames are promised to be in time. */
  readonly covered: Covered;
  /** How long decoding one of them may take, waiting included. */
  readonly decodeUs: number;
}

export interface PlannedCategory {
  readonly name: string;
  readonly model: string;
  readonly shape: readonly number[];
  /** How often the device turns to it, and for how many frames. */
  readonly visit: Visit;
  /** Long-run share of the device that its frames take in full visits; 0: not known, for a plan that was read back. */
  readonly rate: number;
  readonly placed: readonly Placed[];
  /** What it was admitted by, where that is at hand. */
  readonly demand?: Demand | undefined;
}

/** What a device was promised to. Always accepted by the test of quota rounds. */
export interface DevicePlan {
  readonly device: Device;
  readonly categories: readonly PlannedCategory[];
  /** Tenants of class BestEffort: admitted, and served in spare time. */
  readonly bestEffort: readonly Placed[];
  /** Tenants that were not admitted, served in spare time as long as their models fit beside the others. */
  readonly spare: readonly Placed[];
  /** Admitted utilization: the long-run share of all promised frames. */
  readonly utilization: number;
  /** How long the node's event loop may hold a frame up, and later its answer. */
  readonly receiveUs: number;
}

/** Why a device cannot take a tenant, as data. */
export type Refusal =
  | NodeRefusal
  | StageRefusal
  | { readonly reason: 'ProfilePending'; readonly category: string }
  | { readonly reason: 'ModelUnavailable'; readonly model: string; readonly message: string }
  | { readonly reason: 'InsufficientMemory'; readonly neededBytes: number; readonly freeBytes: number }
  | {
      readonly reason: 'DeadlineShorterThanWCET';
      readonly category: string;
      readonly wcetUs: number;
      readonly availableUs: number;
    }
  | { readonly reason: 'UtilizationExceeded'; readonly utilization: number; readonly bottleneck: string }
  | ({ readonly reason: 'DeadlineInfeasible' } & Misfit);

/** A plan, with those of the node's other devices that change along with it; or why there is none. */
export type Fit =
  { readonly plan: DevicePlan; readonly beside?: readonly DevicePlan[] } | { readonly refusal: Refusal };

export const emptyPlan = (device: Device): DevicePlan => ({
  device,
  categories: [],
  bestEffort: [],
  spare: [],
  utilization: 0,
  receiveUs: 0,
});

/** All whom the plan serves because they were admitted. */
export const placedOn = (plan: DevicePlan): Placed[] => [
  ...plan.categories.flatMap((category) => category.placed),
  ...plan.bestEffort,
];

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
  const asked = [model, shape.join('x'), request.class, periodUs, jitterUs, deadlineUs, streams, form].join();
  const refusals = refusalsOf(plan, beside);
  const known = refusals.get(asked);
  if (known !== undefined) return { refusal: known };
  const obstacle = obstacleOn(plan, request);
  const fit = obstacle === undefined ? added(plan, request, streams, beside) : { refusal: obstacle };
  if ('refusal' in fit) refusals.set(asked, fit.refusal);
  return fit;
}

function added(plan: DevicePlan, request: TenantRequest, streams: number, beside: readonly DevicePlan[]): Fit {
  const found = waysFor(plan, request, streams, beside);
  if ('refusal' in found) {
    // Who says what it sends comes before who does not say that it sends images at all.
    const lighter = request.frames === undefined ? plan : tensorsOnly(plan);
    if (lighter !== plan) return added(lighter, request, streams, beside);
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
  const least = Math.min(plan.receiveUs, ...beside.map(({ receiveUs }) => receiveUs));
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
    if ('plan' in fit) return beside.some((other) => other.receiveUs < receiveUs) ? undefined : fit;
  }
  return undefined;
}

/** The plan where receiving may take longer than before; the same where it need not. */
function receiving(plan: DevicePlan, receiveUs: number): Fit {
  if (plan.categories.length === 0 || receiveUs <= plan.receiveUs) return { plan };
  return planFor(plan.device, placedOn(plan), { ...plan, receiveUs });
}

/** The plan without images of tenants that did not say that they send any; the same where there are none. */
function tensorsOnly(plan: DevicePlan): DevicePlan {
  const undeclared = ({ request, decodeUs }: Placed): boolean => request.frames === undefined && decodeUs > 0;
  if (!plan.categories.some(({ placed }) => placed.some(undeclared))) return plan;
  const categories = plan.categories.map((category) => ({
    ...category,
    placed: category.placed.map((each) => (undeclared(each) ? { ...each, covered: {}, decodeUs: 0 } : each)),
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
  if (table === undefined) return { reason: 'ProfilePending', category: name };
  if (request.class === 'RealTime') {
    const availableUs = request.deadlineUs - (device.stages?.channelUs ?? 0);
    if (availableUs <= table.at(1))
      return { reason: 'DeadlineShorterThanWCET', category: name, wcetUs: table.at(1), availableUs };
  }
  return undefined;
}

/** The plan without a tenant that was admitted: always possible in the same table, since demand only shrinks. */
export function withoutTenant(plan: DevicePlan, key: string): DevicePlan {
  const rest = placedOn(plan).filter(({ request }) => tenantKey(request) !== key);
  const fit = planFor(plan.device, rest, plan);
  if ('plan' in fit) return fit.plan;
  // What is visited as before serves fewer frames all the better, whether the search finds that or not.
  return standing(plan, plan.device, ({ request }) => tenantKey(request) !== key);
}

/**
 * A plan for all of these together, or why there is none. How often categories of `before` are visited is kept where that
 * suffices, and whoever it serves in spare time as long as the model fits.
 */
export function planFor(device: Device, placed: readonly Placed[], before?: DevicePlan): Fit {
  const bestEffort = placed.filter(({ request }) => request.class === 'BestEffort');
  const groups = new Map<string, Placed[]>();
  for (const each of placed) {
    const name = nameOf(each);
    if (!device.tables.has(name)) return { refusal: { reason: 'ProfilePending', category: name } };
    if (each.request.class === 'RealTime') groups.set(name, [...(groups.get(name) ?? []), each]);
  }
  const short = memoryShortage(device, placed, before);
  if (short !== undefined) return { refusal: short };
  const receiveUs = groups.size === 0 ? 0 : (before?.receiveUs ?? 0);
  const late = tooLate(device, groups, receiveUs);
  if (late !== undefined) return { refusal: late };
  const demands = [...groups].map(([name, members]): Demand => {
    const category = before?.categories.find((each) => each.name === name);
    const wcet = device.tables.get(name)!;
    return { name, wcet, curve: curveOf(device, members, receiveUs, category?.demand), promised: category?.visit };
  });
  const choice = chooseRounds(demands);
  if ('misfit' in choice) return { refusal: refusalOf(demands, choice.misfit) };
  const visits = grown(demands, choice.visits);
  const categories = [...groups.values()].map((members, i): PlannedCategory => {
    const demand = demands[i]!;
    const { model, shape } = members[0]!.request;
    const rate = utilizationOf(demand, choice.visits[i]!.quota);
    return { name: demand.name, model, shape, visit: visits[i]!, rate, placed: members, demand };
  });
  const utilization = categories.reduce((sum, { rate }) => sum + rate, 0);
  const plan: DevicePlan = { device, categories, bestEffort, spare: [], utilization, receiveUs };
  return { plan: keepSpare(plan, before?.spare ?? []) };
}

/** A tenant whose deadline leaves less than one frame takes. */
function tooLate(
  device: Device,
  groups: ReadonlyMap<string, readonly Placed[]>,
  receiveUs: number,
): Refusal | undefined {
  for (const [category, members] of groups) {
    const wcetUs = device.tables.get(category)!.at(1);
    for (const member of members) {
      const availableUs = streamsOn(member, device, receiveUs).deadlineUs;
      if (availableUs <= wcetUs) return { reason: 'DeadlineShorterThanWCET', category, wcetUs, availableUs };
    }
  }
  return undefined;
}

/** The plan without some of its tenants, everything else as it was. */
export function standing(plan: DevicePlan, device: Device, stays: (placed: Placed) => boolean): DevicePlan {
  const categories = plan.categories
    .map((category) => ({ ...category, placed: category.placed.filter(stays), demand: undefined }))
    .filter(({ placed }) => placed.length > 0);
  return { ...plan, device, categories, bestEffort: plan.bestEffort.filter(stays) };
}

/** Whoever was served in spare time still is, as long as the models fit. */
function keepSpare(plan: DevicePlan, spare: readonly Placed[]): DevicePlan {
  const { tables, memoryBytes = Infinity } = plan.device;
  const served = spare.filter((each) => tables.has(nameOf(each)));
  if (memoryBytes === Infinity || bytesOf(plan.device, [...placedOn(plan), ...served]) <= memoryBytes)
    return { ...plan, spare: served };
  return served.reduce((all, each) => withSpare(all, each) ?? all, plan);
}

const nameOf = ({ request }: Placed): string => categoryName(request.model, request.shape);

const isSame = (a: Streams, b: Streams): boolean =>
  a.count === b.count && a.periodUs === b.periodUs && a.jitterUs === b.jitterUs && a.deadlineUs === b.deadlineUs;

/** The curve of a category's members; where they are those of before and one more, at the cost of that one. */
function curveOf(device: Device, members: readonly Placed[], receiveUs: number, before: Demand | undefined): DueCurve {
  const streams = members.map((each) => streamsOn(each, device, receiveUs));
  const known = before?.curve.streams ?? [];
  const same = known.length > 0 && known.every((each, i) => streams[i] !== undefined && isSame(each, streams[i]));
  if (same && known.length === streams.length) return before!.curve;
  return same && known.length === streams.length - 1 ? before!.curve.with(streams.at(-1)!) : new DueCurve(streams);
}

const bytesOf = (device: Device, placed: readonly Placed[]): number =>
  total(
    memoryFor(
      device.memoryOf,
      placed.map(({ request }) => request),
    ),
  );

function memoryShortage(
  device: Device,
  placed: readonly Placed[],
  before: DevicePlan | undefined,
): Refusal | undefined {
  const { memoryBytes } = device;
  const bytes = bytesOf(device, placed);
  const beforeBytes = before === undefined ? 0 : bytesOf(device, placedOn(before));
  if (memoryBytes === undefined || bytes <= memoryBytes || (bytes <= beforeBytes && before?.device === device))
    return undefined;
  return {
    reason: 'InsufficientMemory',
    neededBytes: bytes - beforeBytes,
    freeBytes: Math.max(0, memoryBytes - beforeBytes),
  };
}

/** The plan with a tenant that was not admitted, served in spare time; undefined when its model cannot be run beside the others'. */
export function withSpare(plan: DevicePlan, placed: Placed): DevicePlan | undefined {
  const { device } = plan;
  if (device.failures.has(placed.request.model) || !device.tables.has(nameOf(placed))) return undefined;
  const bytes = bytesOf(device, [...placedOn(plan), ...plan.spare, placed]);
  if (device.memoryBytes !== undefined && bytes > device.memoryBytes) return undefined;
  return { ...plan, spare: [...plan.spare, placed] };
}

/** The plan without a tenant that it serves in spare time only; the same plan when there is none. */
export function withoutSpare(plan: DevicePlan, key: string): DevicePlan {
  const spare = plan.spare.filter(({ request }) => tenantKey(request) !== key);
  return spare.length === plan.spare.length ? plan : { ...plan, spare };
}

/** The share of the device that a placed tenant was promised: its frames' part of its category's. */
export function shareOf(category: PlannedCategory, key: string): number {
  const rate = ({ request, streams }: Placed): number => streams / request.periodUs;
  const all = category.placed.reduce((sum, placed) => sum + rate(placed), 0);
  const own = category.placed
    .filter(({ request }) => tenantKey(request) === key)
    .reduce((sum, placed) => sum + rate(placed), 0);
  return (category.rate * own) / all;
}

function refusalOf(demands: readonly Demand[], misfit: Misfit): Refusal {
  const least = demands.map((demand) => ({ name: demand.name, share: leastUtilization(demand) }));
  const utilization = least.reduce((sum, { share }) => sum + share, 0);
  if (utilization < 1) return { reason: 'DeadlineInfeasible', ...misfit };
  const bottleneck = least.reduce((a, b) => (b.share > a.share ? b : a)).name;
  return { reason: 'UtilizationExceeded', utilization, bottleneck };
}
