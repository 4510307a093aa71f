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
    const gauge = (name: string, help: string, label: string, values: () => ReadonlyMap<string, number>): void => {
      new Gauge({
        name,
        help,
        labelNames: [label],
        registers: [this.registry],
        collect() {
          this.reset();
          for (const [key, value] of values()) this.set({ [label]: key }, value);
        },
      });
    };
    const { depths, silence, silentAgents, reasons, shares, plans, admitted } = lookups;
    gauge('deeprt_work_queue_depth', 'Keys that wait for their turn.', 'queue', depths);
    gauge('deeprt_informer_silence_seconds', 'Time since anything was heard of a kind.', 'kind', silence);
    gauge('deeprt_agent_silent', '1 while the agent of a node with promises does not report.', 'node', silentAgents);
    gauge('deeprt_tenants', 'Tenants by the reason of their Admitted condition.', 'reason', reasons);
    for (const [name, help, figure] of [
      ['deeprt_quota_nominal', "A team's nominal share, in device-milliseconds a second.", 'nominal'],
      ['deeprt_quota_used', "What a team's promises cost, in device-milliseconds a second.", 'used'],
    ] as const)
      new Gauge({
        name,
        help,
        labelNames: ['quota', 'flavor'],
        registers: [this.registry],
        collect() {
          this.reset();
          for (const { quota, flavor, ...figures } of shares()) this.set({ quota, flavor }, figures[figure]);
        },
      });
    new Gauge({
      name: 'deeprt_admitted_utilization_ratio',
      help: 'Share of a device that was promised.',
      labelNames: ['node', 'device'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { device, utilization } of plans())
          this.set({ node: device.node, device: `${device.device}` }, utilization);
      },
    });
    new Gauge({
      name: 'deeprt_tenant_admitted',
      help: '1 for a tenant that has a place, 0 for one that has none.',
      labelNames: ['namespace', 'tenant'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { namespace, name, admitted: value, stands } of admitted())
          this.set({ namespace, tenant: name }, value || stands !== undefined ? 1 : 0);
      },
    });
  }
}
