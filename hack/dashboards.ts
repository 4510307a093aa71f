/**
 * The Grafana dashboards, as code: `make generate` writes them into the chart. Every metric comes from the agent (labelled with its
 * node when scraped, see the chart's PodMonitor) or from the operator.
 */
import { VizLegendOptionsBuilder } from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries';

const SOURCE = { type: 'prometheus', uid: '${source}' };
const WIDTH = 24;

export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface PanelSpec {
  readonly title: string;
  readonly description: string;
  /** Grafana's name of it. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Of 24. */
  readonly width?: number;
  readonly kind?: 'stat';
}

export interface DashboardSpec {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  /** Names of the variables, each a label of the metric that has its values. */
  readonly variables: readonly { readonly label: string; readonly query: string }[];
  readonly rows: Readonly<Record<string, readonly PanelSpec[]>>;
}

const RATE = '$__rate_interval';
const quantile = (q: number, metric: string, selector: string, by: string): string =>
  `histogram_quantile(${q}, sum by (le${by === '' ? '' : `, ${by}`}) (rate(${metric}_bucket${selector}[${RATE}])))`;
const mean = (metric: string, selector: string, by: string): string =>
  `sum by (${by}) (rate(${metric}_sum${selector}[${RATE}])) / sum by (${by}) (rate(${metric}_count${selector}[${RATE}]))`;
const PROMISED = '{outcome=~"onTime|late|dropped"}';

const FLEET: DashboardSpec = {
  uid: 'deeprt-fleet',
  title: 'DeepRT / Fleet',
  description: 'All nodes: what was promised, what is left, who was refused and why, and whether deadlines are met.',
  variables: [],
  rows: {
    Promises: [
      {
        title: 'Nodes',
        description: 'Nodes whose agent reports.',
        unit: 'none',
        width: 4,
        kind: 'stat',
        queries: [{ expr: 'count(count by (node) (deeprt_device_ready))', legend: 'nodes' }],
      },
      {
        title: 'Devices that work',
        description: 'Devices that run jobs, of all that there are.',
        unit: 'none',
        width: 4,
        kind: 'stat',
        queries: [
          { expr: 'sum(deeprt_device_ready)', legend: 'work' },
          { expr: 'count(deeprt_device_ready)', legend: 'all' },
        ],
      },
      {
        title: 'Tenants',
        description: 'Tenants that were admitted, and all.',
        unit: 'none',
        width: 4,
        kind: 'stat',
        queries: [
          { expr: 'sum(max by (namespace, tenant) (deeprt_tenant_admitted))', legend: 'admitted' },
          { expr: 'count(max by (namespace, tenant) (deeprt_tenant_admitted))', legend: 'all' },
        ],
      },
      {
        title: 'Missed deadlines',
        description:
          'Promised frames that were answered late or given up, as a share of all that were answered or given up.',
        unit: 'percentunit',
        width: 6,
        kind: 'stat',
        queries: [
          {
            expr: `sum(rate(deeprt_deadline_misses_total[${RATE}])) / sum(rate(deeprt_frames_total${PROMISED}[${RATE}]))`,
            legend: 'missed',
          },
        ],
      },
      {
        title: 'Operators that lead',
        description: 'One, or nobody decides.',
        unit: 'none',
        width: 6,
        kind: 'stat',
        queries: [{ expr: 'sum(deeprt_operator_leading)', legend: 'leading' }],
      },
      {
        title: 'Admitted utilization',
        description: 'Share of each device that was promised.',
        unit: 'percentunit',
        queries: [{ expr: 'max by (node, device) (deeprt_admitted_utilization_ratio)', legend: '{{node}}/{{device}}' }],
      },
      {
        title: 'Headroom',
        description: 'Share of each device that was not promised. Deadlines may fill a device before its time is.',
        unit: 'percentunit',
        queries: [
          { expr: '1 - max by (node, device) (deeprt_admitted_utilization_ratio)', legend: '{{node}}/{{device}}' },
        ],
      },
      {
        title: 'Tenants by reason',
        description: 'The Admitted condition of all tenants.',
        unit: 'none',
        queries: [{ expr: 'max by (reason) (deeprt_tenants)', legend: '{{reason}}' }],
      },
      {
        title: 'Decisions by reason',
        description: 'Answers that changed.',
        unit: 'cpm',
        queries: [
          { expr: `60 * sum by (reason) (rate(deeprt_admission_decisions_total[${RATE}]))`, legend: '{{reason}}' },
        ],
      },
    ],
    Teams: [
      {
        title: 'Shares in use',
        description:
          'What teams’ promises cost, of their nominal quotas: above 1 is borrowed, and given back when another team asks. Long at 1 with tenants pending: a larger quota, or another device.',
        unit: 'percentunit',
        queries: [
          {
            expr: 'max by (quota, flavor) (deeprt_quota_used) / max by (quota, flavor) (deeprt_quota_nominal)',
            legend: '{{quota}} {{flavor}}',
          },
        ],
      },
    ],
    Frames: [
      {
        title: 'Frames by outcome',
        description: 'Of all tenants.',
        unit: 'reqps',
        queries: [{ expr: `sum by (outcome) (rate(deeprt_frames_total[${RATE}]))`, legend: '{{outcome}}' }],
      },
      {
        title: 'Missed deadlines by node',
        description: 'Promised frames answered late or given up.',
        unit: 'reqps',
        queries: [{ expr: `sum by (node) (rate(deeprt_deadline_misses_total[${RATE}]))`, legend: '{{node}}' }],
      },
    ],
    Operator: [
      {
        title: 'Work queues',
        description: 'Keys that wait for their turn.',
        unit: 'none',
        queries: [{ expr: 'max by (queue) (deeprt_work_queue_depth)', legend: '{{queue}}' }],
      },
      {
        title: 'Time to decide',
        description: 'From a batch of changes to the recorded decision.',
        unit: 's',
        queries: [
          { expr: quantile(0.5, 'deeprt_reconcile_duration_seconds', '', ''), legend: 'p50' },
          { expr: quantile(0.99, 'deeprt_reconcile_duration_seconds', '', ''), legend: 'p99' },
        ],
      },
      {
        title: 'Silence of watches',
        description: 'Time since anything was heard of a kind.',
        unit: 's',
        queries: [{ expr: 'min by (kind) (deeprt_informer_silence_seconds)', legend: '{{kind}}' }],
      },
      {
        title: 'Failed attempts',
        description: 'Writes that failed and are repeated.',
        unit: 'cpm',
        queries: [{ expr: `60 * sum(rate(deeprt_reconcile_failures_total[${RATE}]))`, legend: 'failures' }],
      },
    ],
  },
};

