import type { ResourceOf } from '../api/manifests.js';
import type { Offer } from '../sched/offer.js';
import { findOffer } from '../sched/offer.js';
import type { Device } from './device.js';
import { deviceKey } from './device.js';
import type { DevicePlan, Fit, Placed, Refusal } from './device-plan.js';
import { emptyPlan, placedOn, planFor, shareOf, withTenant, withoutTenant } from './device-plan.js';
import { explainOffer, explainRefusal, severity, summarizeRefusals } from './explain.js';
import type { TenantRequest } from './request.js';
import { categoryName, requestOf, sameRequest, tenantKey } from './request.js';

/** Everything that a decision may depend on. Tenants come in the order in which they are to be decided. */
export interface Snapshot {
  readonly models: ReadonlyMap<string, ResourceOf<'InferenceModel'>>;
  /** Models that no node could load, with why. */
  readonly unavailable?: ReadonlyMap<string, string>;
  readonly devices: readonly Device[];
  readonly tenants: readonly ResourceOf<'InferenceTenant'>[];
  /** What was promised before; decisions are sticky. */
  readonly promised?: readonly DevicePlan[];
}

export type Reason =
  'Admitted' | 'ModelNotFound' | 'ModelUnavailable' | 'ShapeNotOffered' | 'NoEligibleNode' | Refusal['reason'];

export interface Placement {
  readonly node: string;
  readonly device: number;
  readonly streams: number;
  readonly category: string;
  readonly windowUs: number;
  readonly windowOffsetUs: number;
  readonly relativeDeadlineUs: number;
}

/** The answer to one tenant. */
export interface Verdict {
  readonly namespace: string;
  readonly name: string;
  readonly admitted: boolean;
  readonly reason: Reason;
  readonly message: string;
  /** Share of a device that was promised to the tenant. */
  readonly utilization: number;
  readonly placements: readonly Placement[];
  readonly offer?: Offer;
}

export interface Decision {
  readonly plans: readonly DevicePlan[];
  readonly verdicts: readonly Verdict[];
}

/**
 * Decides on all tenants of a snapshot: those already promised keep their place, the others are tried in their order.
 * Pure; the outcome is a value.
 */
export function decide(snapshot: Snapshot): Decision {
  const requests = snapshot.tenants.map(requestOf);
  const cluster = new Cluster(snapshot, new Map(requests.map((request) => [tenantKey(request), request])));
  const refusals = new Map<string, { reason: Reason; message: string; offer?: Offer }>();
  for (const request of requests) {
    const refusal = cluster.admit(request, snapshot);
    if (refusal !== undefined) refusals.set(tenantKey(request), refusal);
  }
  const plans = cluster.plans();
  return { plans, verdicts: requests.map((request) => verdictOf(request, plans, refusals.get(tenantKey(request)))) };
}

/** The plans of all devices while a decision is being made. */
class Cluster {
  readonly #plans: Map<string, DevicePlan>;

