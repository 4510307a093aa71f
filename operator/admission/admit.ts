import { formatDurationUs } from '../../api/duration.js';
import { coverageText, smallerFrames } from '../../api/frames.js';
import type { ResourceOf } from '../../api/manifests.js';
import { shapeText, categoryName } from '../../api/names.js';
import { findOffer } from '../../sched/offer.js';
import { withTenant } from './adding.js';
import type { DevicePlan, Placed } from './device-plan.js';
import {
  emptyPlan,
  placedOn,
  planFor,
  shareOf,
  standing,
  withSpare,
  withoutSpare,
  withoutTenant,
} from './device-plan.js';
import type { Device } from './device.js';
import { deviceKey } from './device.js';
import type { FullOffer, NodeAnswer } from './explain.js';
import { byCloseness, explainOffer, explainRefusal, isNodeRefusal, summarizeRefusals } from './explain.js';
import type { NodeInfo } from './node.js';
import { evicts, objection } from './node.js';
import type { Preemption } from './preempt.js';
import { makeRoom } from './preempt.js';
import type { TenantRequest } from './request.js';
import { defaultJitterUs, sameRequest } from './request.js';
import { stagesFor } from './stages.js';

/** Everything that a decision may depend on. */
export interface Snapshot {
  readonly models: ReadonlyMap<string, ResourceOf<'InferenceModel'>>;
  readonly devices: readonly Device[];
  /** Nodes by name; one that is not told of is taken to be ready, without labels or taints. */
  readonly nodes?: ReadonlyMap<string, NodeInfo>;
  /** What all tenants ask for, in the order in which they are to be decided. */
  readonly requests: readonly TenantRequest[];
  /** What was promised before; decisions are sticky. */
  readonly promised?: readonly DevicePlan[];
  /** Devices on which tenants were told to be served: one whose record was lost goes back where it was, if it can. */
  readonly told?: ReadonlyMap<string, ReadonlySet<string>>;
  /** Keys of the tenants to decide on; all that have no place, or ask for something new, when absent. */
  readonly due?: ReadonlySet<string>;
  /** How the decision before left everybody, if nothing but the tenants that are due has changed since: what it costs then depends on them. */
  readonly settled?: Settled;
}

/** Reasons of the Admitted condition. */
export type Reason =
  | 'Admitted'
  | 'ModelNotFound'
  | 'PriorityClassNotFound'
  | 'PriorityClassForbidden'
  | 'ModelUnavailable'
  | 'ShapeNotOffered'
  | 'NoEligibleNode'
  | 'ProfilePending'
  | 'DeadlineShorterThanWCET'
  | 'DeadlineInfeasible'
  | 'UtilizationExceeded'
  | 'InsufficientMemory'
  | 'ReceiveExceeded'
  | 'DecodeExceeded'
  | 'Preempted'
  | 'DecisionFailed'
  | 'NodeLost';

export interface Placement {
  readonly node: string;
  readonly device: number;
  readonly streams: number;
  readonly category: string;
  /** Whether its frames were promised to be in time; otherwise they are served in spare time. */
  readonly promised: boolean;
  /** The device turns to the category at least this often while frames wait, for at most so many promised frames. */
  readonly gapUs?: number;
  readonly quota?: number;
  /** Whether at most 0.1 % of its promised frames may be late, rather than none. */
  readonly softly?: boolean;
  /** Which frames the promise covers, in a few words. */
  readonly covers?: string;
}

/** The answer to one tenant. */
export interface Verdict {
  readonly namespace: string;
  readonly name: string;
  /** Whether what it asks for now is promised. */
  readonly admitted: boolean;
  /** What is promised all the same: what it asked for before it was changed. */
  readonly stands?: string;
  readonly reason: Reason;
  readonly message: string;
  /** Share of a device that was promised to the tenant. */
  readonly utilization: number;
  readonly placements: readonly Placement[];
  /** What is promised now; after a refused change, what was promised before. */
  readonly promised?: string;
  /** Each node's own reason. */
  readonly refusals?: readonly NodeReason[];
  readonly offer?: FullOffer;
}

export interface NodeReason {
  readonly node: string;
  readonly reason: string;
  readonly message: string;
}

export interface Decision {
  readonly plans: readonly DevicePlan[];
  /** One for each tenant that was decided on or whose place, window or share changed, in the order of the requests. */
  readonly verdicts: readonly Verdict[];
  readonly settled: Settled;
}

