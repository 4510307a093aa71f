import { categoryName } from '../api/names.js';
import { withTenant } from '../operator/admission/adding.js';
import { bytesOf } from '../operator/admission/device-plan.js';
import type { Device } from '../operator/admission/device.js';
import type { DevicePlan, Fit } from '../operator/admission/plan.js';
import { emptyPlan, placedOn } from '../operator/admission/plan.js';
import type { Refusal } from '../operator/admission/refusal.js';
import { sentenceOf } from '../operator/admission/reasons.js';
import type { TenantRequest } from '../operator/admission/request.js';
import { stageSharesOf } from '../operator/admission/stages.js';
import { greatest } from '../sched/offer.js';

/** A kind of node that can be bought: its price, and what its devices were measured to do. */
export interface NodeType {
  readonly name: string;
  readonly price: number;
  readonly devices: readonly Device[];
}

/** What a kind of node has that can run out. */
export const RESOURCES = ['device', 'receive', 'decode', 'memory'] as const;
export type Resource = (typeof RESOURCES)[number];

/** So many nodes of one kind. */
export interface Part {
  readonly type: string;
  readonly nodes: number;
  readonly price: number;
  /** Mean over the nodes of the share of each resource that is promised. */
  readonly used: Readonly<Record<Resource, number>>;
  readonly bottleneck: Resource;
}

export interface Fleet {
  readonly parts: readonly Part[];
  readonly price: number;
  /** Less than this no fleet of these kinds can cost, whatever the packing. */
  readonly boundPrice: number;
  /** Whom no kind of node serves, and why the closest does not. */
  readonly refused: readonly { readonly tenant: string; readonly why: string }[];
  /** What one camera more of each kind costs: the price of a node that serves nothing else, by its streams. */
  readonly oneMore: readonly { readonly tenant: string; readonly type: string; readonly price: number }[];
}

/** Nodes that are still being filled: as many are tried for each tenant. */
const OPEN_NODES = 6;
const MOST_STREAMS = 8191;

type Node = readonly DevicePlan[];
type Fitting = Extract<Fit, { plan: DevicePlan }>;

/** How many of which nodes these tenants need: the cheapest of a fleet of each kind, and of a mixed one. */
export function planFleet(types: readonly NodeType[], requests: readonly TenantRequest[]): Fleet {
  const { servable, refused } = sorted(
    types,
    requests.flatMap((request) => partsOf(types, request)),
  );
  const mixed = new Map(
    types.map((type) => [type, servable.filter((each) => each.cheapest === type).map(({ request }) => request)]),
  );
  const candidates = [
    packMixed(mixed),
    ...types
      .filter((type) => servable.every(({ on }) => on.includes(type)))
      .map(
        (type) =>
          new Map([
            [
              type,
              pack(
                type,
                servable.map(({ request }) => request),
              ),
            ],
          ]),
      ),
  ];
  const priceOf = (fleet: ReadonlyMap<NodeType, readonly Node[]>): number =>
    [...fleet].reduce((sum, [{ price }, nodes]) => sum + price * nodes.length, 0);
  const best = candidates.reduce((a, b) => (priceOf(b) < priceOf(a) ? b : a));
  return {
    parts: [...best].filter(([, nodes]) => nodes.length > 0).map(([type, nodes]) => partOf(type, nodes)),
    price: priceOf(best),
    boundPrice: servable.reduce(
      (sum, { request, on }) => sum + Math.min(...on.map((type) => leastPrice(type, request))),
      0,
    ),
    refused,
    oneMore: oneMoreOf(
      servable.map(({ request }) => request),
      types,
    ),
  };
}

/** A tenant that may be split is as many as its streams are on nodes to the full, where it does not fit on one. */
function partsOf(types: readonly NodeType[], request: TenantRequest): TenantRequest[] {
  if (!request.allowSplit) return [request];
  const most = Math.max(...types.flatMap(({ devices }) => devices.map((device) => mostStreams([device], request))));
  if (most === 0 || request.streams <= most) return [request];
  const whole = Array<TenantRequest>(Math.floor(request.streams / most)).fill({ ...request, streams: most });
  const rest = request.streams % most;
  return rest === 0 ? whole : [...whole, { ...request, streams: rest }];
}

