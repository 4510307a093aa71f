import { formatDurationUs } from '../api/duration.js';
import type { Offer } from '../sched/offer.js';
import type { Refusal } from './device-plan.js';

/** A refusal in a person's words. */
export function explainRefusal(refusal: Refusal): string {
  switch (refusal.reason) {
    case 'ProfilePending':
      return `${refusal.category} has not been measured here yet`;
    case 'DeadlineShorterThanWCET':
      return `one frame of ${refusal.category} alone takes ${milliseconds(refusal.wcetUs)}, but the deadline leaves ${milliseconds(refusal.availableUs)}`;
    case 'UtilizationExceeded':
      return `utilization would be ${refusal.utilization.toFixed(2)}, most of it for ${refusal.bottleneck}`;
    case 'DeadlineInfeasible':
      return `${refusal.late} would finish ${milliseconds(refusal.lateByUs)} late within ${milliseconds(refusal.atUs)} in the worst case, held up most by ${refusal.bottleneck}`;
  }
}

/** The same in a few words, for a summary over many nodes. */
export function summarizeRefusals(refusals: readonly { readonly node: string; readonly refusal: Refusal }[]): string {
  const byReason = new Map<Refusal['reason'], { node: string; refusal: Refusal }[]>();
  for (const each of refusals) byReason.set(each.refusal.reason, [...(byReason.get(each.refusal.reason) ?? []), each]);
  const parts = [...byReason].map(([reason, all]) => `${all.length} ${reason}${best(all)}`);
  return `0/${refusals.length} nodes admit: ${parts.join(', ')}`;
}

function best(refusals: readonly { readonly node: string; readonly refusal: Refusal }[]): string {
  const ranked = [...refusals].sort((a, b) => severity(a.refusal) - severity(b.refusal));
  const { node, refusal } = ranked[0]!;
  switch (refusal.reason) {
    case 'UtilizationExceeded':
      return ` (best: ${node} at ${refusal.utilization.toFixed(2)})`;
    case 'DeadlineInfeasible':
      return ` (best: on ${node} ${refusal.late} would finish ${milliseconds(refusal.lateByUs)} late)`;
    case 'DeadlineShorterThanWCET':
      return ` (best: ${node} needs ${milliseconds(refusal.wcetUs)} for one frame)`;
    case 'ProfilePending':
      return '';
  }
}

/** How far from fitting; comparable within one reason. */
export function severity(refusal: Refusal): number {
  switch (refusal.reason) {
    case 'ProfilePending':
      return 0;
    case 'DeadlineShorterThanWCET':
      return refusal.wcetUs - refusal.availableUs;
    case 'UtilizationExceeded':
      return refusal.utilization;
    case 'DeadlineInfeasible':
      return refusal.lateByUs;
  }
}

export function explainOffer(offer: Offer): string {
  const parts = [
    ...(offer.framesPerSecond === undefined ? [] : [`${offer.framesPerSecond} frames per second`]),
    ...(offer.deadlineUs === undefined ? [] : [`a deadline of ${formatDurationUs(offer.deadlineUs)}`]),
    ...(offer.streams === undefined ? [] : [`${offer.streams} ${offer.streams === 1 ? 'stream' : 'streams'}`]),
  ];
  return parts.length === 0 ? 'nothing smaller fits now either' : `would fit now: ${parts.join(', or ')}`;
}

function milliseconds(us: number): string {
  return `${(us / 1000).toFixed(1)}ms`;
}
