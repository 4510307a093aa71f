import { withTransition } from '../api/conditions.js';
import { parseDurationUs } from '../api/duration.js';
import { shapeText } from '../api/names.js';
import { writtenOffer } from './admission/explain.js';
import { isWaiting } from './admission/reasons.js';
import type { Answer } from './answer.js';
import type { TenantObject } from './objects.js';

export type TenantStatus = NonNullable<TenantObject['status']>;
export type Condition = NonNullable<TenantStatus['conditions']>[number];

/** What a node's agent last said, as far as one tenant is concerned. */
export interface NodeReport {
  /** Whether the agent serves by the newest schedule. */
  readonly current: boolean;
  readonly applied: Pick<Condition, 'status' | 'message'> | undefined;
  /** Why a device that it is placed on serves nothing now. */
  readonly deviceFailure: string | undefined;
  /** Undefined: never heard of. */
  readonly silent: boolean | undefined;
  readonly endpoint: string | undefined;
  /** Why what the agent says about where it is reached is not taken. */
  readonly endpointRefused?: string;
  /** Promised frames answered late or given up. */
  readonly misses: number;
  readonly promisedFrames: number;
  readonly spareFrames: number;
  /** Of both, those that were answered in time. */
  readonly onTime: number;
  /** That its frames are computed at a smaller shape there, and since when. */
  readonly degraded: { readonly shape: readonly number[]; readonly since: string } | undefined;
  /** That the network fails on its frames there again and again. */
  readonly keptApart: boolean;
}

/** Why clients cannot come to a tenant whose frames are answered. */
export interface Obstacle {
  readonly reason: string;
  readonly message: string;
}

/** The Reasons with which an admitted tenant's waiting goes on are told by what happened to it. */
const LASTING = new Set(['Preempted', 'Reclaimed', 'NodeLost']);

/**
 * The status that a tenant should have. Pure: `previous` gives the conditions whose transition times are kept.
 *
 * @param now RFC 3339
 * @param url where its frames go to
 * @param obstacle what its Service lacks
 */
export function tenantStatus(
  tenant: TenantObject,
  verdict: Answer,
  reportOf: (node: string) => NodeReport,
  previous: TenantStatus | undefined,
  now: string,
  url: string,
  obstacle?: Obstacle,
): TenantStatus {
  const { generation } = verdict;
  const before = (type: string): Condition | undefined => previous?.conditions?.find((each) => each.type === type);
  const condition = (type: string, status: Condition['status'], reason: string, message: string): Condition => {
    return withTransition({ type, status, reason, message, observedGeneration: generation }, previous?.conditions, now);
  };

  const known = before('Admitted');
  const lasts =
    !verdict.admitted && isWaiting(verdict.reason) && known?.status === 'False' && LASTING.has(known.reason);
  const admitted = condition(
    'Admitted',
    verdict.admitted ? 'True' : 'False',
    lasts ? known.reason : verdict.reason,
    verdict.message,
  );

  // A node reports of all its devices together.
  const byNode = new Map(verdict.placements.map(({ node }) => [node, { node, ...reportOf(node) }]));
  const reports = [...byNode.values()];
  const places = (list: TenantStatus['placements']): string =>
    JSON.stringify((list ?? []).map(({ node, device, streams, category }) => [node, device, streams, category]));
  const moved = places(previous?.placements) !== places([...verdict.placements]);
  const stands = before('Programmed')?.status === 'True' && !moved;
  const placements = verdict.placements.map((placement) => {
    const report = byNode.get(placement.node)!;
    const { endpoint } = report;
    const ready = readyOf([report], programmedOf([report], stands).status, undefined).status === 'True';
    return { ...placement, ...(endpoint === undefined ? {} : { endpoint }), ready };
  });
  const programmed = programmedOf(reports, stands);
  const ready = readyOf(reports, programmed.status, obstacle);
  const degraded = degradedOf(reports);
  const offer = writtenOffer(verdict.offer);
  const total = (figure: (report: NodeReport) => number): number =>
    reports.reduce((sum, each) => sum + figure(each), 0);
  const promisedFrames = total((report) => report.promisedFrames);
  const spareFrames = total((report) => report.spareFrames);

  return {
    observedGeneration: generation,
    conditions: [
      admitted,
      condition('Programmed', programmed.status, programmed.reason, programmed.message),
      condition('Ready', ready.status, ready.reason, ready.message),
      ...(placements.length === 0 ? [] : [condition('Degraded', degraded.status, degraded.reason, degraded.message)]),
      ...spareConditions(placements, condition),
      ...borrowingConditions(verdict, condition),
      ...apartConditions(reports, condition),
      ...(verdict.stands === undefined
        ? []
        : [
            condition(
              'PreviousPromise',
              'True',
              'GoesOn',
              `what was promised before the tenant was changed goes on: streams: ${verdict.stands}`,
            ),
          ]),
    ],
    placements,
    url,
    streams: placements.reduce((sum, { promised, streams }) => sum + (promised ? streams : 0), 0),
    ...(placements.length === 0 ? {} : { nodes: [...byNode.keys()].join(',') }),
    framesPerSecond: framesPerSecond(tenant.spec),
    ...(verdict.promised === undefined
      ? {}
      : {
          promised: verdict.promised,
          utilization: verdict.utilization.toFixed(3),
          ...(verdict.charged === undefined ? {} : { charged: verdict.charged }),
          misses: total(({ misses }) => misses),
        }),
    ...(verdict.refusals === undefined ? {} : { refusals: [...verdict.refusals] }),
    promisedFrames,
    spareFrames,
    ...(promisedFrames + spareFrames === 0
      ? {}
      : { onTimeRatio: (total(({ onTime }) => onTime) / (promisedFrames + spareFrames)).toFixed(3) }),
    ...(offer === undefined ? {} : { offer }),
  };
}

