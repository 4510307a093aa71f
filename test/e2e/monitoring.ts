import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments, stringify } from 'yaml';
import { DASHBOARDS, expressionsOf } from '../../hack/dashboards.js';
import { NODE, daemon, helm, kubectlJson, until } from './node.js';

const CHART = fileURLToPath(new URL('../../../charts/deeprt', import.meta.url));
const work = process.env['E2E_WORK']!;
const URL_OF = 'http://127.0.0.1:9090';

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

/** The chart's alerts, firing at once. */
function rules(): { groups: { rules: Rule[] }[] } {
  const kinds = ['PodMonitor', 'PrometheusRule'].flatMap((kind) => [
    '--api-versions',
    `monitoring.coreos.com/v1/${kind}`,
  ]);
  const text = helm('template', 'deeprt', CHART, ...kinds);
  const objects = parseAllDocuments(text).map((document) => document.toJS() as { kind?: string; spec: unknown } | null);
  const spec = objects.find((object) => object?.kind === 'PrometheusRule')!.spec as { groups: { rules: Rule[] }[] };
  return {
    groups: spec.groups.map((group) => ({ ...group, rules: group.rules.map((rule) => ({ ...rule, for: '0s' })) })),
  };
}

/** Tells Prometheus where the pods are; Debian's cannot ask the API server itself. */
export function retarget(): void {
  interface Pod {
    readonly metadata: { readonly labels: Record<string, string> };
    readonly spec: { readonly nodeName: string };
    readonly status: { readonly podIP?: string };
  }
  const { items } = kubectlJson<{ items: Pod[] }>('-n', 'deeprt-system', 'get', 'pods');
  const of = (component: string, port: number): object[] =>
    items
      .filter(({ metadata, status }) => metadata.labels['app.kubernetes.io/component'] === component && status.podIP)
      .map(({ spec, status }) => ({
        targets: [`${status.podIP!}:${port}`],
        // As the PodMonitor of the agents has it.
        labels: component === 'agent' ? { node: spec.nodeName } : {},
      }));
  writeFileSync(join(work, 'operator.json'), JSON.stringify(of('operator', 8081)));
  writeFileSync(join(work, 'agent.json'), JSON.stringify(of('agent', 8080)));
}

/** A real Prometheus that scrapes the pods and evaluates the chart's alerts. */
export async function startPrometheus(): Promise<void> {
  retarget();
  const job = (component: string): object => ({
    job_name: component,
    honor_labels: component === 'operator',
    file_sd_configs: [{ files: [join(work, `${component}.json`)], refresh_interval: '2s' }],
  });
  writeFileSync(join(work, 'rules.yaml'), stringify(rules()));
  writeFileSync(
    join(work, 'prometheus.yaml'),
    stringify({
      global: { scrape_interval: '2s', evaluation_interval: '2s' },
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
}

async function query(expression: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]> {
  const response = await fetch(`${URL_OF}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const body = (await response.json()) as {
    status: string;
    error?: string;
    data: { result: { metric: Record<string, string>; value: [number, string] }[] };
  };
  assert.equal(body.status, 'success', `${expression}: ${body.error ?? ''}`);
  return body.data.result;
}

/** A panel's expression with its variables filled in. */
const filled = (expression: string): string =>
  expression
    .replaceAll('$__rate_interval', '30s')
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
  await until('greedy’s alert', async () => (await firing()).includes('DeepRTTenantNotAdmitted'));
  say(`alerts firing: ${(await firing()).join(', ')}`);
  assert.deepEqual(await firing(), ['DeepRTTenantNotAdmitted']);
}
