import { tenantKey, tenantPath } from '../api/names.js';
import type { Standalone } from './standalone.js';
import { table } from './table.js';

export interface TenantReport {
  readonly namespace: string;
  readonly name: string;
  readonly admitted: boolean;
  readonly reason: string;
  readonly message: string;
  readonly frames: Readonly<Record<string, number>>;
  readonly misses: number;
  /** Frames computed at a smaller shape. */
  readonly degraded: number;
  readonly meanBatch: number | null;
  readonly deadlineMs: number | null;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
}

export interface StandaloneReport {
  readonly seconds: number;
  readonly tenants: readonly TenantReport[];
  readonly devices: readonly {
    readonly admittedUtilization: number;
    readonly busy: number;
    readonly jobs: number;
    readonly overruns: number;
  }[];
}

/** What has happened since the start, tenant by tenant. */
export function reportOf({ devices, decision }: Standalone, servingSinceMs: number): StandaloneReport {
  const seconds = (performance.now() - servingSinceMs) / 1000;
  const books = devices.books();
  return {
    seconds,
    tenants: decision.verdicts.map(({ namespace, name, admitted, reason, message }) => {
      const key = tenantKey({ namespace, name });
      const tenant = books.get(key);
      const deadlineUs = devices.serving(tenantPath({ namespace, name }))[0]?.tenant.terms.deadlineUs ?? Infinity;
      const answered = tenant?.answered ?? 0;
      const ms = (us: number): number => us / 1000;
      return {
        namespace,
        name,
        admitted,
        reason,
        message,
        frames: { ...tenant?.outcomes },
        misses: tenant?.misses ?? 0,
        degraded: tenant?.degradedFrames ?? 0,
        meanBatch: tenant === undefined || answered === 0 ? null : tenant.batchSum / answered,
        deadlineMs: deadlineUs === Infinity ? null : ms(deadlineUs),
        latencyMs:
          tenant === undefined || answered === 0
            ? null
            : {
                p50: ms(tenant.latencyUs.percentile(50)),
                p99: ms(tenant.latencyUs.percentile(99)),
                max: ms(tenant.latencyUs.max),
              },
      };
    }),
    devices: devices.units.map(({ service: { index, books: own } }) => ({
      admittedUtilization: decision.devices.find(({ schedule }) => schedule.device === index)?.utilization ?? 0,
      busy: own.busyUs / 1e6 / seconds,
      jobs: own.jobs,
      overruns: own.overruns,
    })),
  };
}

export function reportTable({ seconds, tenants, devices }: StandaloneReport): string {
  const number = (value: number | null | undefined): string =>
    value === null || value === undefined ? '' : value.toFixed(1);
  const rows = tenants.map(
    ({ namespace, name, admitted, frames, misses, degraded, meanBatch, deadlineMs, latencyMs }) => [
      tenantKey({ namespace, name }),
      admitted ? 'yes' : 'no',
      String((frames['onTime'] ?? 0) + (frames['late'] ?? 0)),
      String(misses),
      String(degraded),
      String(frames['refused'] ?? 0),
      String((frames['invalid'] ?? 0) + (frames['failed'] ?? 0) + (frames['gone'] ?? 0)),
      number(meanBatch),
      number(latencyMs?.p50),
      number(latencyMs?.p99),
      number(latencyMs?.max),
      number(deadlineMs),
    ],
  );
  const head = [
    'TENANT',
    'ADMITTED',
    'ANSWERED',
    'MISSES',
    'DEGRADED',
    'REFUSED',
    'FAILED',
    'BATCH',
    'P50 MS',
    'P99 MS',
    'MAX MS',
    'DEADLINE',
  ];
  const refused = tenants
    .filter(({ admitted }) => !admitted)
    .map(({ namespace, name, reason, message }) => `${namespace}/${name}: ${reason}: ${message}`);
  return [
    table(head, rows),
    ...refused,
    ...devices.map(
      ({ admittedUtilization, busy, jobs, overruns }, i) =>
        `device ${i}: ${(admittedUtilization * 100).toFixed(1)}% promised, ${(busy * 100).toFixed(1)}% busy over ${seconds.toFixed(1)}s, ${jobs} jobs, ${overruns} overruns`,
    ),
  ].join('\n');
}
