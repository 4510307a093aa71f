import { parseDurationUs } from '../api/duration.js';
import type { ResourceOf } from '../api/manifests.js';
import type { Streams } from '../sched/category.js';

/** What a tenant asks for, in the scheduler's units. */
export interface TenantRequest {
  readonly namespace: string;
  readonly name: string;
  readonly model: string;
  readonly shape: readonly number[];
  readonly class: 'RealTime' | 'BestEffort';
  readonly streams: number;
  readonly periodUs: number;
  readonly jitterUs: number;
  /** Infinity for a best-effort tenant without one. */
  readonly deadlineUs: number;
  readonly strategy: 'Pack' | 'Spread';
  readonly allowSplit: boolean;
}

export function requestOf({ metadata, spec }: ResourceOf<'InferenceTenant'>): TenantRequest {
  const periodUs =
    spec.period !== undefined ? parseDurationUs(spec.period) : Math.floor(1_000_000 / (spec.framesPerSecond ?? 1));
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    model: spec.modelRef.name,
    shape: spec.inputShape,
    class: spec.class ?? 'RealTime',
    streams: spec.streams ?? 1,
    periodUs,
    jitterUs: spec.jitter === undefined ? Math.floor(periodUs / 10) : parseDurationUs(spec.jitter),
    deadlineUs: spec.deadline === undefined ? Infinity : parseDurationUs(spec.deadline),
    strategy: spec.placement?.strategy ?? 'Pack',
    allowSplit: spec.placement?.allowSplit ?? false,
  };
}

export function tenantKey({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}

/** Whether two requests ask for the same, so that what was decided on one holds for the other. */
export function sameRequest(a: TenantRequest, b: TenantRequest): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A category's name: frames of one model and one input shape can share a batch. */
export function categoryName(model: string, shape: readonly number[]): string {
  return `${model}@${shape.join('x')}`;
}

/** The tenant's streams as one device's admission test sees them; `ingestUs` is the agent's own share of the time. */
export function streamsOn(request: TenantRequest, count: number, ingestUs: number): Streams {
  return {
    count,
    periodUs: request.periodUs,
    jitterUs: request.jitterUs + ingestUs,
    deadlineUs: request.deadlineUs - ingestUs,
  };
}
