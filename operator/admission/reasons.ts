import type { NodeRefusal, QuotaRefusal, Refusal } from './refusal.js';
import { mebibytes, milliseconds, percent } from './words.js';

/** What is told of a reason, wherever it is told: one table for decisions, messages, metrics, tests and docs. */
interface Facts {
  /** Whose matter it is: the tenant's manifest, a node's state, what a device or its node's stages can carry, or what happened. */
  readonly scope: 'spec' | 'node' | 'device' | 'event';
  /** Whether the tenant waits for something that others do, and what made it wait is worth remembering meanwhile. */
  readonly waits: boolean;
  /** For docs/troubleshooting.md. */
  readonly meaning: string;
  readonly remedy: string;
}

/** A reason why a node or device refuses: told in these words, with the figures of the refusal. */
interface RefusalFacts<R extends Refusal> extends Facts {
  readonly scope: 'node' | 'device';
  /** Whether less important tenants that leave make room. */
  readonly preemptable?: true;
  /** Whether less might fit, so that it is looked for. */
  readonly offers?: true;
  sentence(refusal: R): string;
  /** The closest node's figure, in few words. */
  best?(refusal: R, node: string): string;
  /** How far from fitting; comparable within one reason. */
  severity?(refusal: R): number;
}

/** The same on whichever node: it is the team's matter. */
function quotaSentence({ quota, flavor, cost, free, nominal, lent }: QuotaRefusal): string {
  if (cost === 0)
    return `TenantQuota ${quota} has no share of ${flavor === undefined ? 'devices without a flavor' : `flavor ${flavor}`}`;
  return `it would cost ${cost.toFixed(1)}ms/s of ${flavor ?? ''}, and TenantQuota ${quota}, whose nominal share is ${nominal}, has ${free.toFixed(1)} left${lent ? '; others have borrowed the rest' : ''}`;
}

type Refusals = { readonly [K in Refusal['reason']]: RefusalFacts<Extract<Refusal, { reason: K }>> };

