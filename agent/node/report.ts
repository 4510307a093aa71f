import { withTransition } from '../../api/conditions.js';
import type { ResourceOf } from '../../api/manifests.js';
import { tenantKey } from '../../api/names.js';
import type { DeviceBooks } from '../serving/books.js';
import type { ServedTenant } from '../serving/tenant.js';

export type ScheduleStatus = NonNullable<ResourceOf<'NodeSchedule'>['status']>;
type Condition = NonNullable<ScheduleStatus['conditions']>[number];

interface TenantFigures {
  readonly namespace: string;
  readonly name: string;
  readonly framesPerSecond: number;
  readonly misses: number;
  readonly promisedFrames: number;
  readonly spareFrames: number;
  readonly onTime: number;
  readonly degraded?: { shape: number[]; since: string };
  readonly keptApart?: boolean;
}

/** One instant by the clocks that figures are kept by, and as it is written (RFC 3339). */
export interface Instant {
  readonly ms: number;
  readonly us: number;
  readonly now: string;
}

/** How the newest schedule fared. */
export interface Applied {
  readonly generation: number;
  /** Why it was not applied, by device; what was applied before goes on. */
  readonly refusals: ReadonlyMap<number, string>;
}

export interface NodeFacts {
  readonly applied: Applied;
  readonly endpoint: string;
  readonly devices: readonly DeviceFacts[];
}

export interface DeviceFacts {
  readonly device: number;
  /** Why nothing can be served on it now. */
  readonly failure: string | undefined;
  readonly tenants: readonly ServedTenant[];
  readonly books: DeviceBooks;
}

/** Frames answered and when they were counted, for rates. */
export interface Count {
  readonly atMs: number;
  readonly answered: ReadonlyMap<ServedTenant, number>;
}

export function countOf(tenants: readonly ServedTenant[], atMs: number): Count {
  return { atMs, answered: new Map(tenants.map((tenant) => [tenant, tenant.answered])) };
}

/** The status of the node's schedule. Pure; rates are over the time since `since`. */
export function scheduleStatus(
  { applied, endpoint, devices }: NodeFacts,
  since: Count,
  previous: ScheduleStatus | undefined,
  { now, ms: nowMs, us: nowUs }: Instant,
): ScheduleStatus {
  const condition = (type: string, reason: string, failure: string | undefined, message: string): Condition => {
    const status = failure === undefined ? 'True' : 'False';
    const said = { type, status, reason, message: failure ?? message, observedGeneration: applied.generation } as const;
    return withTransition(said, previous?.conditions, now);
  };
  const seconds = Math.max(0.001, (nowMs - since.atMs) / 1000);
  const rate = (tenant: ServedTenant): number => tenth((tenant.answered - (since.answered.get(tenant) ?? 0)) / seconds);
  const figuresOf = (tenants: readonly ServedTenant[]): TenantFigures[] =>
    tenants.map((tenant) => ({
      namespace: tenant.terms.namespace,
      name: tenant.terms.name,
      framesPerSecond: rate(tenant),
      misses: tenant.misses,
      promisedFrames: tenant.promisedFrames,
      spareFrames: tenant.spareFrames,
      onTime: tenant.outcomes.onTime,
      ...degradedOf(tenant, nowMs),
      ...(tenant.suspicion.apart(nowUs) ? { keptApart: true } : {}),
    }));
  const lost = devices.filter(({ failure }) => failure !== undefined);
  const onDevice = (device: number, why: string): string => (devices.length === 1 ? why : `device ${device}: ${why}`);
  const failure = lost.map(({ device, failure: why }) => onDevice(device, why ?? ''));
  const refused = [...applied.refusals].map(([device, why]) => onDevice(device, why));
  const refusal = refused.length === 0 ? undefined : refused.join('; ');
  const all = together(devices.flatMap(({ tenants }) => figuresOf(tenants)));
  return {
    observedGeneration: applied.generation,
    endpoint,
    reportedAt: now,
    framesPerSecond: tenth(all.reduce((sum, each) => sum + each.framesPerSecond, 0)),
    misses: all.reduce((sum, { misses }) => sum + misses, 0),
    conditions: [
      condition(
        'Applied',
        refusal === undefined ? 'Applied' : 'CheckFailed',
        refusal,
        'the agent serves by this schedule',
      ),
      condition(
        'DeviceReady',
        lost.length === 0 ? 'DeviceReady' : 'DeviceLost',
        lost.length === 0 ? undefined : failure.join('; '),
        devices.length === 1 ? 'the device runs jobs' : 'all devices run jobs',
      ),
    ],
    tenants: all,
    devices: devices.map(({ device, failure: why, tenants, books }) => {
      const figures = figuresOf(tenants);
      return {
        device,
        ...(why === undefined ? {} : { failure: why }),
        ...(applied.refusals.has(device) ? { refusal: applied.refusals.get(device)! } : {}),
        framesPerSecond: tenth(figures.reduce((sum, each) => sum + each.framesPerSecond, 0)),
        misses: figures.reduce((sum, { misses }) => sum + misses, 0),
        overruns: books.overruns,
      };
    }),
  };
}

/** Whether somebody waits for this report; figures may be up to ten seconds old. */
export function isUrgent(before: ScheduleStatus | undefined, after: ScheduleStatus): boolean {
  const urgentPart = (status: ScheduleStatus | undefined): string =>
    JSON.stringify([
      status?.observedGeneration,
      status?.endpoint,
      status?.conditions?.map(({ type, status: value, message }) => [type, value, message]),
      status?.devices?.map(({ failure, refusal }) => [failure, refusal]),
      status?.tenants?.flatMap(({ namespace, name, degraded, keptApart }) =>
        degraded === undefined && keptApart === undefined ? [] : [namespace, name, degraded !== undefined, keptApart],
      ),
    ]);
  return urgentPart(before) !== urgentPart(after);
}

function degradedOf(tenant: ServedTenant, nowMs: number): { degraded?: { shape: number[]; since: string } } {
  const degradation = tenant.degradation(nowMs);
  if (degradation === undefined) return {};
  return { degraded: { shape: [...degradation.shape], since: degradation.since } };
}

/** Figures of one tenant on several devices, as one. */
function together(figures: readonly TenantFigures[]): TenantFigures[] {
  const all = new Map<string, TenantFigures>();
  for (const each of figures) {
    const key = tenantKey(each);
    const known = all.get(key);
    all.set(
      key,
      known === undefined
        ? each
        : {
            ...known,
            ...each,
            framesPerSecond: tenth(known.framesPerSecond + each.framesPerSecond),
            misses: known.misses + each.misses,
            promisedFrames: known.promisedFrames + each.promisedFrames,
            spareFrames: known.spareFrames + each.spareFrames,
            onTime: known.onTime + each.onTime,
          },
    );
  }
  return [...all.values()];
}

const tenth = (value: number): number => Math.round(10 * value) / 10;

/** A report without the time it was made at. */
export function figuresOf(status: ScheduleStatus | undefined): object | undefined {
  return status === undefined ? undefined : { ...status, reportedAt: '' };
}