interface Servable {
  readonly request: TenantRequest;
  /** The kinds that serve it. */
  readonly on: readonly NodeType[];
  /** Of these, the one where its share costs least. */
  readonly cheapest: NodeType;
}

/** Whom each kind serves at all; tenants of one category together, since their frames share batches, tight deadlines first. */
function sorted(
  types: readonly NodeType[],
  requests: readonly TenantRequest[],
): { servable: Servable[]; refused: Fleet['refused'] } {
  const servable: Servable[] = [];
  const refused: { tenant: string; why: string }[] = [];
  for (const request of requests) {
    const answers = types.map((type) => ({ type, answer: placed([type.devices.map(emptyPlan)], request) }));
    const on = answers.filter(({ answer }) => 'nodes' in answer).map(({ type }) => type);
    if (on.length > 0) {
      const cheapest = on.reduce((a, b) => (leastPrice(b, request) < leastPrice(a, request) ? b : a));
      servable.push({ request, on, cheapest });
    } else {
      const why = answers.map(
        ({ type, answer }) => `${type.name}: ${'refusal' in answer ? sentenceOf(answer.refusal) : ''}`,
      );
      refused.push({ tenant: request.key, why: why.join('; ') });
    }
  }
  const order = ({ request }: Servable): string => categoryName(request.model, request.shape);
  servable.sort((a, b) => order(a).localeCompare(order(b)) || a.request.deadlineUs - b.request.deadlineUs);
  return { servable, refused };
}

function packMixed(by: ReadonlyMap<NodeType, readonly TenantRequest[]>): Map<NodeType, Node[]> {
  const packed = new Map([...by].map(([type, requests]) => [type, pack(type, requests)]));
  // A node that is hardly used is not bought where the others' last nodes take what is on it.
  for (const [type, nodes] of packed) {
    const last = nodes.at(-1);
    if (last === undefined) continue;
    const others = [...packed].filter(([other]) => other !== type);
    const moved = new Map(others.map(([other, all]) => [other, [...all]]));
    const fits = [...new Set(last.flatMap(placedOn))].every(({ request }) =>
      [...moved].some(([other, all]) => {
        const answer = placed(all.slice(-OPEN_NODES), request);
        if (!('nodes' in answer)) return false;
        moved.set(other, [...all.slice(0, -OPEN_NODES), ...answer.nodes]);
        return true;
      }),
    );
    if (!fits) continue;
    nodes.pop();
    for (const [other, all] of moved) packed.set(other, all);
  }
  return packed;
}

/** First fit over the nodes that are open; a new one where none of them takes a tenant. */
function pack(type: NodeType, requests: readonly TenantRequest[]): Node[] {
  const full: Node[] = [];
  let open: readonly Node[] = [];
  for (const request of requests) {
    const answer = placed(open, request);
    if ('nodes' in answer) {
      open = answer.nodes;
      continue;
    }
    const fresh = placed([type.devices.map(emptyPlan)], request);
    if (!('nodes' in fresh))
      throw new Error(`${request.key} fits on an empty node of ${type.name}, and then it does not`);
    open = [...open, ...fresh.nodes];
    if (open.length > OPEN_NODES) {
      full.push(open[0]!);
      open = open.slice(1);
    }
  }
  return [...full, ...open];
}

/** These nodes with the tenant on the first device that takes it, or why none does. */
function placed(
  nodes: readonly Node[],
  request: TenantRequest,
): { readonly nodes: Node[] } | { readonly refusal: Refusal } {
  let refusal: Refusal = { reason: 'ProfilePending', category: categoryName(request.model, request.shape) };
  for (const [i, node] of nodes.entries())
    for (const [k, plan] of node.entries()) {
      const fit = withTenant(plan, request, request.streams, node.toSpliced(k, 1));
      if ('refusal' in fit) {
        refusal = fit.refusal;
        continue;
      }
      return { nodes: nodes.toSpliced(i, 1, after(node, fit)) };
    }
  return { refusal };
}

