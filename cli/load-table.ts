import { tenantKey } from '../api/names.js';
import { table } from './table.js';

/** One tenant as its cameras saw it. `sent` is the sum of the other counts. */
export interface LoadedTenant {
  readonly namespace: string;
  readonly name: string;
  readonly served: boolean;
  readonly sent: number;
  readonly answered: number;
  readonly refused: number;
  readonly failed: number;
  readonly timedOut: number;
  /** Answered, but later than the deadline as the client measures it. */
  readonly late: number;
  /** Promised frames that the agent says it answered late. */
  readonly misses: number;
  /** Frames answered in spare time, beyond what was promised. */
  readonly spare: number;
  /** Frames given up at once, because they could not be in time any more or for newer ones. */
  readonly dropped: number;
  readonly offeredFps: number;
  readonly servedFps: number;
  readonly meanBatch: number;
  readonly deadlineMs: number | null;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  readonly firstError?: string;
  /** Frames sent in each second that got no answer in time. */
  readonly missesBySecond: readonly number[];
}

export function loadTable(tenants: readonly LoadedTenant[]): string {
  const head = [
    'TENANT',
    'OFFERED',
    'SERVED',
    'SENT',
    'ANSWERED',
    'SPARE',
    'REFUSED',
    'DROPPED',
    'FAILED',
    'TIMED OUT',
    'MISSES',
    'BATCH',
    'P50 MS',
    'P99 MS',
    'MAX MS',
    'DEADLINE',
  ];
  const rows = tenants.map((tenant) =>
    tenant.served
      ? [
          tenantKey(tenant),
          tenant.offeredFps.toFixed(1),
          tenant.servedFps.toFixed(1),
          ...[tenant.sent, tenant.answered, tenant.spare, tenant.refused, tenant.dropped].map(String),
          ...[tenant.failed, tenant.timedOut, tenant.misses].map(String),
          tenant.meanBatch.toFixed(2),
          ...(tenant.latencyMs === null
            ? ['', '', '']
            : [tenant.latencyMs.p50, tenant.latencyMs.p99, tenant.latencyMs.max].map((ms) => ms.toFixed(1))),
          tenant.deadlineMs === null ? '' : tenant.deadlineMs.toFixed(0),
        ]
      : [tenantKey(tenant), ...Array.from({ length: 15 }, () => '')],
  );
  const notes = tenants.flatMap((tenant) => [
    ...(tenant.served ? [] : [`${tenantKey(tenant)} is not served by the target; nothing was sent`]),
    ...(tenant.firstError === undefined ? [] : [`${tenantKey(tenant)}: first failure: ${tenant.firstError}`]),
  ]);
  return [table(head, rows), ...notes].join('\n');
}
