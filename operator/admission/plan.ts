import type { Covered } from '../../api/frames.js';
import type { Demand, Visit } from '../../sched/rounds.js';
import type { Device } from './device.js';
import type { Refusal } from './refusal.js';
import type { TenantRequest } from './request.js';

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

/** The plan with others who may send a tenant's frames. */
export function withSenders(plan: DevicePlan, key: string, senders: TenantRequest['senders']): DevicePlan {
  const changed = (all: readonly Placed[]): Placed[] =>
    all.map((placed) => (placed.request.key === key ? { ...placed, request: { ...placed.request, senders } } : placed));
  return {
    ...plan,
    categories: plan.categories.map((category) => ({ ...category, placed: changed(category.placed) })),
    bestEffort: changed(plan.bestEffort),
    spare: changed(plan.spare),
  };
}

/** The share of the device that a placed tenant was promised: its frames' part of its category's. */
export function shareOf(category: PlannedCategory, key: string): number {
  const rate = ({ request, streams }: Placed): number => streams / request.periodUs;
  const all = category.placed.reduce((sum, placed) => sum + rate(placed), 0);
  const own = category.placed
    .filter(({ request }) => request.key === key)
    .reduce((sum, placed) => sum + rate(placed), 0);
  return (category.rate * own) / all;
}