function after(node: Node, { plan, beside = [] }: Fitting): Node {
  const changed = [plan, ...beside];
  return node.map((each) => changed.find(({ device }) => device === each.device) ?? each);
}

/** The least that a tenant's share of a node can cost: in the batches that are cheapest a frame. */
function leastPrice({ price, devices }: NodeType, request: TenantRequest): number {
  const { model, shape, streams, periodUs } = request;
  if (request.class === 'BestEffort') return 0;
  const shares = devices.flatMap(({ tables }) => {
    const wcet = tables.get(categoryName(model, shape));
    if (wcet === undefined) return [];
    let perFrameUs = Infinity;
    for (let n = 1; n <= wcet.largestBatch; n++) perFrameUs = Math.min(perFrameUs, wcet.at(n) / n);
    return [(streams * perFrameUs) / periodUs];
  });
  return (price * Math.min(...shares)) / devices.length;
}

function partOf(type: NodeType, nodes: readonly Node[]): Part {
  const shares = nodes.map(usedOf);
  const used = Object.fromEntries(
    RESOURCES.map((resource) => [resource, shares.reduce((sum, each) => sum + each[resource], 0) / nodes.length]),
  ) as Record<Resource, number>;
  const bottleneck = RESOURCES.reduce((a, b) => (used[b] > used[a] ? b : a));
  return { type: type.name, nodes: nodes.length, price: nodes.length * type.price, used, bottleneck };
}

function usedOf(node: Node): Record<Resource, number> {
  const shares = node.map(stageSharesOf);
  const mean = (figure: (plan: DevicePlan) => number): number =>
    node.reduce((all, plan) => all + figure(plan), 0) / node.length;
  return {
    device: mean(({ utilization }) => utilization),
    receive: shares.reduce((sum, { receive }) => sum + receive, 0),
    decode: shares.reduce((sum, { decode }) => sum + decode, 0),
    memory: mean((plan) => {
      const { device } = plan;
      return device.memoryBytes === undefined ? 0 : bytesOf(device, placedOn(plan)) / device.memoryBytes;
    }),
  };
}

/** Each different kind of camera once. */
function oneMoreOf(requests: readonly TenantRequest[], types: readonly NodeType[]): Fleet['oneMore'] {
  const kinds = new Map<string, TenantRequest>();
  for (const request of requests) {
    const { model, shape, periodUs, deadlineUs, jitterUs, frames } = request;
    const kind = JSON.stringify([model, shape, periodUs, deadlineUs, jitterUs, frames]);
    if (!kinds.has(kind)) kinds.set(kind, request);
  }
  return [...kinds.values()].flatMap((request) => {
    const offers = types.flatMap((type) => {
      const streams = mostStreams(type.devices, request);
      return streams === 0 ? [] : [{ tenant: request.key, type: type.name, price: type.price / streams }];
    });
    return offers.length === 0 ? [] : [offers.reduce((a, b) => (b.price < a.price ? b : a))];
  });
}

/** How many streams of this kind a node takes; its devices share the event loop and the decode workers. */
function mostStreams(devices: readonly Device[], request: TenantRequest): number {
  let node: Node = devices.map(emptyPlan);
  let all = 0;
  for (const device of devices) {
    const plan = node.find((each) => each.device === device)!;
    const beside = node.filter((each) => each !== plan);
    const fit = (streams: number): Fit => withTenant(plan, { ...request, streams }, streams, beside);
    const most = greatest(1, MOST_STREAMS, (streams) => 'plan' in fit(streams)) ?? 0;
    all += most;
    const taken = most === 0 ? undefined : fit(most);
    if (taken !== undefined && 'plan' in taken) node = after(node, taken);
  }
  return all;
}
