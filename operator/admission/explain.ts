import { formatDurationUs } from '../../api/duration.js';
import type { Covered } from '../../api/frames.js';
import type { Offer } from '../../sched/offer.js';
import { bestOf, compareRefusals } from './reasons.js';
import type { Refusal } from './refusal.js';

/** What would be admitted instead, smaller frames included. `minStreams`: what that has to be as well for fewer streams. */
export type FullOffer = Offer & { readonly frames?: Covered; readonly minStreams?: number };

/** A node's refusal; of several devices, the one closest to admitting. */
export interface NodeAnswer {
  readonly node: string;
  readonly refusal: Refusal;
}

/** Each node's answer closest to admitting, and of all nodes the closest first. */
export function perNode(refusals: readonly NodeAnswer[]): NodeAnswer[] {
  const closest = new Map<string, NodeAnswer>();
  for (const answer of [...refusals].sort(byCloseness)) if (!closest.has(answer.node)) closest.set(answer.node, answer);
  return [...closest.values()];
}

const byCloseness = (a: NodeAnswer, b: NodeAnswer): number => compareRefusals(a.refusal, b.refusal);

/** Many nodes' refusals in a few words. */
export function summarizeRefusals(answers: readonly NodeAnswer[]): string {
  const byReason = Map.groupBy([...answers].sort(byCloseness), ({ refusal }) => refusal.reason);
  const parts = [...byReason].map(([reason, [closest, ...others]]) => {
    const best = bestOf(closest!.refusal, closest!.node);
    return `${1 + others.length} ${reason}${best === undefined ? '' : ` (${best})`}`;
  });
  return `0/${answers.length} nodes admit: ${parts.join(', ')}`;
}

/** What would be admitted instead, as status and `deeprt plan` write it. */
export interface WrittenOffer {
  readonly framesPerSecond?: number;
  readonly deadline?: string;
  readonly streams?: number;
  readonly minStreams?: number;
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
  const { framesPerSecond, deadline, streams, minStreams, frames } = writtenOffer(offer) ?? {};
  const asMany = minStreams === undefined ? '' : ` (spec.minStreams: ${minStreams} as well)`;
  const parts = [
    ...(framesPerSecond === undefined ? [] : [`${framesPerSecond} frames per second`]),
    ...(deadline === undefined ? [] : [`a deadline of ${deadline}`]),
    ...(streams === undefined ? [] : [`${streams} ${streams === 1 ? 'stream' : 'streams'}${asMany}`]),
    ...(frames === undefined ? [] : [`${frames === 'Tensor' ? 'tensors' : `images up to ${frames}`} (spec.frames)`]),
  ];
  return parts.length === 0
    ? 'no lower rate, longer deadline or smaller number of streams that was tried fits now'
    : `would fit now: ${parts.join(', or ')}`;
}