const NODE_IS = '{node="$node"}';
const NODE: DashboardSpec = {
  uid: 'deeprt-node',
  title: 'DeepRT / Node',
  description: 'One node: how busy its devices are, what they run, and whether they do what was measured.',
  variables: [{ label: 'node', query: 'deeprt_device_ready' }],
  rows: {
    Devices: [
      {
        title: 'Busy share',
        description: 'Share of time that each device ran jobs, and what was promised.',
        unit: 'percentunit',
        queries: [
          {
            expr: `sum by (device) (rate(deeprt_device_busy_seconds_total${NODE_IS}[${RATE}]))`,
            legend: 'busy {{device}}',
          },
          { expr: `max by (device) (deeprt_admitted_utilization_ratio${NODE_IS})`, legend: 'promised {{device}}' },
        ],
      },
      {
        title: 'Jobs',
        description:
          'By kind: window is a window’s batch, early one that used idle time, bestEffort whatever was left.',
        unit: 'ops',
        queries: [
          {
            expr: `sum by (device, kind) (rate(deeprt_job_duration_seconds_count${NODE_IS}[${RATE}]))`,
            legend: '{{kind}} {{device}}',
          },
        ],
      },
      {
        title: 'Memory',
        description: 'Of models, used and allowed.',
        unit: 'bytes',
        queries: [
          { expr: `max by (device, kind) (deeprt_device_memory_bytes${NODE_IS})`, legend: '{{kind}} {{device}}' },
        ],
      },
      {
        title: 'Devices replaced',
        description: 'Crashes and hangs; each is replaced by another process.',
        unit: 'none',
        queries: [
          { expr: `min by (device) (deeprt_device_ready${NODE_IS})`, legend: 'works {{device}}' },
          {
            expr: `sum by (device, fault) (increase(deeprt_device_losses_total${NODE_IS}[${RATE}]))`,
            legend: '{{fault}} {{device}}',
          },
        ],
      },
    ],
    Batching: [
      {
        title: 'Mean batch size',
        description: 'Frames in a job, by category.',
        unit: 'none',
        queries: [{ expr: mean('deeprt_batch_size', NODE_IS, 'device, category'), legend: '{{category}} {{device}}' }],
      },
      {
        title: 'Gaps',
        description: 'From one visit of a category to the next at most, while promised frames wait.',
        unit: 's',
        queries: [
          {
            expr: `max by (device, category) (deeprt_category_gap_seconds${NODE_IS})`,
            legend: '{{category}} {{device}}',
          },
        ],
      },
      {
        title: 'Job duration, p99',
        description: 'By category.',
        unit: 's',
        queries: [{ expr: quantile(0.99, 'deeprt_job_duration_seconds', NODE_IS, 'category'), legend: '{{category}}' }],
      },
      {
        title: 'Queue',
        description: 'Frames that wait for the device or run on it.',
        unit: 'none',
        queries: [
          { expr: `sum by (device, category) (deeprt_queue_depth${NODE_IS})`, legend: '{{category}} {{device}}' },
        ],
      },
      {
        title: 'Spare frames by outcome',
        description: 'Frames beyond what was promised: those in time are what spare time was good for.',
        unit: 'reqps',
        queries: [
          { expr: `sum by (outcome) (rate(deeprt_spare_frames_total${NODE_IS}[${RATE}]))`, legend: '{{outcome}}' },
        ],
      },
      {
        title: 'Stages, promised',
        description:
          'Share of the event loop and of the decode workers that promised frames take; near 1 nobody with images is admitted any more.',
        unit: 'percentunit',
        queries: [{ expr: `sum by (stage) (deeprt_stage_promised_ratio${NODE_IS})`, legend: '{{stage}}' }],
      },
      {
        title: 'Ingest',
        description: 'From the arrival of a frame to its being ready for the device.',
        unit: 's',
        queries: [
          { expr: quantile(0.5, 'deeprt_ingest_seconds', NODE_IS, ''), legend: 'p50' },
          { expr: quantile(0.99, 'deeprt_ingest_seconds', NODE_IS, ''), legend: 'p99' },
        ],
      },
    ],
    'What was measured, and what is': [
      {
        title: 'Runs against their WCET',
        description: '95th percentile; above 1 the profile is wrong.',
        unit: 'none',
        queries: [
          { expr: `max by (device, category) (deeprt_run_wcet_ratio${NODE_IS})`, legend: '{{category}} {{device}}' },
        ],
      },
      {
        title: 'Why promised frames were late',
        description:
          'What held them up: runs beyond their WCET, their way to the device or back, a lost device; Waiting is none of these. `kubectl deeprt trace TENANT` has each.',
        unit: 'none',
        queries: [
          { expr: `sum by (cause) (increase(deeprt_late_frames_total${NODE_IS}[${RATE}]))`, legend: '{{cause}}' },
        ],
      },
      {
        title: 'Overruns',
        description: 'Jobs that took longer than their WCET.',
        unit: 'ops',
        queries: [
          {
            expr: `sum by (device, category) (rate(deeprt_overruns_total${NODE_IS}[${RATE}]))`,
            legend: '{{category}} {{device}}',
          },
        ],
      },
      {
        title: 'Penalty',
        description: 'Time by which a category is behind.',
        unit: 's',
        queries: [
          { expr: `max by (device, category) (deeprt_penalty_seconds${NODE_IS})`, legend: '{{category}} {{device}}' },
        ],
      },
      {
        title: 'Shapes below the full one',
        description: 'How far a category is degraded.',
        unit: 'none',
        queries: [
          { expr: `max by (device, category) (deeprt_degradation_rung${NODE_IS})`, legend: '{{category}} {{device}}' },
        ],
      },
    ],
  },
};

