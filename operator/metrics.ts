import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { ADMITTED_REASONS } from './admission/reasons.js';

/** What is looked up when metrics are asked for. What is decided is known to the leader alone. */
export interface Lookups {
  readonly depths: () => ReadonlyMap<string, number>;
  readonly silence: () => ReadonlyMap<string, number>;
  /** By node: 1 when its agent does not report, else 0. */
  readonly silentAgents: () => ReadonlyMap<string, number>;
  readonly reasons: () => ReadonlyMap<string, number>;
  /** What each team has of each kind of device, in device-milliseconds a second. */
  readonly shares: () => Iterable<{
    readonly quota: string;
    readonly flavor: string;
    readonly nominal: number;
    readonly used: number;
  }>;
  readonly plans: () => Iterable<{
    readonly device: { readonly node: string; readonly device: number };
    readonly utilization: number;
  }>;
  readonly admitted: () => Iterable<{
    readonly namespace: string;
    readonly name: string;
    readonly admitted: boolean;
    readonly stands?: string;
  }>;
}

/** All that the operator exports. */
export class OperatorMetrics {
  readonly registry = new Registry();
  readonly decisions = new Counter({
    name: 'deeprt_admission_decisions_total',
    help: 'Admission decisions by reason; a tenant counts when its answer changes.',
    labelNames: ['reason'],
    registers: [this.registry],
  });
  readonly reconciles = new Histogram({
    name: 'deeprt_reconcile_duration_seconds',
    help: 'Time from a batch of changes to the recorded decision on it.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });
  readonly leading = new Gauge({
    name: 'deeprt_operator_leading',
    help: '1 while this process decides.',
    registers: [this.registry],
  });
  readonly failures = new Counter({
    name: 'deeprt_reconcile_failures_total',
    help: 'Attempts to bring a tenant or model in line that failed and are repeated.',
    registers: [this.registry],
  });

  /** Figures that are looked up when they are asked for. */
  constructor(lookups: Lookups) {
    collectDefaultMetrics({ register: this.registry });
    // A counter that is not there yet looks like nothing is known.
    for (const reason of ADMITTED_REASONS) this.decisions.inc({ reason }, 0);
    const gauge = (
      name: string,
      help: string,
      labelNames: string[],
      values: () => Iterable<readonly [labels: Record<string, string>, value: number]>,
    ): void => {
      new Gauge({
        name,
        help,
        labelNames,
        registers: [this.registry],
        collect() {
          this.reset();
          for (const [labels, value] of values()) this.set(labels, value);
        },
      });
    };
    const gaugeBy = (name: string, help: string, label: string, values: () => ReadonlyMap<string, number>): void =>
      gauge(name, help, [label], () => [...values()].map(([key, value]) => [{ [label]: key }, value]));
    const { depths, silence, silentAgents, reasons, shares, plans, admitted } = lookups;
    gaugeBy('deeprt_work_queue_depth', 'Keys that wait for their turn.', 'queue', depths);
    gaugeBy('deeprt_informer_silence_seconds', 'Time since anything was heard of a kind.', 'kind', silence);
    gaugeBy('deeprt_agent_silent', '1 while the agent of a node with promises does not report.', 'node', silentAgents);
    gaugeBy('deeprt_tenants', 'Tenants by the reason of their Admitted condition.', 'reason', reasons);
    for (const [name, help, figure] of [
      ['deeprt_quota_nominal', "A team's nominal share, in device-milliseconds a second.", 'nominal'],
      ['deeprt_quota_used', "What a team's promises cost, in device-milliseconds a second.", 'used'],
    ] as const)
      gauge(name, help, ['quota', 'flavor'], () =>
        [...shares()].map(({ quota, flavor, ...figures }) => [{ quota, flavor }, figures[figure]]),
      );
    gauge('deeprt_admitted_utilization_ratio', 'Share of a device that was promised.', ['node', 'device'], () =>
      [...plans()].map(({ device: { node, device }, utilization }) => [{ node, device: `${device}` }, utilization]),
    );
    const help = '1 for a tenant that has a place, 0 for one that has none.';
    gauge('deeprt_tenant_admitted', help, ['namespace', 'tenant'], () =>
      [...admitted()].map(({ namespace, name: tenant, admitted: value, stands }) => [
        { namespace, tenant },
        value || stands !== undefined ? 1 : 0,
      ]),
    );
  }
}