  constructor({ devices, promised = [] }: Snapshot, wanted: ReadonlyMap<string, TenantRequest>) {
    const before = new Map(promised.map((plan) => [deviceKey(plan.device), plan]));
    this.#plans = new Map(
      devices.map((device) => [deviceKey(device), keptPlan(device, before.get(deviceKey(device)), wanted)]),
    );
  }

  plans(): DevicePlan[] {
    return [...this.#plans.values()];
  }

  /** Places a tenant, or says why not. One that has its place and asks for nothing new is left alone. */
  admit(
    request: TenantRequest,
    catalogue: Pick<Snapshot, 'models' | 'unavailable'>,
  ): { reason: Reason; message: string; offer?: Offer } | undefined {
    const key = tenantKey(request);
    const held = this.plans()
      .flatMap(placedOn)
      .filter((placed) => tenantKey(placed.request) === key);
    if (held.length > 0 && held.every((placed) => sameRequest(placed.request, request))) return undefined;

    const unknown = checkModel(request, catalogue);
    if (unknown !== undefined) return held.length > 0 ? goesOn(unknown) : unknown;

    const before = new Map(this.#plans);
    // A changed tenant gives its place back for the attempt; if the new request does not fit, the old promise stands.
    if (held.length > 0) for (const [name, plan] of this.#plans) this.#plans.set(name, withoutTenant(plan, key));
    const refusals = request.allowSplit ? this.#placeSplit(request) : this.#placeWhole(request);
    if (refusals === undefined) return undefined;
    const refusal = this.#explain(request, refusals);
    this.#plans.clear();
    for (const [name, plan] of before) this.#plans.set(name, plan);
    return held.length > 0 ? goesOn(refusal) : refusal;
  }

  #placeWhole(request: TenantRequest): { node: string; refusal: Refusal }[] | undefined {
    const fits = this.plans().map((plan) => ({ plan, fit: withTenant(plan, request, request.streams) }));
    const chosen = choose(request, fits);
    if (chosen !== undefined) {
      this.#plans.set(deviceKey(chosen.device), chosen);
      return undefined;
    }
    return fits.flatMap(({ plan, fit }) =>
      'refusal' in fit ? [{ node: plan.device.node, refusal: fit.refusal }] : [],
    );
  }

  /** Fills device after device with as many streams as fit. Leaves a partial placement behind when not all do. */
  #placeSplit(request: TenantRequest): { node: string; refusal: Refusal }[] | undefined {
    let left = request.streams;
    const refusals: { node: string; refusal: Refusal }[] = [];
    for (const plan of ordered(request, this.plans())) {
      let fitting: DevicePlan | undefined;
      let low = 0;
      for (let above = left + 1; above - low > 1;) {
        const middle = low === 0 && above === left + 1 ? left : Math.floor((low + above) / 2);
        const fit = withTenant(plan, request, middle);
        if ('plan' in fit) [low, fitting] = [middle, fit.plan];
        else {
          above = middle;
          if (middle === 1) refusals.push({ node: plan.device.node, refusal: fit.refusal });
        }
      }
      if (fitting === undefined) continue;
      this.#plans.set(deviceKey(fitting.device), fitting);
      left -= low;
      if (left === 0) return undefined;
    }
    // Nodes that took some streams could not take all.
    for (const plan of this.plans()) {
      if (refusals.some(({ node }) => node === plan.device.node)) continue;
      const fit = withTenant(plan, request, left);
      if ('refusal' in fit) refusals.push({ node: plan.device.node, refusal: fit.refusal });
    }
    return refusals;
  }

  #explain(
    request: TenantRequest,
    refusals: readonly { node: string; refusal: Refusal }[],
  ): { reason: Reason; message: string; offer?: Offer } {
    if (refusals.length === 0)
      return { reason: 'NoEligibleNode', message: 'no device has been profiled yet; start an agent or give a profile' };
    const closest = [...refusals].sort(
      (a, b) => rank(a.refusal) - rank(b.refusal) || severity(a.refusal) - severity(b.refusal),
    )[0]!;
    const reason = closest.refusal.reason;
    const summary =
      refusals.length === 1 ? `${closest.node}: ${explainRefusal(closest.refusal)}` : summarizeRefusals(refusals);
    if (reason === 'ProfilePending') return { reason, message: summary };

    const offer = findOffer(
      {
        count: request.streams,
        periodUs: request.periodUs,
        jitterUs: request.jitterUs,
        deadlineUs: request.deadlineUs,
      },
      ({ count, periodUs, jitterUs, deadlineUs }) =>
        this.plans().some((plan) => 'plan' in withTenant(plan, { ...request, periodUs, jitterUs, deadlineUs }, count)),
    );
    const alone = this.plans().some((plan) => 'plan' in withTenant(emptyPlan(plan.device), request, request.streams));
    const outlook = alone
      ? 'it may fit when other tenants leave'
      : `it would not fit on ${refusals.length === 1 ? 'this node' : 'any of these nodes'} even alone`;
    return { reason, message: `${summary}; ${outlook}; ${explainOffer(offer)}`, offer };
  }
}

