import { formatDurationUs } from '../../api/duration.js';
import type { Covered } from '../../api/frames.js';
import type { Offer } from '../../sched/offer.js';
import type { Refusal } from './device-plan.js';

/** What would be admitted instead, smaller frames included. */
export type FullOffer = Offer & { readonly frames?: Covered };

/** A node's refusal; of several devices, the one closest to admitting. */
export interface NodeAnswer {
  readonly node: string;
  readonly refusal: Refusal;
}

/** Reasons, the one closest to being admitted first: whichever node is closest tells the tenant's reason. */
const CLOSENESS: readonly Refusal['reason'][] = [
  'DeadlineInfeasible',
  'UtilizationExceeded',
  'DecodeExceeded',
  'ReceiveExceeded',
  'InsufficientMemory',
  'ProfilePending',
  'ModelUnavailable',
  'DeadlineShorterThanWCET',
  'NodeCordoned',
  'AgentSilent',
  'ProfileImplausible',
  'NodeNotReady',
  'TaintNotTolerated',
  'NodeSelectorMismatch',
];

/** Closest to admitting first. */
export function byCloseness(a: NodeAnswer, b: NodeAnswer): number {
  return (
    CLOSENESS.indexOf(a.refusal.reason) - CLOSENESS.indexOf(b.refusal.reason) ||
    severity(a.refusal) - severity(b.refusal)
  );
}

/** Whether it is the node as such that does not take the tenant. */
export function isNodeRefusal({ reason }: Refusal): boolean {
  return CLOSENESS.indexOf(reason) >= CLOSENESS.indexOf('NodeCordoned');
}

/** A refusal in a person's words. */
export function explainRefusal(refusal: Refusal): string {
  switch (refusal.reason) {
    case 'ProfilePending':
      return `${refusal.category} has not been measured here yet`;
    case 'ModelUnavailable':
      return refusal.message;
    case 'InsufficientMemory':
      return `its model needs ${mebibytes(refusal.neededBytes)} of device memory and ${mebibytes(refusal.freeBytes)} are left beside what is promised`;
    case 'DeadlineShorterThanWCET':
      return `one frame of ${refusal.category} alone takes ${milliseconds(refusal.wcetUs)}, but the deadline leaves ${milliseconds(Math.max(0, refusal.availableUs))} beside what receiving, decoding and answering may take`;
    case 'ReceiveExceeded':
      return `receiving frames would take ${percent(refusal.share)} of the node's event loop${refusal.delayUs === Infinity ? '' : ` and hold one up for ${milliseconds(refusal.delayUs)} in the worst case`}; smaller frames take less (spec.frames)`;
    case 'DecodeExceeded':
      return `decoding would take ${percent(refusal.share)} of the node's decode workers, ${milliseconds(refusal.frameUs)} for one frame, and not every frame would be decoded within ${milliseconds(refusal.shareUs)}; smaller images take less, tensors nothing (spec.frames)`;
    case 'UtilizationExceeded':
      return `utilization would be ${refusal.utilization.toFixed(2)}, most of it for ${refusal.bottleneck}`;
    case 'DeadlineInfeasible':
      return `the device would turn to ${refusal.category} only every ${milliseconds(refusal.gapUs)} in the worst case, and its deadlines and rates ${refusal.allowedUs <= 0 ? 'leave no time' : `ask for every ${milliseconds(refusal.allowedUs)} or less`}; most of that time goes to ${refusal.bottleneck}`;
    case 'NodeNotReady':
      return 'the node is not ready';
    case 'NodeCordoned':
      return 'the node is cordoned';
    case 'AgentSilent':
      return 'its agent has not reported for a while';
    case 'ProfileImplausible':
      return `${refusal.message}; if that is right, annotate the Node with deeprt.dev/trust-profiles=true`;
    case 'NodeSelectorMismatch':
      return `the node does not have the label ${refusal.label} that spec.placement.nodeSelector asks for`;
    case 'TaintNotTolerated':
      return `the node has the taint ${refusal.taint}, which spec.placement.tolerations does not tolerate`;
  }
}

/** The same in a few words, for a summary over many nodes. */
export function summarizeRefusals(answers: readonly NodeAnswer[]): string {
  const byReason = new Map<Refusal['reason'], NodeAnswer[]>();
  for (const each of [...answers].sort(byCloseness))
    byReason.set(each.refusal.reason, [...(byReason.get(each.refusal.reason) ?? []), each]);
  const parts = [...byReason].map(([reason, all]) => `${all.length} ${reason}${closest(all[0]!)}`);
  return `0/${answers.length} nodes admit: ${parts.join(', ')}`;
}

