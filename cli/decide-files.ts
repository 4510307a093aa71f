import type { ResourceOf } from '../api/manifests.js';
import type { Decision } from '../operator/admission/decide.js';
import { decide } from '../operator/admission/decide.js';
import type { Device } from '../operator/admission/device.js';
import type { NodeInfo } from '../operator/admission/node.js';
import type { DevicePlan } from '../operator/admission/plan.js';
import type { Priority, TenantRequest } from '../operator/admission/request.js';
import { requestOf } from '../operator/admission/request.js';
import type { Snapshot } from '../operator/admission/snapshot.js';
import { Priorities } from '../operator/ranking.js';
import type { TeamObjects } from '../operator/teams.js';
import { quotasFrom } from '../operator/teams.js';
import type { Catalogue } from './directory.js';

/** Who takes turns in driving each other out is not followed for ever. */
const MOST_ROUNDS = 32;
/** Kubernetes gives every namespace this label. */
const NAMESPACE_LABEL = 'kubernetes.io/metadata.name';

export interface DecisionOnFiles extends Decision {
  /** Namespaces that none of the files' quotas is for, where there is any quota. */
  readonly unlimited: readonly string[];
  /** Nodes whose labels no file tells, where a tenant asks for labels. */
  readonly unlabelled: readonly string[];
  /** What everybody asks for, in the order in which they were decided. */
  readonly requests: readonly TenantRequest[];
}

/**
 * Decides on what files ask for as the operator would once all notices have run out: whoever has borrowed of a team's share has
 * given it back. Tenants come in the order of their priority, then of their age where the files tell it, then of the files.
 */
export function decideFiles(
  catalogue: Catalogue,
  devices: readonly Device[],
  promised: readonly DevicePlan[] = [],
): DecisionOnFiles {
  const snapshot = snapshotOf(catalogue, devices);
  let decision = decide({ ...snapshot, promised });
  let before = promised;
  const noticed = new Set<string>();
  // Whoever has lost their place may leave room for others that were refused by then.
  for (let round = 0; round < MOST_ROUNDS && hasMoreToDecide(decision, before, noticed); round++) {
    before = decision.plans;
    for (const key of decision.notices) noticed.add(key);
    decision = decide({ ...snapshot, promised: before, noticed });
  }
  const { quotas, requests, nodes } = snapshot;
  const unlimited = requests.map(({ namespace }) => namespace).filter((each) => quotas?.of(each) === undefined);
  const asksForLabels = requests.some(({ nodeSelector }) => Object.keys(nodeSelector).length > 0);
  const unlabelled = devices.map(({ node }) => node).filter((node) => nodes?.has(node) !== true);
  return {
    ...decision,
    requests,
    unlimited: quotas === undefined ? [] : sorted(unlimited),
    unlabelled: asksForLabels ? sorted(unlabelled) : [],
  };
}

const sorted = (names: readonly string[]): string[] => [...new Set(names)].sort();

function hasMoreToDecide(
  { notices, plans, verdicts }: Decision,
  before: readonly DevicePlan[],
  noticed: ReadonlySet<string>,
): boolean {
  if ([...notices].some((key) => !noticed.has(key))) return true;
  const changed = plans.some((plan) => !before.includes(plan));
  return changed && verdicts.some(({ reason }) => reason === 'Reclaimed' || reason === 'Preempted');
}

/** What the tenants of files ask for, in the order in which they are decided. */
export function requestsOf({ tenants, priorityClasses }: Catalogue): TenantRequest[] {
  const priorities = new Priorities(priorityClasses, false);
  /** A class that no file tells of may be in the cluster, so that is no reason to refuse. */
  const priorityOf = (className: string | undefined): Priority => ({
    ...priorities.of(className),
    unknownClass: undefined,
  });
  return tenants
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((tenant) => ({ tenant, request: requestOf(tenant, priorityOf(tenant.spec.priorityClassName)) }))
    .sort((a, b) => b.request.priority - a.request.priority || byAge(a.tenant, b.tenant))
    .map(({ request }) => request);
}

const snapshotOf = (catalogue: Catalogue, devices: readonly Device[]): Snapshot => ({
  models: catalogue.models,
  devices,
  nodes: new Map(catalogue.nodes.map((node) => [node.metadata.name, nodeOf(node)])),
  requests: requestsOf(catalogue),
  quotas: quotasFrom(teamsOf(catalogue, devices), devices),
});

function byAge({ metadata: a }: ResourceOf<'InferenceTenant'>, { metadata: b }: ResourceOf<'InferenceTenant'>): number {
  const [first = '', second = ''] = [a.creationTimestamp, b.creationTimestamp];
  return first < second ? -1 : first > second ? 1 : 0;
}

/** A node whose file tells no state is taken to be ready. */
function nodeOf({ metadata: { name, labels = {} }, spec, status }: ResourceOf<'Node'>): NodeInfo {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'True';
  const state = ready !== 'True' ? 'NotReady' : spec?.unschedulable === true ? 'Cordoned' : 'Ready';
  return { name, labels, taints: spec?.taints ?? [], state };
}

/** Namespaces and nodes that no file tells of have no labels but those that every one has. */
function teamsOf(catalogue: Catalogue, devices: readonly Device[]): TeamObjects {
  const { quotas, flavors, profiles } = catalogue;
  const named = (names: Iterable<string>, known: readonly { readonly metadata: ResourceOf<'Node'>['metadata'] }[]) => {
    const labelsOf = new Map(known.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]));
    return [...new Set(names)].map((name) => ({ metadata: { name, labels: labelsOf.get(name) ?? {} } }));
  };
  const namespaces = catalogue.tenants.map(({ metadata }) => metadata.namespace);
  return {
    quotas,
    flavors,
    profiles,
    namespaces: named(namespaces, catalogue.namespaces).map(({ metadata: { name, labels } }) => ({
      metadata: { name, labels: { [NAMESPACE_LABEL]: name, ...labels } },
    })),
    nodes: named(
      devices.map(({ node }) => node),
      catalogue.nodes,
    ),
  };
}
