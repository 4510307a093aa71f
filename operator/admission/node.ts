import type { NodeRefusal } from './refusal.js';
import type { TenantRequest, Toleration } from './request.js';

export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

/**
 * A node as placement sees it. `Cordoned` and `NotReady` take nobody new but keep whom they have; what was promised on a `Lost`
 * node is placed elsewhere where it fits.
 */
export interface NodeInfo {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  readonly state: 'Ready' | 'Cordoned' | 'NotReady' | 'Lost';
  /** Whether its agent has not reported for too long: what it serves goes on, as far as anybody knows. */
  readonly silent?: boolean;
  /** Figures that it claims and nobody believes. */
  readonly implausible?: string | undefined;
}

/** Taints that stand for a node's not being ready, which placement reads from the node's condition, with a grace of its own. */
const READINESS_TAINTS = new Set(['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']);

/** Why the node does not take this tenant anew; undefined when it may. */
export function objection(node: NodeInfo, request: TenantRequest): NodeRefusal | undefined {
  if (node.state === 'NotReady' || node.state === 'Lost') return { reason: 'NodeNotReady' };
  if (node.state === 'Cordoned') return { reason: 'NodeCordoned' };
  if (node.silent === true) return { reason: 'AgentSilent' };
  if (node.implausible !== undefined) return { reason: 'ProfileImplausible', message: node.implausible };
  for (const [label, value] of Object.entries(request.nodeSelector))
    if (node.labels[label] !== value) return { reason: 'NodeSelectorMismatch', label: `${label}=${value}` };
  const taint = node.taints.find(
    (each) =>
      (each.effect === 'NoSchedule' || each.effect === 'NoExecute') &&
      !READINESS_TAINTS.has(each.key) &&
      !tolerated(each, request.tolerations),
  );
  return taint === undefined
    ? undefined
    : { reason: 'TaintNotTolerated', taint: `${taint.key}${taint.value ? `=${taint.value}` : ''}:${taint.effect}` };
}

/** Whether a tenant that is already there must go: only a NoExecute taint that it does not tolerate drives it out. */
export function evicts(node: NodeInfo, request: TenantRequest): boolean {
  return node.taints.some(
    (taint) =>
      taint.effect === 'NoExecute' && !READINESS_TAINTS.has(taint.key) && !tolerated(taint, request.tolerations),
  );
}

function tolerated(taint: Taint, tolerations: readonly Toleration[]): boolean {
  return tolerations.some(
    ({ key, operator = 'Equal', value = '', effect }) =>
      (effect === undefined || effect === taint.effect) &&
      (key === undefined || key === ''
        ? operator === 'Exists'
        : key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''))),
  );
}