function closest({ node, refusal }: NodeAnswer): string {
  switch (refusal.reason) {
    case 'UtilizationExceeded':
      return ` (best: ${node} at ${refusal.utilization.toFixed(2)})`;
    case 'DeadlineInfeasible':
      return ` (best: ${node} would turn to ${refusal.category} every ${milliseconds(refusal.gapUs)})`;
    case 'ReceiveExceeded':
    case 'DecodeExceeded':
      return ` (best: ${node} at ${percent(refusal.share)})`;
    case 'DeadlineShorterThanWCET':
      return ` (best: ${node} needs ${milliseconds(refusal.wcetUs)} for one frame)`;
    case 'InsufficientMemory':
      return ` (best: ${node} lacks ${mebibytes(refusal.neededBytes - refusal.freeBytes)})`;
    case 'ModelUnavailable':
      return ` (${node}: ${refusal.message})`;
    case 'TaintNotTolerated':
      return ` (${refusal.taint})`;
    case 'NodeSelectorMismatch':
      return ` (${refusal.label})`;
    case 'ProfilePending':
    case 'NodeNotReady':
    case 'NodeCordoned':
    case 'AgentSilent':
    case 'ProfileImplausible':
      return '';
  }
}

/** How far from fitting; comparable within one reason. */
function severity(refusal: Refusal): number {
  switch (refusal.reason) {
    case 'DeadlineShorterThanWCET':
      return refusal.wcetUs - refusal.availableUs;
    case 'UtilizationExceeded':
      return refusal.utilization;
    case 'ReceiveExceeded':
    case 'DecodeExceeded':
      return refusal.share;
    case 'DeadlineInfeasible':
      return refusal.gapUs / Math.max(1, refusal.allowedUs);
    case 'InsufficientMemory':
      return refusal.neededBytes - refusal.freeBytes;
    case 'ProfilePending':
    case 'ModelUnavailable':
    case 'NodeNotReady':
    case 'NodeCordoned':
    case 'AgentSilent':
    case 'ProfileImplausible':
    case 'NodeSelectorMismatch':
    case 'TaintNotTolerated':
      return 0;
  }
}

/** What would be admitted instead, as status and `deeprt plan` write it. */
export interface WrittenOffer {
  readonly framesPerSecond?: number;
  readonly deadline?: string;
  readonly streams?: number;
  readonly frames?: string;
}

/** Undefined when nothing smaller fits: server-side apply turns an empty object into null, which the schema refuses. */
export function writtenOffer(offer: FullOffer | undefined): WrittenOffer | undefined {
  if (offer === undefined || Object.keys(offer).length === 0) return undefined;
  const { deadlineUs, frames, ...others } = offer;
  return {
    ...others,
    ...(deadlineUs === undefined ? {} : { deadline: formatDurationUs(deadlineUs) }),
    ...(frames === undefined ? {} : { frames: sizeOf(frames) }),
  };
}

const sizeOf = ({ encoding, width, height }: Covered): string =>
  width === undefined ? (encoding ?? 'Tensor') : `${width}x${height ?? 0}`;

export function explainOffer(offer: FullOffer): string {
  const { framesPerSecond, deadline, streams, frames } = writtenOffer(offer) ?? {};
  const parts = [
    ...(framesPerSecond === undefined ? [] : [`${framesPerSecond} frames per second`]),
    ...(deadline === undefined ? [] : [`a deadline of ${deadline}`]),
    ...(streams === undefined ? [] : [`${streams} ${streams === 1 ? 'stream' : 'streams'}`]),
    ...(frames === undefined ? [] : [`${frames === 'Tensor' ? 'tensors' : `images up to ${frames}`} (spec.frames)`]),
  ];
  return parts.length === 0
    ? 'no lower rate, longer deadline or smaller number of streams that was tried fits now'
    : `would fit now: ${parts.join(', or ')}`;
}

function milliseconds(us: number): string {
  if (us < 50) return `${Math.ceil(us)}us`; // rather than 0.0ms
  return `${(us / 1000).toFixed(1)}ms`;
}

const percent = (share: number): string => `${Math.round(100 * share)}%`;

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)}Mi`;
}