/** Since when a tenant's frames are answered without a promise, and that they are. */
function spareConditions(
  placements: readonly { readonly promised: boolean; readonly node: string }[],
  condition: (type: string, status: Condition['status'], reason: string, message: string) => Condition,
): Condition[] {
  if (placements.length === 0 || placements.some(({ promised }) => promised)) return [];
  const nodes = [...new Set(placements.map(({ node }) => node))].join(', ');
  const message = `frames are answered on ${nodes} in time that nobody was promised; status.onTimeRatio tells how many in time`;
  return [condition('ServedInSpareTime', 'True', 'NoPromise', message)];
}

/** That a promise is beyond the team's nominal share, and may have to be given back. */
function borrowingConditions(
  { borrowing }: Answer,
  condition: (type: string, status: Condition['status'], reason: string, message: string) => Condition,
): Condition[] {
  if (borrowing === undefined) return [];
  const [reason, message] =
    borrowing === 'Borrowed'
      ? [
          'BeyondNominal',
          "the promise is beyond the team's nominal share (kubectl get tenantshares); it is given back, after a notice, when a team of the cohort that is within its own asks for it",
        ]
      : [
          'ReclaimNotice',
          'a team of the cohort that is within its nominal share asks for what was borrowed; the promise is withdrawn when the notice is over, unless room is found before',
        ];
  return [condition('Borrowed', 'True', reason, message)];
}

/** That a tenant's frames run apart from others', because they spoil batches. */
function apartConditions(
  reports: readonly (NodeReport & { node: string })[],
  condition: (type: string, status: Condition['status'], reason: string, message: string) => Condition,
): Condition[] {
  const nodes = reports.filter(({ keptApart }) => keptApart).map(({ node }) => node);
  if (nodes.length === 0) return [];
  const message = `the network fails on this tenant's frames again and again on ${nodes.join(', ')}, so they run one by one and without a promise until a minute has passed without; look at the frames, and at what the answers of those that fail say`;
  return [condition('KeptApart', 'True', 'FramesFail', message)];
}

