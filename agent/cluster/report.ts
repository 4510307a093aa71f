import type { ResourceOf } from '../../api/manifests.js';
import type { DeviceBooks } from '../agent.js';
import type { ServedTenant } from '../tenant.js';

export type ScheduleStatus = NonNullable<ResourceOf<'NodeSchedule'>['status']>;
type Condition = NonNullable<ScheduleStatus['conditions']>[number];

/** How the newest schedule fared. */
export interface Applied {
  readonly generation: number;
  /** Why it was not applied; what was applied before goes on. */
  readonly refusal?: string;
}

export interface NodeFacts {
  readonly applied: Applied;
  readonly deviceFailure: string | undefined;
  readonly endpoint: string;
  readonly tenants: readonly ServedTenant[];
  readonly books: DeviceBooks;
}

/** Frames answered and when they were counted, for rates. */
export interface Count {
  readonly atMs: number;
  readonly answered: ReadonlyMap<string, number>;
}

export function countOf(tenants: readonly ServedTenant[], atMs: number): Count {
  return { atMs, answered: new Map(tenants.map((tenant) => [nameOf(tenant), tenant.answered])) };
}

/** The status of the node's schedule. Pure; rates are over the time since `since`. */
export function scheduleStatus(
  { applied, deviceFailure, endpoint, tenants, books }: NodeFacts,
  since: Count,
  previous: ScheduleStatus | undefined,
  nowMs: number,
): ScheduleStatus {
  const now = new Date(nowMs).toISOString();
  const condition = (type: string, reason: string, failure: string | undefined, message: string): Condition => {
    const status = failure === undefined ? 'True' : 'False';
    const old = previous?.conditions?.find((each) => each.type === type);
    return {
      type,
      status,
      reason,
      message: failure ?? message,
      observedGeneration: applied.generation,
      lastTransitionTime: old?.status === status ? old.lastTransitionTime : now,
    };
  };
  const seconds = Math.max(0.001, (nowMs - since.atMs) / 1000);
  const rate = (tenant: ServedTenant): number =>
    Math.round((10 * (tenant.answered - (since.answered.get(nameOf(tenant)) ?? 0))) / seconds) / 10;
  const figures = tenants.map((tenant) => ({
    namespace: tenant.terms.namespace,
    name: tenant.terms.name,
    framesPerSecond: rate(tenant),
    misses: tenant.misses,
    ...degradedOf(tenant, nowMs),
  }));
  const { refusal } = applied;
  return {
    observedGeneration: applied.generation,
    endpoint,
    reportedAt: now,
    conditions: [
      condition(
        'Applied',
        refusal === undefined ? 'Applied' : 'CheckFailed',
        refusal,
        'the agent serves by this schedule',
      ),
      condition(
        'DeviceReady',
        deviceFailure === undefined ? 'DeviceReady' : 'DeviceLost',
        deviceFailure,
        'the device runs jobs',
      ),
    ],
    tenants: figures,
    devices: [
      {
        device: 0,
        framesPerSecond: Math.round(10 * figures.reduce((sum, each) => sum + each.framesPerSecond, 0)) / 10,
        misses: figures.reduce((sum, { misses }) => sum + misses, 0),
        overruns: books.overruns,
      },
    ],
  };
}

/** Whether somebody waits for this report; figures may be up to ten seconds old. */
export function isUrgent(before: ScheduleStatus | undefined, after: ScheduleStatus): boolean {
  const gist = (status: ScheduleStatus | undefined): string =>
    JSON.stringify([
      status?.observedGeneration,
      status?.endpoint,
      status?.conditions?.map(({ type, status: value, message }) => [type, value, message]),
      status?.tenants?.flatMap(({ namespace, name, degraded }) => (degraded === undefined ? [] : [namespace, name])),
    ]);
  return gist(before) !== gist(after);
}

function degradedOf(tenant: ServedTenant, nowMs: number): { degraded?: { shape: number[]; since: string } } {
  const degradation = tenant.degradation(nowMs);
  if (degradation === undefined) return {};
  return { degraded: { shape: [...degradation.shape], since: new Date(degradation.sinceMs).toISOString() } };
}

function nameOf({ terms }: ServedTenant): string {
  return `${terms.namespace}/${terms.name}`;
}
