import { frameRate, shortestDeadlineUs } from '../../sched/category.js';
import type { DemandVerdict } from '../../sched/demand.js';
import { memoryFor, total } from '../../sched/memory.js';
import type { WindowChoice } from '../../sched/windows.js';
import { chooseWindows } from '../../sched/windows.js';
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
  readonly class: 'RealTime' | 'BestEffort';
  /** 0 for best effort, which knows no windows. */
  readonly windowUs: number;
  readonly relativeDeadlineUs: number;
  /** Long-run share of the device that the category was promised. */
  readonly rate: number;
  readonly placed: readonly Placed[];
}

/** What a device was promised to. Always accepted by the demand test. */
export interface DevicePlan {
  readonly device: Device;
  readonly categories: readonly PlannedCategory[];
  readonly bestEffortUs: number;
  /** Admitted utilization: the long-run demand of all real-time categories. */
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
  | {
      readonly reason: 'DeadlineInfeasible';
      readonly utilization: number;
      readonly late: string;
      readonly lateByUs: number;
      readonly atUs: number;
      readonly bottleneck: string;
    };

export type Fit = { readonly plan: DevicePlan } | { readonly refusal: Refusal };

export const emptyPlan = (device: Device): DevicePlan => ({ device, categories: [], bestEffortUs: 0, utilization: 0 });

/** All that the plan serves. */
export const placedOn = (plan: DevicePlan): Placed[] => plan.categories.flatMap((category) => category.placed);

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
    const availableUs = request.deadlineUs - device.ingestUs;
    if (availableUs <= table.at(1))
      return { reason: 'DeadlineShorterThanWCET', category: name, wcetUs: table.at(1), availableUs };
  }
  return undefined;
}

/** The plan without a tenant: always possible, since demand only shrinks. */
export function withoutTenant(plan: DevicePlan, key: string): DevicePlan {
  const rest = placedOn(plan).filter(({ request }) => tenantKey(request) !== key);
  const fit = planFor(plan.device, rest, plan);
  if ('refusal' in fit) throw new Error(`removing ${key} made the rest infeasible: ${JSON.stringify(fit.refusal)}`);
  return fit.plan;
}

/** A plan for all of these together, or why there is none. Windows of `before` are kept where that suffices. */
export function planFor(device: Device, placed: readonly Placed[], before?: DevicePlan): Fit {
  const groups = new Map<string, Placed[]>();
  for (const each of placed) {
    const name = `${categoryName(each.request.model, each.request.shape)}${each.request.class === 'BestEffort' ? '/besteffort' : ''}`;
    groups.set(name, [...(groups.get(name) ?? []), each]);
  }
  const realTime: { name: string; placed: Placed[] }[] = [];
  const bestEffort: { name: string; placed: Placed[] }[] = [];
  let chunkUs = 0;
  for (const [name, members] of groups) {
    const { request } = members[0]!;
    const table = device.tables.get(categoryName(request.model, request.shape));
    if (table === undefined) return { refusal: { reason: 'ProfilePending', category: name } };
    if (request.class === 'BestEffort') {
      bestEffort.push({ name, placed: members });
      chunkUs = Math.max(chunkUs, table.at(1));
    } else realTime.push({ name, placed: members });
  }
  const { memoryBytes } = device;
  const bytes = total(
    memoryFor(
      device.memoryOf,
      [...groups.values()].map(([first]) => first!.request),
    ),
  );
  const beforeBytes = before === undefined ? 0 : total(memoryFor(device.memoryOf, before.categories));
  if (memoryBytes !== undefined && bytes > memoryBytes && (bytes > beforeBytes || before?.device !== device))
    return {
      refusal: {
        reason: 'InsufficientMemory',
        neededBytes: bytes - beforeBytes,
        freeBytes: Math.max(0, memoryBytes - beforeBytes),
      },
    };
  const requests = realTime.map(({ name, placed: members }) => ({
    name,
    wcet: device.tables.get(name)!,
    streams: members.map(({ request, streams }) => streamsOn(request, streams, device.ingestUs)),
    promisedWindowUs: before?.categories.find((category) => category.name === name)?.windowUs,
  }));
  // Best effort may block real-time work where there is room for that; where not, it waits for gaps that hold it.
  let bestEffortUs = chunkUs;
  let choice = chooseWindows(requests, bestEffortUs);
  if (!choice.verdict.accepted && chunkUs > 0) {
    bestEffortUs = 0;
    choice = chooseWindows(requests, 0);
  }
  if (!choice.verdict.accepted) return { refusal: refusalOf(choice) };
  return {
    plan: {
      device,
      bestEffortUs,
      utilization: choice.verdict.rate,
      categories: [
        ...realTime.map(({ name, placed: members }, i) => ({
          name,
          model: members[0]!.request.model,
          shape: members[0]!.request.shape,
          class: 'RealTime' as const,
          windowUs: choice.windowsUs[i]!,
          relativeDeadlineUs: shortestDeadlineUs(requests[i]!.streams) - choice.windowsUs[i]!,
          rate: choice.demands[i]!.rate,
          placed: members,
        })),
        ...bestEffort.map(({ name, placed: members }) => ({
          name,
          model: members[0]!.request.model,
          shape: members[0]!.request.shape,
          class: 'BestEffort' as const,
          windowUs: 0,
          relativeDeadlineUs: 0,
          rate: 0,
          placed: members,
        })),
      ],
    },
  };
}

/** The share of the device that a placed tenant was promised: its frames' part of its category's. */
export function shareOf(category: PlannedCategory, key: string): number {
  const rate = ({ request, streams }: Placed): number => frameRate([streamsOn(request, streams, 0)]);
  const all = category.placed.reduce((sum, placed) => sum + rate(placed), 0);
  const own = category.placed
    .filter(({ request }) => tenantKey(request) === key)
    .reduce((sum, placed) => sum + rate(placed), 0);
  return (category.rate * own) / all;
}

function refusalOf({ verdict, leastUtilization, demands }: WindowChoice): Refusal {
  const critical = criticalOf(verdict);
  const largest = demands.reduce((a, b) => (b.rate > a.rate ? b : a)).name;
  if (leastUtilization >= 1)
    return { reason: 'UtilizationExceeded', utilization: leastUtilization, bottleneck: largest };
  if (verdict.rate >= 1) return { reason: 'UtilizationExceeded', utilization: verdict.rate, bottleneck: largest };
  return {
    reason: 'DeadlineInfeasible',
    utilization: verdict.rate,
    late: critical.late,
    lateByUs: Math.max(0, critical.demandUs - critical.atUs),
    atUs: critical.atUs,
    bottleneck: critical.bottleneck,
  };
}

function criticalOf(verdict: DemandVerdict): NonNullable<DemandVerdict['critical']> {
  if (verdict.critical === undefined) throw new Error('a refused set has a critical interval');
  return verdict.critical;
}