type Words = Pick<Condition, 'status' | 'reason' | 'message'>;

function programmedOf(reports: readonly (NodeReport & { node: string })[], stands: boolean): Words {
  if (reports.length === 0) return { status: 'False', reason: 'NotPlaced', message: 'no node serves this tenant' };
  const condition = (status: Words['status'], reason: string, message: string): Words => ({
    status,
    reason,
    message,
  });
  const names = (some: readonly { node: string }[]): string => some.map(({ node }) => node).join(', ');

  const refused = reports.find(({ current, applied }) => current && applied?.status === 'False');
  if (refused !== undefined)
    return condition('False', 'ScheduleRefused', `${refused.node}: ${refused.applied?.message ?? ''}`);
  const silent = reports.filter((report) => report.silent === true);
  if (silent.length > 0)
    return condition('Unknown', 'AgentSilent', `the agent of ${names(silent)} has not reported for a while`);
  const pending = reports.filter(({ current, applied }) => !current || applied?.status !== 'True');
  if (pending.length === 0) return condition('True', 'Programmed', `served by ${names(reports)}`);
  // Another tenant's coming or going changes the schedule as well; this one's part of it stands meanwhile.
  if (stands) return condition('True', 'Programmed', `served by ${names(reports)}`);
  const unheard = pending.filter((report) => report.silent === undefined);
  return unheard.length > 0
    ? condition('False', 'AgentPending', `the agent of ${names(unheard)} has not reported yet`)
    : condition('False', 'SchedulePending', `the agent of ${names(pending)} has yet to apply the schedule`);
}

function readyOf(
  reports: readonly (NodeReport & { node: string })[],
  programmed: Condition['status'],
  obstacle: Obstacle | undefined,
): Words {
  if (programmed !== 'True')
    return { status: programmed, reason: 'NotProgrammed', message: 'see the Programmed condition' };
  const down = reports.find(({ deviceFailure }) => deviceFailure !== undefined);
  if (down !== undefined)
    return { status: 'False', reason: 'DeviceNotReady', message: `${down.node}: ${down.deviceFailure ?? ''}` };
  const refused = reports.find(({ endpointRefused }) => endpointRefused !== undefined);
  if (refused !== undefined)
    return { status: 'False', reason: 'EndpointRefused', message: `${refused.node}: ${refused.endpointRefused ?? ''}` };
  if (obstacle !== undefined) return { status: 'False', ...obstacle };
  return { status: 'True', reason: 'Serving', message: 'frames are answered' };
}

function degradedOf(reports: readonly (NodeReport & { node: string })[]): Words {
  const degradations = reports.flatMap(({ node, degraded }) =>
    degraded === undefined ? [] : [`${node} computes at ${shapeText(degraded.shape)} since ${degraded.since}`],
  );
  return degradations.length === 0
    ? { status: 'False', reason: 'FullShape', message: 'frames are computed at the shape that was asked for' }
    : {
        status: 'True',
        reason: 'Overrun',
        message: `${degradations.join(', ')}: runs take longer than measured, and this tenant allows a smaller shape (spec.degradation)`,
      };
}

function framesPerSecond({ period, framesPerSecond: fps }: TenantObject['spec']): number {
  try {
    return fps ?? Math.round(1e9 / parseDurationUs(period ?? '1s')) / 1000;
  } catch {
    return 0; // of an object that cannot be read
  }
}

/** Whether anybody waits for this change; other figures may be a little old. */
export function isUrgent(before: TenantStatus | undefined, after: TenantStatus): boolean {
  const urgentPart = (status: TenantStatus | undefined): string =>
    JSON.stringify([
      status?.observedGeneration,
      status?.conditions?.map(({ type, status: value, reason }) => [type, value, reason]),
      status?.placements?.map(({ node, device, streams, category, endpoint, ready }) => [
        node,
        device,
        streams,
        category,
        endpoint,
        ready,
      ]),
    ]);
  return urgentPart(before) !== urgentPart(after);
}