/** In the order of closeness to being admitted: whichever node is closest tells the tenant's reason. */
export const REFUSALS: Refusals = {
  DeadlineInfeasible: {
    scope: 'device',
    waits: true,
    preemptable: true,
    offers: true,
    sentence: ({ category, gapUs, allowedUs, bottleneck }) =>
      `the device would turn to ${category} only every ${milliseconds(gapUs)} in the worst case, and its deadlines and rates ${allowedUs <= 0 ? 'leave no time' : `ask for every ${milliseconds(allowedUs)} or less`}; most of that time goes to ${bottleneck}`,
    best: ({ category, gapUs }, node) => `best: ${node} would turn to ${category} every ${milliseconds(gapUs)}`,
    severity: ({ gapUs, allowedUs }) => gapUs / Math.max(1, allowedUs),
    meaning:
      'there is time enough, but the device would turn to a category too seldom for its deadlines; the message names the category, how far apart its visits would be, and who takes most of that time',
    remedy:
      'a longer deadline, or a shorter `jitter` if the cameras keep it; a tenant with a long deadline and a large batch holds up everybody (`maxBatchSize` of its model)',
  },
  UtilizationExceeded: {
    scope: 'device',
    waits: true,
    preemptable: true,
    offers: true,
    sentence: ({ utilization, bottleneck }) =>
      `utilization would be ${utilization.toFixed(2)}, most of it for ${bottleneck}`,
    best: ({ utilization }, node) => `best: ${node} at ${utilization.toFixed(2)}`,
    severity: ({ utilization }) => utilization,
    meaning: 'the device would have to work more than all of the time',
    remedy:
      'wait for others to leave, ask for what `status.offer` says, add a node, or give the tenant a higher `priorityClassName`. "It would not fit on this node even alone": only asking for less helps',
  },
  DecodeExceeded: {
    scope: 'device',
    waits: true,
    preemptable: true,
    offers: true,
    sentence: ({ share, frameUs, shareUs }) =>
      `decoding would take ${percent(share)} of the node's decode workers, ${milliseconds(frameUs)} for one frame, and not every frame would be decoded within ${milliseconds(shareUs)}; smaller images take less, tensors nothing (spec.frames)`,
    best: ({ share }, node) => `best: ${node} at ${percent(share)}`,
    severity: ({ share }) => share,
    meaning:
      "decoding its images would take more of the node's decode workers than is left, or take too long for its deadline; the message says what share they would be busy",
    remedy:
      'smaller frames or tensors, declared in `spec.frames`, as `status.offer.frames` says; more cores for the agent',
  },
  ReceiveExceeded: {
    scope: 'device',
    waits: true,
    preemptable: true,
    offers: true,
    sentence: ({ share, delayUs, decodeShare }) =>
      `receiving frames would take ${percent(share)} of the node's event loop${decodeShare === undefined ? '' : `, on the core that decoding takes ${percent(decodeShare)} of,`}${delayUs === Infinity ? '' : ` and hold one up for ${milliseconds(delayUs)} in the worst case`}; smaller frames take less (spec.frames)`,
    best: ({ share }, node) => `best: ${node} at ${percent(share)}`,
    severity: ({ share }) => share,
    meaning:
      "receiving its frames would overload the node's event loop, or hold frames up for longer than deadlines allow",
    remedy: 'smaller frames (`spec.frames.maxBytes`), binary tensors instead of JSON, another node',
  },
  InsufficientMemory: {
    scope: 'device',
    waits: true,
    preemptable: true,
    offers: true,
    sentence: ({ neededBytes, freeBytes }) =>
      `its model needs ${mebibytes(neededBytes)} of device memory and ${mebibytes(freeBytes)} are left beside what is promised`,
    best: ({ neededBytes, freeBytes }, node) => `best: ${node} lacks ${mebibytes(neededBytes - freeBytes)}`,
    severity: ({ neededBytes, freeBytes }) => neededBytes - freeBytes,
    meaning: "the model does not fit into the device's memory beside those that are promised",
    remedy: 'fewer models per node, `agent.deviceMemory`, smaller `maxBatchSize`',
  },
  QuotaExceeded: {
    scope: 'device',
    waits: true,
    preemptable: true,
    sentence: quotaSentence,
    best: quotaSentence,
    severity: ({ cost, free }) => cost - free,
    meaning:
      "its team's TenantQuota has not enough left of this kind of device, or the team has as many tenants or streams as it may ([quotas.md](quotas.md))",
    remedy: '`kubectl get tenantshares`: ask for less, let another tenant of the team go, or ask for a larger quota',
  },
  ProfilePending: {
    scope: 'device',
    waits: false,
    sentence: ({ category, measured }) =>
      `${category} has not been measured here yet${measured === undefined ? '' : `; the model was as ${measured}`}`,
    meaning: 'no node has measured the model in this shape yet',
    remedy:
      'wait some seconds; if it stays and the message says "the model was as ...", set `spec.inputShape` to one of those shapes; else see the GPUProfile below and the agent’s log',
  },
  ModelUnavailable: {
    scope: 'device',
    waits: false,
    sentence: ({ message }) => message,
    best: ({ message }, node) => `${node}: ${message}`,
    meaning:
      'the nodes that could be asked cannot load the model: file missing, wrong digest, not ONNX, wrong input; the message says which',
    remedy:
      '`kubectl describe imd NAME`. The file of a relative `file:` source must lie in `agent.models.hostPath` of each node. "Is being fetched" passes by itself. Agents try again by themselves, or at once when the InferenceModel changes',
  },
  DeadlineShorterThanWCET: {
    scope: 'device',
    waits: false,
    offers: true,
    sentence: ({ category, wcetUs, availableUs }) =>
      `one frame of ${category} alone takes ${milliseconds(wcetUs)}, but the deadline leaves ${milliseconds(Math.max(0, availableUs))} beside what receiving, decoding and answering may take`,
    best: ({ wcetUs }, node) => `best: ${node} needs ${milliseconds(wcetUs)} for one frame`,
    severity: ({ wcetUs, availableUs }) => wcetUs - availableUs,
    meaning: 'one frame alone takes longer than the deadline leaves on this device; waiting never helps',
    remedy: 'a longer deadline, a smaller `inputShape`, a faster device',
  },
  NodeCordoned: {
    scope: 'node',
    waits: true,
    sentence: () => 'the node is cordoned',
    meaning: 'the node is cordoned, and takes nobody new',
    remedy: '`kubectl uncordon`, where it was not meant',
  },
  AgentSilent: {
    scope: 'node',
    waits: true,
    sentence: () => 'its agent has not reported for a while',
    meaning: "the node's agent has not reported for `operator.agentSilence`",
    remedy: '[DeepRTAgentSilent](operations.md#deeprtagentsilent)',
  },
  ProfileImplausible: {
    scope: 'node',
    waits: true,
    sentence: ({ message }) => `${message}; if that is right, annotate the Node with deeprt.dev/trust-profiles=true`,
    meaning: 'the node claims figures out of all proportion, and nobody is placed there on their strength',
    remedy: 'look at its agent; where the claim is right, annotate the Node with `deeprt.dev/trust-profiles=true`',
  },
  NodeNotReady: {
    scope: 'node',
    waits: true,
    sentence: () => 'the node is not ready',
    meaning: 'the node is not ready',
    remedy: '`kubectl describe node`',
  },
  TaintNotTolerated: {
    scope: 'node',
    waits: true,
    sentence: ({ taint }) => `the node has the taint ${taint}, which spec.placement.tolerations does not tolerate`,
    best: ({ taint }) => taint,
    meaning: 'the node has a taint that `placement.tolerations` does not tolerate',
    remedy: 'a toleration, where the tenant may be there',
  },
  NodeSelectorMismatch: {
    scope: 'node',
    waits: true,
    sentence: ({ label }) => `the node does not have the label ${label} that spec.placement.nodeSelector asks for`,
    best: ({ label }) => label,
    meaning: 'the node lacks a label of `placement.nodeSelector`',
    remedy: '`kubectl get nodes --show-labels`; label the node, or correct the selector',
  },
};

