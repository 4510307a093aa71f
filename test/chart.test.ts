import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { AgentMetrics } from '../agent/serving/metrics.js';
import { DASHBOARDS, expressionsOf } from '../hack/dashboards.js';
import { generatedFiles } from '../hack/generated.js';
import { OperatorMetrics } from '../operator/metrics.js';
import { ApiServer } from './support/api-server.js';
import type { KubeManifest } from './support/chart.js';
import { CHART, helm, objectsOf, rendered } from './support/chart.js';

/** The Helm chart, by the real helm and against a real API server. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MONITORING = ['PodMonitor', 'PrometheusRule'].flatMap((kind) => [
  '--api-versions',
  `monitoring.coreos.com/v1/${kind}`,
]);
/** Values that turn on what is off, and off what is on. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  defaults: [],
  'with monitoring': MONITORING,
  'a GPU, a claim and a loopback port': [
    '--set=agent.provider=cuda,agent.devices={0,1},agent.deviceMemory=6Gi,agent.runtimeClassName=nvidia',
    '--set=agent.models.claim=models,agent.hostPort.enabled=true,agent.resources.limits.nvidia\\.com/gpu=2',
    '--set=agent.env[0].name=NVIDIA_DRIVER_CAPABILITIES,agent.env[0].value=all',
  ],
  'without privileges or extras': [
    '--set=agent.realtimePriority=false,operator.replicas=1,networkPolicy.enabled=false,crds.enabled=false',
    '--set=monitoring.dashboards.enabled=false,agent.threads=2,image.pullSecrets={registry}',
  ],
  'TLS by a given Secret, agents replaced by hand': [
    ...MONITORING,
    '--set=tls.enabled=true,tls.secretName=cameras,agent.updateStrategy=OnDelete',
  ],
  'TLS by cert-manager': ['--set=tls.enabled=true,tls.certManager.enabled=true,tls.certManager.issuerRef.name=edge'],
  'the node’s network and named peers': [
    '--set=agent.hostNetwork=true,crds.keep=false,operator.priorityClassName=system-cluster-critical',
    '--set=networkPolicy.frames[0].namespaceSelector.matchLabels.team=cameras',
    '--set=networkPolicy.metrics[0].namespaceSelector.matchLabels.team=monitoring',
  ],
  'metrics and pages for who shows a token': [
    ...MONITORING,
    '--set=tls.enabled=true,tls.certManager.enabled=true,tls.certManager.issuerRef.name=edge',
    '--set=monitoring.readers=review,monitoring.podMonitor.credentials.name=prometheus',
  ],
  'agents in a namespace of their own': [
    ...MONITORING,
    '--set=agent.namespace=deeprt-agents,tls.enabled=true',
    '--set=tls.certManager.enabled=true,tls.certManager.issuerRef.name=edge',
  ],
  'OpenShift, and a fence around namespaces': [
    ...['--api-versions', 'security.openshift.io/v1/SecurityContextConstraints'],
    '--set=namespaceFence.enabled=true,agent.hostPort.enabled=true',
    '--set=agent.podSecurityContext.seLinuxOptions.type=spc_t',
  ],
  'names and pools of digits, gRPC, an image of a pool’s own': [
    '--set-string=fullnameOverride=1e3,agentPools[0].name=40',
    '--set=agent.grpcPort=8001,agentPools[0].nodeSelector.pool=cpu,agentPools[0].image.tag=slim',
    '--set=agentPools[0].realtimePriority=false,commonLabels.team=cameras',
  ],
};

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: object; readonly annotations?: object };
  readonly spec: {
    readonly selector: { readonly matchLabels: object };
    readonly template: {
      readonly spec: {
        readonly nodeSelector?: object;
        readonly containers: readonly { readonly image: string; readonly args: readonly string[] }[];
      };
    };
  };
}

describe('the chart', () => {
  test('has the kinds and dashboards as they are; make generate writes them', async () => {
    const files = await generatedFiles();
    for (const [file, text] of files) expect([file, readFileSync(join(ROOT, file), 'utf8')]).toEqual([file, text]);
    for (const folder of ['files/crds', 'files/dashboards'])
      for (const file of readdirSync(join(CHART, folder)))
        expect(files.has(`charts/deeprt/${folder}/${file}`)).toBe(true);
  });

  test('has pools of agents beside each other, images by digest, and whatever else a cluster wants of its pods', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const objects = objectsOf(
      rendered(
        ...['agentPools[0].name=cpu', 'agentPools[0].provider=cpu', 'agentPools[0].nodeSelector.pool=cpu'].flatMap(
          (set) => ['--set', set],
        ),
        ...[`image.digest=${digest}`, 'image.registry=registry.example.com', 'commonLabels.team=cameras'].flatMap(
          (set) => ['--set', set],
        ),
        ...['operator.extraArgs[0]=--system-priorities', 'agent.serviceAccountAnnotations.role=x'].flatMap((set) => [
          '--set',
          set,
        ]),
      ),
    ) as unknown as Rendered[];
    const sets = objects.filter(({ kind }) => kind === 'DaemonSet');
    expect(sets.map(({ metadata }) => metadata.name)).toEqual(['deeprt-agent', 'deeprt-agent-cpu']);
    const [first, cpu] = sets.map(({ spec }) => spec.template.spec);
    expect([first!.nodeSelector, cpu!.nodeSelector]).toEqual([{ 'deeprt.dev/agent': 'true' }, { pool: 'cpu' }]);
    expect(first!.containers[0]!.args).toContain('--provider=auto');
    expect(cpu!.containers[0]!.args).toContain('--provider=cpu');
    // Whoever selects all agents gets the pool's, too.
    expect(sets[1]!.spec.selector.matchLabels).toMatchObject({
      'app.kubernetes.io/component': 'agent',
      'deeprt.dev/pool': 'cpu',
    });
    const pods = objects.filter(({ kind }) => kind === 'DaemonSet' || kind === 'Deployment');
    for (const { spec } of pods)
      expect(spec.template.spec.containers[0]!.image).toBe(`registry.example.com/deeprt@${digest}`);
    expect(pods.find(({ kind }) => kind === 'Deployment')!.spec.template.spec.containers[0]!.args).toContain(
      '--system-priorities',
    );
    for (const { metadata } of objects) expect(metadata.labels).toMatchObject({ team: 'cameras' });
    expect(
      objects.find(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === 'deeprt-agent')!.metadata
        .annotations,
    ).toEqual({
      role: 'x',
    });
  });

  test('selects pods by texts, whatever releases and pools are called, and by the image of the pool', () => {
    const pool = [
      '--set-string',
      'agentPools[0].name=40',
      '--set',
      'agentPools[0].nodeSelector.a=b,agentPools[0].image.tag=slim',
    ];
    const { output } = helm('template', '123', CHART, '--namespace', '456', ...pool, '--set', 'agent.grpcPort=8001');
    const objects = objectsOf(output) as unknown as Rendered[];
    const isText = (labels: object): boolean => Object.values(labels).every((each) => typeof each === 'string');
    expect(objects.filter(({ metadata }) => !isText(metadata.labels ?? {}))).toEqual([]);
    const sets = objects.filter(({ kind }) => kind === 'DaemonSet');
    expect(sets.map(({ spec }) => spec.selector.matchLabels)).toEqual([
      expect.objectContaining({ 'app.kubernetes.io/instance': '123' }),
      expect.objectContaining({ 'deeprt.dev/pool': '40' }),
    ]);
    const containers = sets.map(({ spec }) => spec.template.spec.containers[0]!);
    expect(containers.map(({ image }) => image.split(':')[1] === 'slim')).toEqual([false, true]);
    for (const { args } of containers) expect(args).toContain('--grpc=0.0.0.0:8001');
  });

  test('passes helm lint --strict', () => {
    expect(helm('lint', '--strict', CHART)).toMatchObject({ code: 0 });
  });

  test.each(Object.entries(VARIANTS))('renders the same twice: %s', (_name, args) => {
    expect(rendered(...args)).toBe(rendered(...args));
  });

  test.each([
    ['agent.provider=gpu', /agent.provider|\/agent\/provider/],
    ['operator.replicas=0', /replicas/],
    ['agent.portt=80', /portt/],
    ['agent.deviceMemory=lots', /deviceMemory/],
    ['operator.nodeGrace=60', /nodeGrace/],
    ['senders.mode=enforce', /senders\.mode: enforce needs tls\.enabled/],
    ['senders.clientCa=cas', /senders\.clientCa needs tls\.enabled/],
    ['tls.certManager.enabled=true', /tls\.certManager\.enabled needs tls\.enabled/],
    ['commonLabels.app\\.kubernetes\\.io/component=x', /invalid propertyName 'app\.kubernetes\.io\/component'/],
    ['monitoring.rules.notAdmittedFor=1.5h', /notAdmittedFor/],
    ['agentPools[0].name=a,agentPools[0].nodeSelector.a=b,agentPools[0].reportPeriod=5m', /reportPeriod/],
  ])('refuses --set %s, and says where', (value, where) => {
    const { code, error } = helm('template', 'deeprt', CHART, '--set', value);
    expect(code).not.toBe(0);
    expect(error).toMatch(where);
  });

  test('has agents, and what is theirs, in a namespace of their own where that is asked for', () => {
    const args = VARIANTS['agents in a namespace of their own']!;
    const placed = objectsOf(rendered('--no-hooks', ...args)).flatMap(({ kind, metadata: { name, namespace } }) =>
      namespace === undefined ? [] : [`${namespace}: ${kind} ${name}`],
    );
    expect(placed.filter((each) => each.startsWith('deeprt-agents: ')).sort()).toEqual([
      'deeprt-agents: Certificate deeprt-agent',
      'deeprt-agents: DaemonSet deeprt-agent',
      'deeprt-agents: NetworkPolicy deeprt-agent',
      'deeprt-agents: NetworkPolicy deeprt-agent-tenants',
      'deeprt-agents: PodMonitor deeprt-agent',
      // Whose addresses they are, and who may send to them, the operator looks up here.
      'deeprt-agents: Role deeprt-operator',
      'deeprt-agents: RoleBinding deeprt-operator',
      'deeprt-agents: ServiceAccount deeprt-agent',
    ]);
    expect(placed.filter((each) => /agent/.test(each) && !each.startsWith('deeprt-agents: '))).toEqual([]);
  });

  test('asks for the issuer that cert-manager needs', () => {
    const { code, error } = helm('template', 'deeprt', CHART, '--set=tls.enabled=true,tls.certManager.enabled=true');
    expect(code).not.toBe(0);
    expect(error).toMatch(/tls\.certManager\.issuerRef\.name: name the issuer/);
  });

  test('is of the version of the software', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as { version: string; appVersion: string };
    expect(chart).toMatchObject({ version, appVersion: version });
    expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toContain(`image.version="${version}"`);
  });

  test('keeps the kinds, and all tenants with them, when it is uninstalled, unless told otherwise', () => {
    const kinds = (text: string): KubeManifest[] =>
      objectsOf(text).filter(({ kind }) => kind === 'CustomResourceDefinition');
    expect(kinds(rendered())).toHaveLength(7);
    for (const { metadata } of kinds(rendered()))
      expect(metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' });
    for (const { metadata } of kinds(rendered('--set=crds.keep=false'))) expect(metadata.annotations).toBeUndefined();
  });
});

describe('on a real API server', () => {
  let api: ApiServer;
  beforeAll(async () => {
    api = await ApiServer.start();
    for (const name of ['deeprt-system', 'deeprt-agents'])
      await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    const foreign = execFileSync(join(ROOT, 'hack/foreign-crds.sh'), { encoding: 'utf8' }).trim().split('\n');
    const files = foreign.flatMap((file) => ['-f', file]);
    expect(api.kubectl('apply', '--server-side', ...files)).toMatchObject({ code: 0 });
    expect(api.kubectl('wait', '--for=condition=Established', ...files)).toMatchObject({ code: 0 });
  }, 120_000);
  afterAll(() => api.stop());
  const dryRun = (object: object): { code: number; output: string } => {
    const file = join(api.dir, 'object.yaml');
    writeFileSync(file, stringify(object));
    return api.kubectl(
      'apply',
      '--server-side',
      '--force-conflicts',
      '--dry-run=server',
      '--validate=strict',
      '-f',
      file,
    );
  };

  test.each(Object.entries(VARIANTS))(
    'every object is accepted: %s',
    (_name, args) => {
      const objects = objectsOf(rendered('--no-hooks', ...args));
      expect(objects.length).toBeGreaterThan(10);
      for (const object of objects)
        expect([object.kind, dryRun(object)]).toEqual([object.kind, expect.objectContaining({ code: 0 })]);
    },
    120_000,
  );

  test('the operator and the test pod are admitted by restricted Pod Security', async () => {
    await api.apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'strict', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } as { name: string },
    });
    const objects = objectsOf(rendered());
    const template = (
      objects.find(({ kind }) => kind === 'Deployment') as unknown as { spec: { template: { spec: object } } }
    ).spec.template;
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'operator', namespace: 'strict' },
      spec: template.spec,
    };
    expect(dryRun(pod)).toMatchObject({ code: 0 });
    const hook = objects.find(({ kind }) => kind === 'Pod')!;
    expect(dryRun({ ...hook, metadata: { name: 'test', namespace: 'strict' } })).toMatchObject({ code: 0 });
    const agent = (
      objects.find(({ kind }) => kind === 'DaemonSet') as unknown as { spec: { template: { spec: object } } }
    ).spec.template;
    const asked = dryRun({ ...pod, metadata: { name: 'agent', namespace: 'strict' }, spec: agent.spec });
    // What docs/install.md justifies, and nothing beyond.
    const objections = asked.output.match(/hostPath|SYS_NICE|runAsUser=0|runAsNonRoot/g);
    expect([...new Set(objections)].sort()).toEqual(['SYS_NICE', 'hostPath', 'runAsNonRoot', 'runAsUser=0']);
    expect(asked.output).not.toMatch(/privileged|hostNetwork|hostPID|hostIPC|seccomp|allowPrivilegeEscalation/);
  });
});

describe('dashboards and alerts', () => {
  const names = (expression: string): string[] => expression.match(/(?<!:)\bdeeprt_[a-z_]+/g) ?? [];
  const none = (): never[] => [];
  const exported = (): Set<string> => {
    const lookups = {
      depths: () => new Map(),
      silence: () => new Map(),
      shares: () => [{ quota: 'a', flavor: 'edge', nominal: 100, used: 60 }],
      silentAgents: () => new Map(),
      reasons: () => new Map(),
    };
    const registries = [
      new AgentMetrics().registry,
      new OperatorMetrics({ ...lookups, plans: none, admitted: none }).registry,
    ];
    return new Set(registries.flatMap((registry) => registry.getMetricsAsArray().map(({ name }) => name)));
  };

  test('ask for metrics that there are', () => {
    const known = exported();
    const rules = objectsOf(rendered(...MONITORING)).find(({ kind }) => kind === 'PrometheusRule') as unknown as {
      spec: { groups: { rules: { expr: string; annotations?: { runbook_url: string } }[] }[] };
    };
    const all = rules.spec.groups.flatMap((group) => group.rules);
    const alerts = all.filter(({ annotations }) => annotations !== undefined);
    expect(alerts.length).toBeGreaterThanOrEqual(7);
    const expressions = [...Object.values(DASHBOARDS).flatMap(expressionsOf), ...all.map(({ expr }) => expr)];
    expect(expressions.length).toBeGreaterThan(40);
    for (const name of expressions.flatMap(names)) expect(known).toContain(name.replace(/_(bucket|sum|count)$/, ''));
    const runbooks = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
    for (const { annotations } of alerts) {
      expect(annotations!.runbook_url).toMatch(/^https:\/\//);
      expect(runbooks.toLowerCase()).toContain(`## ${annotations!.runbook_url.split('#')[1]!}`);
    }
  });

  test('are what promtool takes', () => {
    const promtool = (() => {
      try {
        return execFileSync('which', ['promtool'], { encoding: 'utf8' }).trim();
      } catch {
        return undefined;
      }
    })();
    if (promtool === undefined)
      return void process.stderr.write('promtool is not installed; the rules are not checked by it\n');
    const dir = mkdtempSync(join(tmpdir(), 'deeprt-rules-'));
    try {
      const rules = objectsOf(rendered(...MONITORING)).find(({ kind }) => kind === 'PrometheusRule')!;
      writeFileSync(join(dir, 'rules.yaml'), stringify(rules['spec']));
      expect(execFileSync(promtool, ['check', 'rules', join(dir, 'rules.yaml')], { encoding: 'utf8' })).toMatch(
        /SUCCESS/,
      );
      cpSync(join(ROOT, 'test/support/alerts.yaml'), join(dir, 'alerts.yaml'));
      expect(execFileSync(promtool, ['test', 'rules', join(dir, 'alerts.yaml')], { encoding: 'utf8' })).toMatch(
        /SUCCESS/,
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
