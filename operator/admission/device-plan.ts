import { categoryName } from '../../api/names.js';
import type { Streams } from '../../sched/category.js';
import { DueCurve } from '../../sched/curve.js';
import { memoryFor, total } from '../../sched/memory.js';
import type { Demand, Misfit } from '../../sched/rounds.js';
import { chooseRounds, grown, leastUtilization, utilizationOf } from '../../sched/rounds.js';
import type { Device } from './device.js';
import type { DevicePlan, Fit, Placed, PlannedCategory } from './plan.js';
import { placedOn } from './plan.js';
import type { Refusal } from './refusal.js';
import { streamsOn } from './stages.js';

/** The plan without a tenant that was admitted: always possible in the same table, since demand only shrinks. */
export function withoutTenant(plan: DevicePlan, key: string): DevicePlan {
  const rest = placedOn(plan).filter(({ request }) => request.key !== key);
  const fit = planFor(plan.device, rest, plan);
  if ('plan' in fit) return fit.plan;
  // What is visited as before serves fewer frames all the better, whether the search finds that or not.
  return standing(plan, plan.device, ({ request }) => request.key !== key);
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
    if (!device.tables.has(name)) return { refusal: pending(device, name, each.request.model) };
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

/** A category that was not measured, beside those of its model that were: one of them may be what was meant. */
export function pending(device: Device, category: string, model: string): Refusal {
  const measured = [...device.tables.keys()].filter((name) => name.startsWith(`${model}@`)).join(', ');
  return { reason: 'ProfilePending', category, ...(measured === '' ? {} : { measured }) };
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

/** The memory that the models of these tenants take of a device. */
export const bytesOf = (device: Device, placed: readonly Placed[]): number =>
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
  const { memoryBytes = Infinity } = device;
  if (memoryBytes === Infinity) return undefined;
  const bytes = bytesOf(device, placed);
  if (bytes <= memoryBytes) return undefined;
  const beforeBytes = before === undefined ? 0 : bytesOf(device, placedOn(before));
  if (bytes <= beforeBytes && before?.device === device) return undefined;
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
  const { memoryBytes = Infinity } = device;
  if (memoryBytes < Infinity && bytesOf(device, [...placedOn(plan), ...plan.spare, placed]) > memoryBytes)
    return undefined;
  return { ...plan, spare: [...plan.spare, placed] };
}

/** The plan without a tenant that it serves in spare time only; the same plan when there is none. */
export function withoutSpare(plan: DevicePlan, key: string): DevicePlan {
  const spare = plan.spare.filter(({ request }) => request.key !== key);
  return spare.length === plan.spare.length ? plan : { ...plan, spare };
}

function refusalOf(demands: readonly Demand[], misfit: Misfit): Refusal {
  const least = demands.map((demand) => ({ name: demand.name, share: leastUtilization(demand) }));
  const utilization = least.reduce((sum, { share }) => sum + share, 0);
  if (utilization < 1) return { reason: 'DeadlineInfeasible', ...misfit };
  const bottleneck = least.reduce((a, b) => (b.share > a.share ? b : a)).name;
  return { reason: 'UtilizationExceeded', utilization, bottleneck };
}