/** Reasons of the Admitted condition that no single node gives. */
const OWN = {
  Admitted: {
    scope: 'event',
    waits: false,
    meaning:
      'the tenant has a place, and every frame within its rate and jitter will meet the deadline as long as runs take no longer than measured',
    remedy: 'nothing',
  },
  AdmittedInPart: {
    scope: 'event',
    waits: true,
    meaning:
      'not all streams could be promised, and the tenant takes fewer (`spec.minStreams`): the message says how many, and what stands in the way of the others',
    remedy: 'nothing; it gets more by itself when there is room. As for the reason in the message, for all at once',
  },
  NoEligibleNode: {
    scope: 'node',
    waits: true,
    meaning:
      'no node may serve the tenant, each for a reason of its own: `status.refusals` has them; or none has an agent with a profile',
    remedy: 'see the reasons of nodes below; `kubectl get gpr`',
  },
  Reclaiming: {
    scope: 'event',
    waits: true,
    meaning:
      "it is within its team's nominal share, others have borrowed that, and they have been told to give it back ([quotas.md](quotas.md))",
    remedy: 'wait: what was borrowed is given back after the notice (`operator.reclaimNotice`)',
  },
  Reclaimed: {
    scope: 'event',
    waits: false,
    meaning:
      "its promise was beyond its team's nominal share, and a team within its own asked for it; there is no other place",
    remedy: 'as for `QuotaExceeded`; it comes back by itself when somebody leaves',
  },
  Suspended: {
    scope: 'spec',
    waits: false,
    meaning: '`spec.suspend`: the tenant has given its place up for now',
    remedy: '`kubectl deeprt resume`',
  },
  Withdrawn: {
    scope: 'event',
    waits: false,
    meaning:
      'the tenant was deleted: nothing is promised, and no frame is served; somebody else’s finalizer keeps the object',
    remedy: 'whoever put that finalizer on has to take it off',
  },
  ModelNotFound: {
    scope: 'spec',
    waits: false,
    meaning: 'there is no InferenceModel of that name, or it is being deleted',
    remedy: 'apply it, or correct `spec.modelRef.name`',
  },
  ShapeNotOffered: {
    scope: 'spec',
    waits: false,
    meaning: 'the model exists, `inputShape` is none of its `shapes`',
    remedy: 'one of those in the message, or add the shape to the model',
  },
  PriorityClassNotFound: {
    scope: 'spec',
    waits: false,
    meaning: '`spec.priorityClassName` names none',
    remedy: 'create the PriorityClass, or correct the name',
  },
  PriorityClassForbidden: {
    scope: 'spec',
    waits: false,
    meaning:
      'a `system-` class, which is for what keeps the cluster running, or one that the team’s TenantQuota does not name; the message says which',
    remedy:
      'use another class; or have it put into `spec.priorityClassNames` of the TenantQuota, or start the operator with `--system-priorities` (`operator.systemPriorities`)',
  },
  Preempted: {
    scope: 'event',
    waits: false,
    meaning: 'a tenant with higher priority took its place, and there is no other',
    remedy: 'as for `UtilizationExceeded`; it comes back by itself when there is room',
  },
  NodeLost: {
    scope: 'event',
    waits: false,
    meaning: 'its node is not ready for longer than `operator.nodeGrace`, and it fits nowhere else',
    remedy: 'repair the node: the place there is kept, and the agent may well be serving',
  },
  DecisionFailed: {
    scope: 'event',
    waits: false,
    meaning:
      "the object cannot be read, as one that is older than today's rules, or a fault of the operator's own; the others' decisions are not concerned",
    remedy: 'correct what the message names; else report it, with the objects that it is about',
  },
} as const satisfies Record<string, Facts>;