const TENANT_IS = '{namespace="$namespace",tenant="$tenant"}';
const TENANT: DashboardSpec = {
  uid: 'deeprt-tenant',
  title: 'DeepRT / Tenant',
  description: 'One tenant: what it sends, what it gets, and how far from its deadline.',
  variables: [
    { label: 'namespace', query: 'deeprt_tenant_admitted' },
    { label: 'tenant', query: 'deeprt_tenant_admitted{namespace="$namespace"}' },
  ],
  rows: {
    Frames: [
      {
        title: 'Frames by outcome',
        description:
          'onTime, late and dropped were accepted; refused were more than was admitted; the rest could not be answered.',
        unit: 'reqps',
        queries: [
          { expr: `sum by (outcome) (rate(deeprt_frames_total${TENANT_IS}[${RATE}]))`, legend: '{{outcome}}' },
          { expr: `sum(deeprt_tenant_frames_per_second${TENANT_IS})`, legend: 'admitted' },
        ],
      },
      {
        title: 'Latency and deadline',
        description: 'From the arrival of a frame to its answer.',
        unit: 's',
        queries: [
          ...[0.5, 0.95, 0.99].map((q) => ({
            expr: quantile(q, 'deeprt_frame_latency_seconds', TENANT_IS, ''),
            legend: `p${q * 100}`,
          })),
          { expr: `min(deeprt_tenant_deadline_seconds${TENANT_IS})`, legend: 'deadline' },
        ],
      },
      {
        title: 'Missed deadlines',
        description: 'Promised frames answered late or given up.',
        unit: 'reqps',
        queries: [{ expr: `sum(rate(deeprt_deadline_misses_total${TENANT_IS}[${RATE}]))`, legend: 'missed' }],
      },
      {
        title: 'Why frames were not answered',
        description:
          'By the code that their senders were told (docs/clients.md). RateExceeded and TooManyWaiting: send less, or ask for more; DeadlinePassed: no spare time was left; others: docs/troubleshooting.md.',
        unit: 'reqps',
        queries: [
          { expr: `sum by (code) (rate(deeprt_refused_frames_total${TENANT_IS}[${RATE}]))`, legend: '{{code}}' },
        ],
      },
      {
        title: 'Degraded frames',
        description: 'Computed at a smaller shape because the device was behind.',
        unit: 'reqps',
        queries: [{ expr: `sum(rate(deeprt_degraded_frames_total${TENANT_IS}[${RATE}]))`, legend: 'degraded' }],
      },
    ],
    Placement: [
      {
        title: 'Streams by device',
        description: 'Where the tenant is served, over time.',
        unit: 'none',
        queries: [{ expr: `max by (node, device) (deeprt_tenant_streams${TENANT_IS})`, legend: '{{node}}/{{device}}' }],
      },
      {
        title: 'Admitted',
        description: '1 while the tenant has a place.',
        unit: 'none',
        queries: [{ expr: `max(deeprt_tenant_admitted${TENANT_IS})`, legend: 'admitted' }],
      },
    ],
  },
};

