import { isDeepStrictEqual } from 'node:util';
import { parseDurationUs } from '../../api/duration.js';
import type { Covered } from '../../api/frames.js';
import { declaredFrames } from '../../api/frames.js';
import type { ResourceOf } from '../../api/manifests.js';
import { tenantKey } from '../../api/names.js';
import type { Senders } from '../../api/senders.js';
import { sendersOf } from '../../api/senders.js';

/** What a tenant asks for, in the scheduler's units. */
export interface TenantRequest {
  /** `<namespace>/<name>` */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly model: string;
  readonly shape: readonly number[];
  readonly class: 'RealTime' | 'BestEffort';
  readonly streams: number;
  /** How many of them may be promised where not all can be; all or none when undefined. */
  readonly minStreams?: number | undefined;
  readonly periodUs: number;
  readonly jitterUs: number;
  /** Infinity for a best-effort tenant without one. */
  readonly deadlineUs: number;
  /** The smallest shape it may be degraded to; undefined: never. */
  readonly minShape?: readonly number[] | undefined;
  /** Whether frames beyond what it was promised, and all while nothing is, are served in spare time. */
  readonly beyondPromise: 'Serve' | 'Refuse';
  /** Whether a newer spare frame of a stream replaces older ones that wait. */
  readonly spareFrames: 'All' | 'Latest';
  /** What it says that it sends; undefined: it does not say. */
  readonly frames?: Covered | undefined;
  /** Whether the jitter was given, and so stays what it is at another rate; a tenth of the period otherwise. */
  readonly jitterGiven: boolean;
  /** What becomes of its frames that are too late. */
  readonly lateFrames: 'Serve' | 'Drop';
  readonly strategy: 'Pack' | 'Spread';
  readonly allowSplit: boolean;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
  /** Of its PriorityClass; who has more is decided first and may preempt who has less. */
  readonly priority: number;
  /** Whether it may preempt at all (PriorityClass.preemptionPolicy). */
  readonly preempts: boolean;
  /** Its spec.priorityClassName. */
  readonly className?: string | undefined;
  /** The same, where there is no such PriorityClass. */
  readonly unknownClass?: string | undefined;
  /** The same, where tenants may not have that class. */
  readonly forbiddenClass?: string | undefined;
  /** Whether it wants nothing for now, not even what it was promised. */
  readonly suspended: boolean;
  /** Who may send its frames: no part of what is asked of a device. Undefined: its namespace's service accounts. */
  readonly senders?: Senders | undefined;
  /** The generation of the InferenceTenant that asks for this. */
  readonly generation: number;
}

export interface Toleration {
  readonly key?: string;
  readonly operator?: 'Exists' | 'Equal';
  readonly value?: string;
  readonly effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

/** A PriorityClass as far as placement is concerned. */
export interface Priority {
  readonly priority: number;
  readonly preempts: boolean;
  readonly unknownClass?: string | undefined;
  readonly forbiddenClass?: string | undefined;
}

const ORDINARY: Priority = { priority: 0, preempts: true };

export function requestOf(
  tenant: ResourceOf<'InferenceTenant'>,
  { priority, preempts, unknownClass, forbiddenClass }: Priority = ORDINARY,
): TenantRequest {
  const { metadata, spec } = tenant;
  const periodUs =
    spec.period !== undefined ? parseDurationUs(spec.period) : Math.floor(1_000_000 / (spec.framesPerSecond ?? 1));
  return {
    key: tenantKey(metadata),
    namespace: metadata.namespace,
    name: metadata.name,
    model: spec.modelRef.name,
    shape: spec.inputShape,
    class: spec.class ?? 'RealTime',
    streams: spec.streams ?? 1,
    minStreams: spec.minStreams,
    periodUs,
    jitterUs: spec.jitter === undefined ? defaultJitterUs(periodUs) : parseDurationUs(spec.jitter),
    deadlineUs: spec.deadline === undefined ? Infinity : parseDurationUs(spec.deadline),
    minShape: spec.degradation?.minShape,
    // All that is BestEffort is beyond a promise.
    beyondPromise: spec.class === 'BestEffort' ? 'Serve' : (spec.beyondPromise ?? 'Serve'),
    spareFrames: spec.spareFrames ?? 'All',
    frames: declaredFrames(spec.frames),
    jitterGiven: spec.jitter !== undefined,
    lateFrames: spec.lateFrames ?? 'Serve',
    strategy: spec.placement?.strategy ?? 'Pack',
    allowSplit: spec.placement?.allowSplit ?? false,
    nodeSelector: spec.placement?.nodeSelector ?? {},
    tolerations: spec.placement?.tolerations ?? [],
    priority,
    preempts,
    className: spec.priorityClassName,
    unknownClass,
    forbiddenClass,
    suspended: spec.suspend ?? false,
    senders: sendersOf(tenant),
    generation: metadata.generation ?? 0,
  };
}

/** What a manifest without `spec.jitter` means. */
export const defaultJitterUs = (periodUs: number): number => Math.floor(periodUs / 10);

/** Whether two requests ask for the same, so that what was decided on one holds for the other. Rank is no request. */
export function sameRequest(a: TenantRequest, b: TenantRequest): boolean {
  if (a === b) return true;
  const asked = ({
    generation: _g,
    priority: _p,
    preempts: _q,
    unknownClass: _u,
    forbiddenClass: _f,
    className: _c,
    jitterGiven: _j,
    senders: _s,
    ...rest
  }: TenantRequest): object => rest;
  return isDeepStrictEqual(asked(a), asked(b));
}
