import { formatDurationUs } from '../../api/duration.js';
import { coverageText } from '../../api/frames.js';
import { categoryName } from '../../api/names.js';
import type { FullOffer } from './explain.js';
import { shareOf } from './plan.js';
import type { Held, Plans } from './plans.js';
import type { Reason } from './reasons.js';
import type { TenantRequest } from './request.js';

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
  /** What the promise costs of the team's quota, in device-milliseconds a second; undefined: nothing limits it. */
  readonly charged?: number;
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

/** Why a tenant is not admitted. */
export interface Answer {
  readonly reason: Reason;
  readonly message: string;
  readonly refusals?: readonly NodeReason[];
  readonly offer?: FullOffer;
}

/** @param answer why it is not admitted; undefined: it has what it asks for */
export function verdictOf(request: TenantRequest, plans: Plans, answer: Answer | undefined): Verdict {
  const { namespace, name } = request;
  const key = request.key;
  const held = plans.held(key);
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
    ...plans.spareOf(key).map((each) => placementOf(each, false)),
  ];
  const utilization = held
    .flatMap(({ plan }) => plan.categories)
    .reduce((sum, category) => sum + shareOf(category, key), 0);
  const charged = chargeOf(request, held, plans);
  const where = placements
    .map(({ node, streams, gapUs, quota, softly, covers }) =>
      gapUs === undefined
        ? `${streams} on ${node} in spare time`
        : `${streams} on ${node}, visited at least every ${(gapUs / 1000).toFixed(1)}ms for up to ${quota ?? 0} frames (${covers ?? ''})${softly ? ', promised softly: at most 0.1% late' : ''}`,
    )
    .join('; ');
  const inPart = answer?.reason === 'AdmittedInPart';
  const admitted = held.length > 0 && (answer === undefined || inPart);
  const stands = held.length > 0 && answer !== undefined && !inPart && answer.reason !== 'NodeLost';
  const real = held.filter(({ placed }) => placed.request.class === 'RealTime');
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
    ...(real.length === 0 || !(admitted || stands) ? {} : { promised: promisedText(real) }),
    ...(charged === undefined ? {} : { charged }),
    ...(answer?.refusals === undefined ? {} : { refusals: answer.refusals }),
    ...(answer?.offer === undefined ? {} : { offer: answer.offer }),
  };
}

/** To a tenth. */
function chargeOf({ namespace }: TenantRequest, held: readonly Held[], { quotas }: Plans): number | undefined {
  if (quotas?.of(namespace) === undefined || held.length === 0) return undefined;
  const costs = held.map(({ plan, placed: { request, streams } }) => quotas.chargeOn(plan.device, request, streams));
  return Math.round(10 * costs.reduce((sum, cost) => sum + cost, 0)) / 10;
}

/** For a column of a table, such as 4x10fps/250ms. */
function promisedText(held: readonly Held[]): string {
  const { periodUs, deadlineUs } = held[0]!.placed.request;
  const streams = held.reduce((sum, { placed }) => sum + placed.streams, 0);
  const framesPerSecond = Math.round(1e8 / periodUs) / 100;
  return `${streams}x${framesPerSecond}fps${deadlineUs === Infinity ? '' : `/${formatDurationUs(deadlineUs)}`}`;
}