interface Answer {
  readonly reason: Reason;
  readonly message: string;
  readonly refusals?: readonly NodeReason[];
  readonly offer?: FullOffer;
}

/** What others that leave make room for. */
const PREEMPTABLE: readonly string[] = [
  'UtilizationExceeded',
  'DeadlineInfeasible',
  'InsufficientMemory',
  'ReceiveExceeded',
  'DecodeExceeded',
];

/** Offers are searched on the emptiest devices only: what fits nowhere there hardly fits elsewhere. */
const OFFER_DEVICES = 3;
/** The nodes closest to admitting are told of. */
const MOST_REFUSALS = 16;

/**
 * Decides on the tenants of a snapshot: those already promised keep their place, the others are tried in their order.
 * Pure; the outcome is a value.
 */
export function decide(snapshot: Snapshot): Decision {
  const placing = new Placing(snapshot);
  const answers = new Map<string, Answer>();
  const decided = new Set<string>();
  for (const request of snapshot.requests) {
    const key = request.key;
    const displaced = placing.displaced.get(key);
    if (snapshot.due !== undefined && !snapshot.due.has(key) && displaced === undefined) continue;
    decided.add(key);
    const answer = placing.attempt(request);
    if (answer === undefined) continue;
    // Who was driven out is told by whom; that nothing else fits is the rest of the message.
    answers.set(key, {
      ...answer,
      ...(displaced?.reason === undefined ? {} : { reason: displaced.reason }),
      message: displaced === undefined ? answer.message : `${displaced.message}; ${answer.message}`,
    });
  }
  for (const request of snapshot.requests) if (answers.has(request.key)) placing.serveInSpareTime(request);
  const plans = placing.plans();
  const before = new Map((snapshot.promised ?? []).map((plan) => [deviceKey(plan.device), plan]));
  const changed = plans.filter((plan) => before.get(deviceKey(plan.device)) !== plan);
  // Whoever was not admitted is told so when it is decided on again.
  for (const { request } of changed.flatMap(placedOn)) decided.add(request.key);
  return {
    plans,
    settled: placing,
    verdicts: snapshot.requests
      .filter((request) => decided.has(request.key))
      .map((request) => verdictOf(request, placing, answers.get(request.key))),
  };
}

/** A tenant's streams on one device. */
interface Held {
  readonly plan: DevicePlan;
  readonly placed: Placed;
}

/** Where everybody is after a decision; a value that nobody changes any more. */
export interface Settled {
  plans(): readonly DevicePlan[];
}

