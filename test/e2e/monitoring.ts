import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments, stringify } from 'yaml';
import { draw } from '../../bench/plot.js';
import type { PanelSpec } from '../../hack/dashboards.js';
import { DASHBOARDS, expressionsOf } from '../../hack/dashboards.js';
import { NODE, daemon, helm, until } from './node.js';
import type { Mark, Series } from './picture.js';
import { pictureOf } from './picture.js';
import { followPods } from './targets.js';

const CHART = fileURLToPath(new URL('../../../charts/deeprt', import.meta.url));
const work = process.env['E2E_WORK']!;
const URL_OF = 'http://127.0.0.1:9090';
/** Times in alerts are divided by this: a minute is a second. */
const FASTER = 60;
const SCRAPE_S = 1;
const MOST_POINTS = 150;
let startedMs = 0;
const marks: Mark[] = [];

interface Rule {
  readonly alert?: string;
  readonly expr: string;
  /** Of alerts. */
  readonly for?: string;
}

/** The chart's alerts, for a world in which time passes faster. */
function rules(): { groups: { rules: Rule[] }[] } {
  const kinds = ['PodMonitor', 'PrometheusRule'].flatMap((kind) => [
    '--api-versions',
    `monitoring.coreos.com/v1/${kind}`,
  ]);
  const text = helm('template', 'deeprt', CHART, ...kinds);
  const objects = parseAllDocuments(text).map((document) => document.toJS() as { kind?: string; spec: unknown } | null);
  const spec = objects.find((object) => object?.kind === 'PrometheusRule')!.spec as { groups: { rules: Rule[] }[] };
  const sooner = (text: string): string =>
    text.replace(
      /(?<=^|\[)(\d+)([mh])(?=$|[\]:])/g,
      (_, time, unit) => `${(Number(time) * (unit === 'h' ? 3_600_000 : 60_000)) / FASTER}ms`,
    );
  return {
    groups: spec.groups.map(({ rules, ...group }) => ({
      ...group,
      rules: rules.map((rule) => ({
        ...rule,
        expr: sooner(rule.expr),
        ...(rule.for === undefined ? {} : { for: sooner(rule.for) }),
      })),
    })),
  };
}

/** A real Prometheus that scrapes the pods and evaluates the chart's alerts. */
export async function startPrometheus(): Promise<void> {
  await followPods();
  const job = (component: string): object => ({
    job_name: component,
    honor_labels: true,
    file_sd_configs: [{ files: [join(work, `${component}.json`)], refresh_interval: '1s' }],
  });
  writeFileSync(join(work, 'rules.yaml'), stringify(rules()));
  writeFileSync(
    join(work, 'prometheus.yaml'),
    stringify({
      global: { scrape_interval: `${SCRAPE_S}s`, evaluation_interval: `${SCRAPE_S}s` },
      rule_files: [join(work, 'rules.yaml')],
      scrape_configs: [job('operator'), job('agent')],
    }),
  );
  daemon(
    'prometheus',
    'prometheus',
    `--config.file=${join(work, 'prometheus.yaml')}`,
    `--storage.tsdb.path=${join(work, 'tsdb')}`,
    '--web.listen-address=127.0.0.1:9090',
  );
  await until('Prometheus', async () => (await fetch(`${URL_OF}/-/ready`)).ok);
  startedMs = Date.now();
}

/** Remembers that something was done to the cluster, for the pictures. */
export function mark(what: string): void {
  marks.push({ at: (Date.now() - startedMs) / 1000, what });
}

interface Answer {
  readonly metric: Record<string, string>;
  readonly value: [number, string];
  readonly values: [number, string][];
}

async function ask(path: string, query: string, more: Record<string, number> = {}): Promise<Answer[]> {
  const parameters = Object.entries({ query, ...more }).map(([name, value]): [string, string] => [name, `${value}`]);
  const response = await fetch(`${URL_OF}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
  const body = (await response.json()) as { status: string; error?: string; data: { result: Answer[] } };
  assert.equal(body.status, 'success', `${query}: ${body.error ?? ''}`);
  return body.data.result;
}

const query = (expression: string): Promise<Answer[]> => ask('query', expression);

/** A panel's expression with its variables filled in. */
const filled = (expression: string): string =>
  expression
    .replaceAll('$__rate_interval', `${10 * SCRAPE_S}s`)
    .replaceAll('$node', NODE)
    .replaceAll('$namespace', 'default')
    .replaceAll('$tenant', 'gate');

/** The names of the alerts that fire. */
export async function firing(): Promise<string[]> {
  const alerts = await query('ALERTS{alertstate="firing"}');
  return [...new Set(alerts.map(({ metric }) => metric['alertname'] ?? ''))].sort();
}

/** Asks for all that the dashboards show, and whether the alerts are what they should be. */
export async function checkMonitoring(say: (text: string) => void): Promise<void> {
  for (const [name, spec] of Object.entries(DASHBOARDS)) {
    const expressions = expressionsOf(spec).map(filled);
    for (const expression of expressions)
      await until(
        `data for ${expression}`,
        async () => (await query(expression)).some(({ value }) => value[1] !== 'NaN'),
        60_000,
      );
    say(`dashboard ${name}: ${expressions.length} queries, all with data`);
  }
  const expected = ['DeepRTTenantNotAdmitted'];
  await until(
    `${expected.join()} to fire, and nothing else`,
    async () => (await firing()).join() === expected.join(),
    120_000,
  );
  say(`alerts firing: ${(await firing()).join(', ')}`);
}

/** Draws each dashboard's data since Prometheus was started into a file of the folder. */
export async function drawDashboards(folder: string): Promise<void> {
  const untilMs = Date.now();
  const totalS = (untilMs - startedMs) / 1000;
  const step = Math.max(SCRAPE_S, Math.ceil(totalS / MOST_POINTS));
  const range = { start: startedMs / 1000, end: untilMs / 1000, step };
  for (const [name, spec] of Object.entries(DASHBOARDS)) {
    const data = new Map<PanelSpec, Series[]>();
    for (const panel of Object.values(spec.rows).flat()) {
      const series: Series[] = [];
      for (const { expr, legend } of panel.queries)
        for (const { metric, values } of await ask('query_range', filled(expr), range))
          series.push({
            name: legend.replace(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ''),
            points: values
              .map(([at, value]): [number, number] => [at - startedMs / 1000, Number(value)])
              .filter(([, value]) => Number.isFinite(value)),
          });
      data.set(panel, series);
    }
    const picture = pictureOf(spec, (panel) => data.get(panel) ?? [], marks, step, totalS);
    await draw(join(folder, `dashboard-${name}.svg`), picture);
  }
}