/** What of an earlier promise still holds on a device: all of it, unless its profile changed for the worse. */
function keptPlan(
  device: Device,
  before: DevicePlan | undefined,
  wanted: ReadonlyMap<string, TenantRequest>,
): DevicePlan {
  if (before === undefined) return emptyPlan(device);
  const kept: Placed[] = placedOn(before).filter(({ request }) => wanted.has(tenantKey(request)));
  if (
    before.device === device &&
    kept.length === placedOn(before).length &&
    before.categories.every(({ rate, class: c }) => rate > 0 || c === 'BestEffort')
  )
    return before;
  const all = planFor(device, kept, before);
  if ('plan' in all) return all.plan;
  let plan = emptyPlan(device);
  for (const { request, streams } of kept) {
    const fit = withTenant(plan, request, streams);
    if ('plan' in fit) plan = fit.plan;
  }
  return plan;
}

function checkModel(
  request: TenantRequest,
  { models, unavailable }: Pick<Snapshot, 'models' | 'unavailable'>,
): { reason: Reason; message: string } | undefined {
  const model = models.get(request.model);
  if (model === undefined)
    return {
      reason: 'ModelNotFound',
      message: `there is no InferenceModel "${request.model}"; apply it, or correct spec.modelRef.name`,
    };
  const wanted = request.shape.join('x');
  const offered = model.spec.shapes.map((shape) => shape.join('x'));
  if (!offered.includes(wanted))
    return {
      reason: 'ShapeNotOffered',
      message: `InferenceModel "${request.model}" does not offer ${wanted}; spec.inputShape must be one of ${offered.join(', ')}`,
    };
  const failure = unavailable?.get(request.model);
  return failure === undefined ? undefined : { reason: 'ModelUnavailable', message: failure };
}

function goesOn<T extends { message: string }>(refusal: T): T {
  return { ...refusal, message: `the changed request is not admitted (${refusal.message}); the one before goes on` };
}

/** Pack takes the fullest device that still fits, Spread the emptiest. */
function choose(request: TenantRequest, fits: readonly { plan: DevicePlan; fit: Fit }[]): DevicePlan | undefined {
  const possible = fits.flatMap(({ plan, fit }) => ('plan' in fit ? [{ before: plan, after: fit.plan }] : []));
  const first = ordered(
    request,
    possible.map(({ before }) => before),
  )[0];
  return possible.find(({ before }) => before === first)?.after;
}

function ordered(request: TenantRequest, plans: readonly DevicePlan[]): DevicePlan[] {
  const direction = request.strategy === 'Pack' && request.class === 'RealTime' ? -1 : 1;
  return [...plans].sort((a, b) => direction * (a.utilization - b.utilization));
}

/** Which of several nodes' reasons is the tenant's: the one closest to being admitted. */
function rank(refusal: Refusal): number {
  return ['DeadlineInfeasible', 'UtilizationExceeded', 'ProfilePending', 'DeadlineShorterThanWCET'].indexOf(
    refusal.reason,
  );
}

function verdictOf(
  request: TenantRequest,
  plans: readonly DevicePlan[],
  refusal: { reason: Reason; message: string; offer?: Offer } | undefined,
): Verdict {
  const { namespace, name } = request;
  const key = tenantKey(request);
  let utilization = 0;
  const placements: Placement[] = [];
  for (const plan of plans)
    for (const category of plan.categories)
      for (const placed of category.placed) {
        if (tenantKey(placed.request) !== key) continue;
        utilization += shareOf(category, key);
        placements.push({
          node: plan.device.node,
          device: plan.device.device,
          streams: placed.streams,
          category: categoryName(category.model, category.shape),
          windowUs: category.windowUs,
          windowOffsetUs: 0,
          relativeDeadlineUs: category.relativeDeadlineUs,
        });
      }
  const admitted = placements.length > 0;
  const where = placements
    .map(({ node, streams, windowUs }) =>
      request.class === 'BestEffort'
        ? `${streams} on ${node} as best effort`
        : `${streams} on ${node} with a window of ${(windowUs / 1000).toFixed(1)}ms`,
    )
    .join(', ');
  return {
    namespace,
    name,
    admitted,
    reason: refusal?.reason ?? 'Admitted',
    message: refusal?.message ?? `streams: ${where}`,
    utilization,
    placements,
    ...(refusal?.offer === undefined ? {} : { offer: refusal.offer }),
  };
}
