import { ingestUsOf } from '../../api/ingest.js';
import type { Streams } from '../../sched/category.js';
import { frameRate } from '../../sched/category.js';
import { DueCurve } from '../../sched/curve.js';
import { memoryFor, total } from '../../sched/memory.js';
import type { Demand, Misfit, Visit } from '../../sched/rounds.js';
import { chooseRounds, grown, leastUtilization, utilizationOf } from '../../sched/rounds.js';
import type { Device } from './device.js';
import type { TenantRequest } from './request.js';
import type { NodeRefusal } from './node.js';
import { categoryName, streamsOn, tenantKey } from './request.js';

/** Streams of a tenant that a device serves; possibly not all of them. */
export interface Placed {
  readonly request: TenantRequest;
  readonly streams: number;
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
}

/** Why a device cannot take a tenant, as data. */
export type Refusal =
  | NodeRefusal
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

export type Fit = { readonly plan: DevicePlan } | { readonly refusal: Refusal };

export const emptyPlan = (device: Device): DevicePlan => ({
  device,
  categories: [],
  bestEffort: [],
  spare: [],
  utilization: 0,
});

/** All whom the plan serves because they were admitted. */
export const placedOn = (plan: DevicePlan): Placed[] => [
  ...plan.categories.flatMap((category) => category.placed),
  ...plan.bestEffort,
];

/** Refusals stay what they are as long as the plan does, and many tenants ask for the same. */
const refused = new WeakMap<DevicePlan, Map<string, Refusal>>();

/** The plan with these streams added, or why not. */
export function withTenant(plan: DevicePlan, request: TenantRequest, streams: number): Fit {
  const { model, shape, periodUs, jitterUs, deadlineUs } = request;
  const asked = [model, shape.join('x'), request.class, periodUs, jitterUs, deadlineUs, streams].join();
  const known = refused.get(plan)?.get(asked);
  if (known !== undefined) return { refusal: known };
  const obstacle = obstacleOn(plan, request);
  const fit =
    obstacle === undefined
      ? planFor(plan.device, [...placedOn(plan), { request, streams }], plan)
      : { refusal: obstacle };
  if ('refusal' in fit) {
    const all = refused.get(plan) ?? new Map<string, Refusal>();
    refused.set(plan, all.set(asked, fit.refusal));
  }
  return fit;
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
    const availableUs = request.deadlineUs - ingestUsOf(device.ingest, request.encoding);
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
  const known = before?.device === device ? before : undefined;
  const demands = [...groups].map(([name, members]): Demand => {
    const category = before?.categories.find((each) => each.name === name);
    const wcet = device.tables.get(name)!;
    return { name, wcet, curve: curveOf(device, members, known, name), promised: category?.visit };
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
  const plan: DevicePlan = { device, categories, bestEffort, spare: [], utilization };
  return { plan: keepSpare(plan, before?.spare ?? []) };
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

/** The curve of a category's members; where they are those of before and one more, at the cost of that one. */
function curveOf(device: Device, members: readonly Placed[], known: DevicePlan | undefined, name: string): DueCurve {
  const asStreams = ({ request, streams }: Placed): Streams => streamsOn(request, streams, device.ingest);
  const before = known?.categories.find((each) => each.name === name);
  const same = before?.demand !== undefined && before.placed.every((each, i) => each === members[i]);
  if (same && before.placed.length === members.length) return before.demand.curve;
  if (same && before.placed.length === members.length - 1) return before.demand.curve.with(asStreams(members.at(-1)!));
  return new DueCurve(members.map(asStreams));
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
  const rate = ({ request, streams }: Placed): number => frameRate([streamsOn(request, streams, {})]);
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