/** All dashboards, by the name of their file. */
export const DASHBOARDS: Readonly<Record<string, DashboardSpec>> = { fleet: FLEET, node: NODE, tenant: TENANT };

/** Every PromQL expression of a dashboard. */
export const expressionsOf = ({ rows }: DashboardSpec): string[] =>
  Object.values(rows).flatMap((panels) => panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)));

function panel({ title, description, unit, queries, width = WIDTH / 2, kind }: PanelSpec): Stat | TimeSeries {
  const built: Stat | TimeSeries =
    kind === 'stat'
      ? new Stat().height(4)
      : new TimeSeries().height(8).legend(new VizLegendOptionsBuilder().showLegend(true)).min(0);
  built.title(title).description(description).unit(unit).span(width).datasource(SOURCE);
  for (const { expr, legend } of queries)
    built.withTarget(new DataqueryBuilder().datasource(SOURCE).expr(expr).legendFormat(legend));
  return built;
}

/** The dashboard as Grafana reads it. */
export function build({ uid, title, description, variables, rows }: DashboardSpec): object {
  const built = new dashboard.DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(['deeprt'])
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .timezone('browser')
    .withVariable(new dashboard.DatasourceVariableBuilder('source').label('Data source').type('prometheus'));
  for (const { label, query } of variables)
    built.withVariable(
      new dashboard.QueryVariableBuilder(label)
        .label(label)
        .datasource(SOURCE)
        .query(`label_values(${query}, ${label})`)
        .refresh(dashboard.VariableRefresh.OnTimeRangeChanged),
    );
  for (const [name, panels] of Object.entries(rows)) {
    built.withRow(new dashboard.RowBuilder(name));
    for (const each of panels) built.withPanel(panel(each));
  }
  return built.build();
}