/** Reasons of the Admitted condition. A node's own reasons are told of node by node (status.refusals). */
export type Reason = keyof typeof OWN | Exclude<Refusal['reason'], NodeRefusal['reason']>;

/** What is told of every reason, Admitted first. */
export const REASONS: Readonly<Record<Reason | Refusal['reason'], Facts>> = { ...OWN, ...REFUSALS };

/** Those of the Admitted condition. */
export const ADMITTED_REASONS = (Object.keys(REASONS) as (keyof typeof REASONS)[]).filter(
  (reason) => !(reason in REFUSALS) || REASONS[reason].scope === 'device',
) as readonly Reason[];

const CLOSENESS = Object.keys(REFUSALS);

/** What the table says of a refusal's reason. */
const factsOf = <R extends Refusal>({ reason }: R): RefusalFacts<R> => REFUSALS[reason] as unknown as RefusalFacts<R>;

/** Closest to admitting first. */
export const compareRefusals = (a: Refusal, b: Refusal): number =>
  CLOSENESS.indexOf(a.reason) - CLOSENESS.indexOf(b.reason) || severityOf(a) - severityOf(b);

const severityOf = (refusal: Refusal): number => factsOf(refusal).severity?.(refusal) ?? 0;

/** A refusal in a person's words. */
export const sentenceOf = (refusal: Refusal): string => factsOf(refusal).sentence(refusal);

/** Its figure in few words, where it has one. */
export const bestOf = (refusal: Refusal, node: string): string | undefined => factsOf(refusal).best?.(refusal, node);

/** Whether it is the node as such that does not take the tenant. */
export const isNodeRefusal = (refusal: Refusal): refusal is NodeRefusal => factsOf(refusal).scope === 'node';

/** Whether less important tenants that leave make room. */
export const isPreemptable = (refusal: Refusal): boolean => factsOf(refusal).preemptable === true;

/** Whether less might fit. */
export const hasOffer = (refusal: Refusal): boolean => factsOf(refusal).offers === true;

/** Whether a tenant with this reason waits until something else changes. */
export const isWaiting = (reason: string): boolean =>
  (REASONS as Readonly<Record<string, Facts>>)[reason]?.waits === true;