/** The plans of all devices while a decision is being made. */
class Placing implements Settled {
  /** Tenants that lost their place in this decision, and why. */
  readonly displaced = new Map<string, { readonly reason?: Reason; readonly message: string }>();
  readonly #snapshot: Snapshot;
  #byKey: ReadonlyMap<string, TenantRequest> | undefined;
  readonly #plans: Map<string, DevicePlan>;
  /** What plans were before they were replaced, the oldest first. */
  readonly #replaced: DevicePlan[] = [];
  /** Which devices serve a tenant. */
  readonly #where: Map<string, ReadonlySet<string>>;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
    const { settled } = snapshot;
    this.#plans = new Map(settled instanceof Placing ? settled.#plans : []);
    this.#where = new Map(settled instanceof Placing ? settled.#where : []);
    if (settled === undefined) this.#settle();
  }

  /** Starts from what was promised: finds out of it what still holds. */
  #settle(): void {
    const snapshot = this.#snapshot;
    const rank = new Map(snapshot.requests.map((request, i) => [request.key, i]));
    const promised = new Map((snapshot.promised ?? []).map((plan) => [deviceKey(plan.device), plan]));
    const surplus = this.#surplus([...promised.values()]);
    const onNode = Map.groupBy(promised.values(), ({ device }) => device.node);
    for (const device of snapshot.devices) {
      const before = promised.get(deviceKey(device)) ?? emptyPlan(device);
      const stays = (placed: Placed): boolean =>
        rank.has(placed.request.key) && !surplus.has(placed) && !this.#evicted(device, placed);
      const beside = (onNode.get(device.node) ?? []).filter(({ device: other }) => other.device !== device.device);
      const plan = keptPlan(device, before, stays, ({ request }) => rank.get(request.key)!, beside);
      this.#set(
        plan.spare.every(({ request }) => rank.has(request.key))
          ? plan
          : { ...plan, spare: plan.spare.filter(({ request }) => rank.has(request.key)) },
      );
      const kept = new Set(placedOn(plan).map(({ request }) => request.key));
      for (const placed of placedOn(before)) {
        const key = placed.request.key;
        if (kept.has(key) || surplus.has(placed) || !rank.has(key)) continue;
        this.displaced.set(key, {
          message: this.#evicted(device, placed)
            ? `driven out of ${device.node} by a NoExecute taint`
            : `${device.node} cannot keep its promise any more: its profile has changed`,
        });
      }
      promised.delete(deviceKey(device));
    }
    for (const plan of promised.values())
      for (const { request } of placedOn(plan))
        if (rank.has(request.key))
          this.displaced.set(request.key, {
            reason: 'NodeLost',
            message: `${nameOf(plan.device, snapshot)} is gone`,
          });
  }

  get #requests(): ReadonlyMap<string, TenantRequest> {
    this.#byKey ??= new Map(this.#snapshot.requests.map((request) => [request.key, request]));
    return this.#byKey;
  }

  plans(): DevicePlan[] {
    return [...this.#plans.values()];
  }

  held(key: string): Held[] {
    return [...(this.#where.get(key) ?? [])].map((device) => {
      const plan = this.#plans.get(device)!;
      return { plan, placed: placedOn(plan).find(({ request }) => request.key === key)! };
    });
  }

  /** Where a tenant that was not admitted is served in spare time. */
  spareOf(key: string): Held[] {
    return this.plans().flatMap((plan) =>
      plan.spare.filter(({ request }) => request.key === key).map((placed) => ({ plan, placed })),
    );
  }

  /** Gives a tenant without a place whatever time is left: where it had that before, else where most of it is. */
  serveInSpareTime(request: TenantRequest): void {
    const key = request.key;
    const wanted =
      request.beyondPromise === 'Serve' &&
      this.held(key).length === 0 &&
      this.#checkModel(request, this.spareOf(key).length > 0) === undefined;
    const { plans } = this.#eligible({ ...request, strategy: 'Spread' }, new Set());
    const [known] = this.spareOf(key);
    if (wanted && known !== undefined && sameRequest(known.placed.request, request) && plans.includes(known.plan))
      return;
    for (const { plan } of this.spareOf(key)) this.#set(withoutSpare(plan, key));
    if (!wanted) return;
    for (const plan of plans) {
      const served = withSpare(plan, { request, streams: request.streams, covered: request.frames ?? {}, decodeUs: 0 });
      if (served === undefined) continue;
      this.#set(served);
      return;
    }
  }

  /** The same as `admit`, but that a fault of ours costs nobody else their answer. */
  attempt(request: TenantRequest): Answer | undefined {
    const mark = this.#replaced.length;
    try {
      return this.admit(request);
    } catch (error) {
      this.#undo(mark);
      const message = `deciding failed: ${(error as Error).message}; please report this, with the objects that it is about`;
      return { reason: 'DecisionFailed', message };
    }
  }

  /** Places a tenant, or says why not. One that has its place and asks for nothing new is left alone. */
  admit(request: TenantRequest): Answer | undefined {
    const key = request.key;
    const held = this.held(key);
    const asked = held.every(({ placed }) => sameRequest(placed.request, request));
    const complete = held.reduce((sum, { placed }) => sum + placed.streams, 0) === request.streams;
    const unknown = this.#checkModel(
      request,
      held.some(({ placed }) => placed.request.model === request.model),
    );
    if (unknown !== undefined) {
      if (held.length > 0 && !asked) return goesOn(unknown);
      this.#withdraw(key); // the catalogue changed under the tenant
      return unknown;
    }
    const lost = held.filter(({ plan }) => this.#node(plan.device)?.state === 'Lost');
    if (held.length > 0 && asked && complete) return lost.length === 0 ? undefined : this.#replace(request, lost);

    if (request.unknownClass !== undefined) {
      const message = `there is no PriorityClass "${request.unknownClass}"; create it, or correct spec.priorityClassName`;
      const refusal = { reason: 'PriorityClassNotFound' as const, message };
      return held.length > 0 ? goesOn(refusal) : refusal;
    }

    if (request.forbiddenClass !== undefined) {
      const message = `PriorityClass "${request.forbiddenClass}" is for what keeps the cluster running; use another one, or start the operator with --system-priorities`;
      const refusal = { reason: 'PriorityClassForbidden' as const, message };
      return held.length > 0 ? goesOn(refusal) : refusal;
    }

    const mark = this.#replaced.length;
    // A changed tenant gives its place back for the attempt; if the new request does not fit, the old promise stands.
    this.#withdraw(key);
    const homes =
      held.length > 0
        ? new Set(held.map(({ plan }) => deviceKey(plan.device)))
        : (this.#snapshot.told?.get(key) ?? new Set<string>());
    const refusals = this.#place(request, request.streams, homes);
    if (refusals === undefined || this.#preempt(request, refusals)) {
      for (const { plan } of this.spareOf(key)) this.#set(withoutSpare(plan, key));
      return undefined;
    }
    const refusal = this.#explain(request, refusals);
    this.#undo(mark);
    return held.length > 0 ? goesOn(refusal) : refusal;
  }

  #node(device: Device): NodeInfo | undefined {
    return this.#snapshot.nodes?.get(device.node);
  }

  #evicted(device: Device, { request }: Placed): boolean {
    const node = this.#node(device);
    return node !== undefined && evicts(node, this.#requests.get(request.key) ?? request);
  }

  #set(plan: DevicePlan): void {
    const device = deviceKey(plan.device);
    const before = this.#plans.get(device);
    if (before === plan) return;
    const keys = new Set(placedOn(plan).map(({ request }) => request.key));
    for (const { request } of before === undefined ? [] : placedOn(before)) {
      if (keys.has(request.key)) continue;
      const where = new Set(this.#where.get(request.key));
      where.delete(device);
      if (where.size > 0) this.#where.set(request.key, where);
      else this.#where.delete(request.key);
    }
    for (const key of keys) {
      const where = this.#where.get(key);
      if (where?.has(device) !== true) this.#where.set(key, new Set(where).add(device));
    }
    if (before !== undefined) this.#replaced.push(before);
    this.#plans.set(device, plan);
  }

  /** Goes back to when so many plans had been replaced. */
  #undo(mark: number): void {
    for (const plan of this.#replaced.splice(mark).reverse()) this.#set(plan);
    this.#replaced.length = mark;
  }

  /** Plans of the other devices of its node. */
  #beside({ device }: DevicePlan): DevicePlan[] {
    return this.plans().filter((other) => other.device.node === device.node && other.device.device !== device.device);
  }

  #withdraw(key: string): void {
    for (const { plan } of this.held(key)) this.#set(withoutTenant(plan, key));
  }

  /**
   * A crash between the records of two nodes can leave a tenant that moved on both: streams beyond what it asks for,
   * the older promise and the lost node first.
   */
  #surplus(promised: readonly DevicePlan[]): Set<Placed> {
    const all = new Map<string, Held[]>();
    for (const plan of promised)
      for (const placed of placedOn(plan)) {
        const key = placed.request.key;
        all.set(key, [...(all.get(key) ?? []), { plan, placed }]);
      }
    const surplus = new Set<Placed>();
    for (const [key, held] of all) {
      let left = Math.max(this.#requests.get(key)?.streams ?? 0, ...held.map(({ placed }) => placed.request.streams));
      const isLost = ({ plan }: Held): number => (this.#node(plan.device)?.state === 'Lost' ? 1 : 0);
      if (held.length > 1)
        held.sort((a, b) => isLost(a) - isLost(b) || b.placed.request.generation - a.placed.request.generation);
      for (const { placed } of held) {
        if (placed.streams > left) surplus.add(placed);
        else left -= placed.streams;
      }
    }
    return surplus;
  }

  /** @param served whether the tenant has it already: it may keep one that is being deleted */
  #checkModel(request: TenantRequest, served: boolean): Answer | undefined {
    const model = this.#snapshot.models.get(request.model);
    if (model?.metadata.deletionTimestamp !== undefined && !served)
      return {
        reason: 'ModelNotFound',
        message: `InferenceModel "${request.model}" is being deleted and takes no new tenants; correct spec.modelRef.name, or apply the model again once it has gone`,
      };
    if (model === undefined)
      return {
        reason: 'ModelNotFound',
        message: `there is no InferenceModel "${request.model}"; apply it, or correct spec.modelRef.name`,
      };
    const wanted = shapeText(request.shape);
    const offered = model.spec.shapes.map((shape) => shapeText(shape));
    if (offered.includes(wanted)) return undefined;
    return {
      reason: 'ShapeNotOffered',
      message: `InferenceModel "${request.model}" does not offer ${wanted}; spec.inputShape must be one of ${offered.join(', ')}`,
    };
  }

  /** Finds another place for the streams that a lost node served; where there is none, their old one is kept for them. */
  #replace(request: TenantRequest, lost: readonly Held[]): Answer | undefined {
    const mark = this.#replaced.length;
    const key = request.key;
    const streams = lost.reduce((sum, { placed }) => sum + placed.streams, 0);
    for (const { plan } of lost) this.#set(withoutTenant(plan, key));
    const refusals = this.#place(request, streams, new Set());
    if (refusals === undefined) return undefined;
    this.#undo(mark);
    const nodes = [...new Set(lost.map(({ plan }) => plan.device.node))];
    return {
      reason: 'NodeLost',
      message: `${nodes.join(', ')} ${nodes.length === 1 ? 'is' : 'are'} not ready any more; ${summarizeRefusals(perNode(refusals))}; the place there is kept for when the node is back`,
    };
  }

  /** Devices that may take the tenant, in the order in which it prefers them, and the objections of the others' nodes. */
  #eligible(request: TenantRequest, homes: ReadonlySet<string>): { plans: DevicePlan[]; refusals: NodeAnswer[] } {
    const plans: DevicePlan[] = [];
    const refusals: NodeAnswer[] = [];
    for (const plan of this.#plans.values()) {
      const node = this.#node(plan.device);
      // Whoever is there already may change in place, also on a cordoned node.
      const refusal =
        node === undefined || (node.state === 'Cordoned' && homes.has(deviceKey(plan.device)))
          ? undefined
          : objection(node, request);
      if (refusal === undefined) plans.push(plan);
      else refusals.push({ node: plan.device.node, refusal });
    }
    // Pack takes the fullest device that still fits, Spread the emptiest; one's own comes first.
    const direction = request.strategy === 'Pack' && request.class === 'RealTime' ? -1 : 1;
    const away = (plan: DevicePlan): number => (homes.has(deviceKey(plan.device)) ? 0 : 1);
    plans.sort((a, b) => away(a) - away(b) || direction * (a.utilization - b.utilization));
    return { plans, refusals };
  }

  /** Places streams, or returns why no device takes them, with all plans as they were. */
  #place(request: TenantRequest, streams: number, homes: ReadonlySet<string>): NodeAnswer[] | undefined {
    const { plans, refusals } = this.#eligible(request, homes);
    if (request.allowSplit) return this.#placeSplit(request, streams, plans, refusals);
    for (const plan of plans) {
      const fit = withTenant(plan, request, streams, this.#beside(plan));
      if ('plan' in fit) {
        for (const each of [fit.plan, ...(fit.beside ?? [])]) this.#set(each);
        return undefined;
      }
      refusals.push({ node: plan.device.node, refusal: fit.refusal });
    }
    return refusals;
  }

  /** Fills device after device with as many streams as fit. */
  #placeSplit(
    request: TenantRequest,
    streams: number,
    plans: readonly DevicePlan[],
    refusals: NodeAnswer[],
  ): NodeAnswer[] | undefined {
    let left = streams;
    const mark = this.#replaced.length;
    for (const { device } of plans) {
      const plan = this.#plans.get(deviceKey(device))!;
      let fitting: readonly DevicePlan[] = [];
      let low = 0;
      for (let above = left + 1; above - low > 1;) {
        const middle = low === 0 && above === left + 1 ? left : Math.floor((low + above) / 2);
        const fit = withTenant(plan, request, middle, this.#beside(plan));
        if ('plan' in fit) [low, fitting] = [middle, [fit.plan, ...(fit.beside ?? [])]];
        else {
          above = middle;
          if (middle === left || middle === 1) refusals.push({ node: plan.device.node, refusal: fit.refusal });
        }
      }
      for (const each of fitting) this.#set(each);
      left -= low;
      if (left === 0) return undefined;
    }
    this.#undo(mark);
    return refusals;
  }

  /** Makes room at the cost of less important tenants, where that truly makes it fit. They are decided again, later. */
  #preempt(request: TenantRequest, refusals: readonly NodeAnswer[]): boolean {
    const helps = refusals.some(({ refusal: { reason } }) => PREEMPTABLE.includes(reason));
    if (!helps || !request.preempts || request.class !== 'RealTime') return false;
    let best: Preemption | undefined;
    for (const plan of this.#eligible(request, new Set()).plans) {
      const room = makeRoom(plan, request, this.#requests, this.#beside(plan));
      if (room === undefined) continue;
      if (
        best === undefined ||
        room.victims.length < best.victims.length ||
        (room.victims.length === best.victims.length && room.highestPriority < best.highestPriority)
      )
        best = room;
    }
    if (best === undefined) return false;
    for (const each of [best.plan, ...best.beside]) this.#set(each);
    for (const victim of best.victims) {
      this.#withdraw(victim); // what it had on other devices is of no use without the rest
      this.displaced.set(victim, {
        reason: 'Preempted',
        // Who else uses the cluster is nobody's business in another namespace.
        message: `preempted on ${best.plan.device.node} by ${victim.startsWith(`${request.namespace}/`) ? request.key : 'a tenant of another namespace'}, whose priority is ${request.priority}`,
      });
    }
    return true;
  }

  #explain(request: TenantRequest, refusals: readonly NodeAnswer[]): Answer {
    if (refusals.length === 0)
      return { reason: 'NoEligibleNode', message: 'no device has been profiled yet; start an agent or give a profile' };
    const nodes = perNode(refusals);
    const closest = nodes[0]!;
    const { refusal } = closest;
    const summary = nodes.length === 1 ? `${closest.node}: ${explainRefusal(refusal)}` : summarizeRefusals(nodes);
    const each = nodes.map((answer) => ({
      node: answer.node,
      reason: answer.refusal.reason,
      message: explainRefusal(answer.refusal),
    }));
    const told = { message: summary, refusals: each.slice(0, MOST_REFUSALS) };
    if (isNodeRefusal(refusal)) return { ...told, reason: 'NoEligibleNode' };
    const reason = refusal.reason as Reason;
    if (reason === 'ProfilePending' || reason === 'ModelUnavailable') return { ...told, reason };

    const { plans } = this.#eligible({ ...request, strategy: 'Spread' }, new Set());
    const emptiest = plans.slice(0, OFFER_DEVICES);
    const offer = findOffer(
      {
        count: request.streams,
        periodUs: request.periodUs,
        jitterUs: request.jitterUs,
        deadlineUs: request.deadlineUs,
      },
      (periodUs) => (request.jitterGiven ? Math.min(request.jitterUs, periodUs) : defaultJitterUs(periodUs)),
      ({ count, periodUs, jitterUs, deadlineUs }) =>
        emptiest.some(
          (plan) =>
            'plan' in withTenant(plan, { ...request, periodUs, jitterUs, deadlineUs }, count, this.#beside(plan)),
        ),
    );
    const smaller = smallerFrames(request.frames ?? {}).find((frames) =>
      emptiest.some((plan) => 'plan' in withTenant(plan, { ...request, frames }, request.streams, this.#beside(plan))),
    );
    const alone = plans.some((plan) => 'plan' in withTenant(emptied(plan.device), request, request.streams));
    const outlook = alone
      ? 'it may fit when other tenants leave'
      : `it would not fit on ${nodes.length === 1 ? 'this node' : 'any of these nodes'} even alone`;
    const all = smaller === undefined ? offer : { ...offer, frames: smaller };
    return { ...told, reason, message: `${summary}; ${outlook}; ${explainOffer(all)}`, offer: all };
  }
}

/** What is gone: a node, or a device of one that is still there. */
const nameOf = ({ node, device }: Device, { nodes }: Snapshot): string =>
  nodes?.has(node) === true ? `device ${device} of ${node}` : node;

/** One empty plan per device, so that what is refused on it is remembered. */
const emptyPlans = new WeakMap<Device, DevicePlan>();
function emptied(device: Device): DevicePlan {
  const plan = emptyPlans.get(device) ?? emptyPlan(device);
  emptyPlans.set(device, plan);
  return plan;
}

/** Each node's answer closest to admitting, and of all nodes the closest first. */
function perNode(refusals: readonly NodeAnswer[]): NodeAnswer[] {
  const closest = new Map<string, NodeAnswer>();
  for (const answer of [...refusals].sort(byCloseness)) if (!closest.has(answer.node)) closest.set(answer.node, answer);
  return [...closest.values()];
}

/** What of an earlier promise still holds on a device: all of it, unless its profile changed for the worse. */
function keptPlan(
  device: Device,
  before: DevicePlan,
  stays: (placed: Placed) => boolean,
  rank: (placed: Placed) => number,
  beside: readonly DevicePlan[],
): DevicePlan {
  const placed = placedOn(before);
  const kept = placed.filter(stays);
  const known = before.categories.every(({ rate }) => rate > 0);
  const measured = device.tables.size > 0 || device.failures.size > 0;
  if (before.device === device && kept.length === placed.length && (known || !measured)) return before;
  // Without a measurement nothing can be checked: what was promised stands until there is one.
  if (!measured && kept.length > 0) return standing(before, device, stays);
  const receiveUs = stagesFor(device, kept, before.receiveUs, beside);
  const all = receiveUs === undefined ? undefined : planFor(device, kept, { ...before, receiveUs });
  if (all !== undefined && 'plan' in all) return all.plan;
  let plan = emptyPlan(device);
  for (const { request, streams } of [...kept].sort((a, b) => rank(a) - rank(b))) {
    const fit = withTenant(plan, request, streams, beside);
    if ('plan' in fit) plan = fit.plan;
  }
  return plan;
}

function goesOn<T extends { message: string }>(refusal: T): T {
  return { ...refusal, message: `the changed request is not admitted (${refusal.message}); the one before goes on` };
}

function verdictOf(request: TenantRequest, placing: Placing, answer: Answer | undefined): Verdict {
  const { namespace, name } = request;
  const key = request.key;
  const held = placing.held(key);
  const placementOf = ({ plan, placed }: Held, promised: boolean): Placement => {
    const category = plan.categories.find((each) => each.placed.includes(placed));
    return {
      node: plan.device.node,
      device: plan.device.device,
      streams: placed.streams,
      category: categoryName(placed.request.model, placed.request.shape),
      promised: promised && category !== undefined,
      ...(category === undefined ? {} : { gapUs: Math.ceil(category.visit.gapUs), quota: category.visit.quota }),
      ...(plan.device.promise === 'Soft' ? { softly: true } : {}),
      ...(category === undefined ? {} : { covers: coverageText(placed.covered) }),
    };
  };
  const placements = [
    ...held.map((each) => placementOf(each, true)),
    ...placing.spareOf(key).map((each) => placementOf(each, false)),
  ];
  const utilization = held
    .flatMap(({ plan }) => plan.categories)
    .reduce((sum, category) => sum + shareOf(category, key), 0);
  const where = placements
    .map(({ node, streams, gapUs, quota, softly, covers }) =>
      gapUs === undefined
        ? `${streams} on ${node} in spare time`
        : `${streams} on ${node}, visited at least every ${(gapUs / 1000).toFixed(1)}ms for up to ${quota ?? 0} frames (${covers ?? ''})${softly ? ', promised softly: at most 0.1% late' : ''}`,
    )
    .join('; ');
  const admitted = held.length > 0 && answer === undefined;
  const stands = held.length > 0 && answer !== undefined && answer.reason !== 'NodeLost';
  const message =
    answer === undefined
      ? `streams: ${where}`
      : held.length === 0 && placements.length > 0
        ? `${answer.message}; meanwhile its frames are answered in spare time on ${placements[0]!.node}, without a promise`
        : answer.message;
  return {
    namespace,
    name,
    admitted,
    ...(stands ? { stands: where } : {}),
    reason: answer?.reason ?? 'Admitted',
    message,
    utilization,
    placements,
    ...(held.length === 0 ? {} : { promised: promisedText(held) }),
    ...(answer?.refusals === undefined ? {} : { refusals: answer.refusals }),
    ...(answer?.offer === undefined ? {} : { offer: answer.offer }),
  };
}

/** For a column of a table, such as 4x10fps/250ms. */
function promisedText(held: readonly Held[]): string {
  const { periodUs, deadlineUs } = held[0]!.placed.request;
  const streams = held.reduce((sum, { placed }) => sum + placed.streams, 0);
  const framesPerSecond = Math.round(1e8 / periodUs) / 100;
  return `${streams}x${framesPerSecond}fps${deadlineUs === Infinity ? '' : `/${formatDurationUs(deadlineUs)}`}`;
}
