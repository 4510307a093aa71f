/** `make e2e`, inside the namespaces that hack/e2e.sh made: what somebody with a cluster does, told as it happens. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments, stringify } from 'yaml';
import { Camera } from './camera.js';
import { NODE, helm, kill, kubectl, kubectlJson, logOf, revive, startCluster, until } from './node.js';
import { checkMonitoring, firing, retarget, startPrometheus } from './monitoring.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const CHART = join(repository, 'charts/deeprt');
const NAMESPACE = 'deeprt-system';
const work = process.env['E2E_WORK']!;
const MODEL = 'text-direction';
const LOOPBACK = 'http://127.0.0.1:8080';
const FPS = 10;

const started = Date.now();
const say = (text: string): void => console.log(text);
const step = (text: string): void => say(`\n== ${text} (${((Date.now() - started) / 1000).toFixed(0)}s)`);

interface Pod {
  readonly metadata: { readonly name: string };
  readonly status: { readonly phase: string };
}
const podsOf = (component: string): Pod[] =>
  kubectlJson<{ items: Pod[] }>('-n', NAMESPACE, 'get', 'pods', '-l', `app.kubernetes.io/component=${component}`).items;

const VALUES = {
  // The last step wants everything gone.
  crds: { keep: false },
  operator: { agentSilence: '40s' },
  agent: {
    provider: 'cpu',
    threads: 1,
    hostPort: { enabled: true },
    models: { hostPath: join(work, 'models') },
    state: { hostPath: join(work, 'state') },
    resources: { requests: { cpu: '100m', memory: '128Mi' } },
  },
};

function tenant(name: string, spec: object): object {
  return {
    apiVersion: 'deeprt.dev/v1alpha1',
    kind: 'InferenceTenant',
    metadata: { name },
    spec: { modelRef: { name: MODEL }, inputShape: [3, 48, 192], jitter: '100ms', deadline: '500ms', ...spec },
  };
}

function manifests(): string {
  mkdirSync(join(work, 'models'), { recursive: true });
  const models = parseAllDocuments(readFileSync(join(repository, 'examples/models.yaml'), 'utf8'));
  const all = models.map((each) => each.toJS() as { metadata: { name: string }; spec: { source: string } });
  const model = all.find(({ metadata }) => metadata.name === MODEL)!;
  const file = join(repository, 'examples', model.spec.source.slice('file:'.length));
  copyFileSync(file, join(work, 'models', 'text-direction.onnx'));
  const objects = [
    { ...model, spec: { ...model.spec, source: 'file:text-direction.onnx', maxBatchSize: 4 } },
    tenant('gate', { framesPerSecond: FPS }),
    tenant('dock', { framesPerSecond: 5, streams: 2 }),
    tenant('greedy', { framesPerSecond: 5000 }),
  ];
  return objects.map((object) => stringify(object)).join('---\n');
}

async function condition(name: string, type: string, status: string, withinMs?: number): Promise<void> {
  interface Tenant {
    status?: { conditions?: { type: string; status: string }[] };
  }
  const holds = (): boolean =>
    kubectlJson<Tenant>('get', 'itn', name).status?.conditions?.find((each) => each.type === type)?.status === status;
  await until(`${name} to be ${type}=${status}`, holds, withinMs);
}

const frame = new Uint8Array(readFileSync(join(repository, 'examples/frames/signs-1.jpg')));
const inferUrl = (base: string, name: string): string => `${base}/v2/models/default.${name}/infer`;

/** Sends frames to the tenant's Service from a pod of its own. */
async function fromPod(): Promise<void> {
  writeFileSync(join(work, 'frame.jpg'), frame);
  kubectl('create', 'configmap', 'frame', `--from-file=${join(work, 'frame.jpg')}`);
  const { spec } = kubectlJson<{ spec: { clusterIP: string; ports: { port: number }[] } }>(
    'get',
    'service',
    'deeprt-gate',
  );
  const url = inferUrl(`http://${spec.clusterIP}:${spec.ports[0]!.port}`, 'gate');
  await until('the Service to lead somewhere', async () => (await fetch(new URL('/v2', url))).ok);
  const script = `const body = require('fs').readFileSync('/frame/frame.jpg');
    (async () => { for (let i = 0; i < 10; i++) {
      const response = await fetch('${url}', { method: 'POST', headers: { 'content-type': 'image/jpeg' }, body });
      const { parameters } = await response.json();
      console.log(response.status, JSON.stringify(parameters));
      if (response.status !== 200 || !parameters.deadline_met) process.exit(1);
      await new Promise((resolve) => setTimeout(resolve, 150));
    } })()`;
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'camera' },
    spec: {
      restartPolicy: 'Never',
      containers: [
        {
          name: 'camera',
          image: 'deeprt:0.1.0',
          command: ['node', '-e', script],
          volumeMounts: [{ name: 'frame', mountPath: '/frame' }],
        },
      ],
      volumes: [{ name: 'frame', configMap: { name: 'frame' } }],
    },
  };
  writeFileSync(join(work, 'camera.json'), JSON.stringify(pod));
  kubectl('apply', '-f', join(work, 'camera.json'));
  const phase = await until('the camera pod to end', () => {
    const { status } = kubectlJson<Pod>('get', 'pod', 'camera');
    return ['Succeeded', 'Failed'].includes(status.phase) && status.phase;
  });
  say(kubectl('logs', 'camera').trim());
  assert.equal(phase, 'Succeeded');
  kubectl('delete', 'pod', 'camera', '--grace-period=0', '--force');
}

/** Does something to the cluster while a camera goes on; returns the longest time without an answer. */
async function gapOf(what: string, act: () => void | Promise<void>, camera: Camera, mostMs: number): Promise<void> {
  await camera.look();
  await act();
  await condition('gate', 'Ready', 'True');
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const { sent, answered, late, failed, gapMs } = await camera.look();
  say(
    `${what}: longest time without an answer ${(gapMs / 1000).toFixed(1)}s; ${sent} frames sent, ${answered} answered, ${late} late, ${failed} not answered`,
  );
  assert.ok(gapMs <= mostMs, `${what}: a gap of ${gapMs}ms is more than ${mostMs}ms`);
}

/** The processes that devices run in. */
function devices(): { pid: number }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('agent/device/process.js')
          ? [{ pid: Number(name) }]
          : [];
      } catch {
        return [];
      }
    });
}

/** Does something again and again until the alert fires. */
async function provoked(alert: string, what: string, act: () => void | Promise<void>): Promise<void> {
  await until(
    alert,
    async () => {
      for (const untilMs = Date.now() + 1500; Date.now() < untilMs;) {
        await act();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return (await firing()).includes(alert);
    },
    90_000,
  );
  say(`${alert}: ${what}`);
}

async function story(): Promise<void> {
  step('a cluster of one node: etcd, API server, controller manager, scheduler, proxy, containerd, kubelet');
  await startCluster();
  say(kubectl('get', 'nodes'));

  step('helm install');
  writeFileSync(join(work, 'values.yaml'), stringify(VALUES));
  const install = ['-n', NAMESPACE, '-f', join(work, 'values.yaml')];
  say(helm('install', 'deeprt', CHART, '--create-namespace', ...install, '--wait', '--timeout', '3m'));

  step('a node is labelled; its agent comes');
  kubectl('label', 'node', NODE, 'deeprt.dev/agent=true');
  await until(
    'the agent to be ready',
    () =>
      /condition met/.test(
        kubectl(
          '-n',
          NAMESPACE,
          'wait',
          '--for=condition=Ready',
          'pod',
          '-l',
          'app.kubernetes.io/component=agent',
          '--timeout=5s',
        ),
      ),
    90_000,
  );
  say(kubectl('-n', NAMESPACE, 'get', 'pods', '-o', 'wide'));

  step('a model and tenants are applied; the device is measured, the tenants are decided');
  writeFileSync(join(work, 'manifests.yaml'), manifests());
  say(kubectl('apply', '-f', join(work, 'manifests.yaml')));
  for (const name of ['gate', 'dock']) await condition(name, 'Ready', 'True', 120_000);
  await condition('greedy', 'Admitted', 'False');
  say(kubectl('get', 'itn'));

  step('frames through the tenant’s Service from a pod, and over the node’s loopback');
  await fromPod();
  const camera = new Camera({ url: inferUrl(LOOPBACK, 'gate'), frame, periodMs: 1000 / FPS });
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const calm = await camera.look();
  say(`over loopback: ${JSON.stringify(calm)}`);
  assert.ok(calm.answered > 40);
  assert.equal(calm.late + calm.failed, 0);

  step('kubectl describe: why greedy was not admitted');
  const described = kubectl('describe', 'itn', 'greedy');
  say(
    described
      .split('\n')
      .filter((line) => /Message|Reason|Status:|Offer|Frames Per|Streams:/.test(line))
      .join('\n'),
  );
  assert.match(described, /UtilizationExceeded/);
  say(helm('test', 'deeprt', '-n', NAMESPACE, '--timeout', '60s'));

  step('Prometheus: every dashboard query, every alert');
  await startPrometheus();
  // Somebody changes their mind now and then, so that there are decisions to show.
  let turn = 0;
  const stir = setInterval(() => {
    const spec = { framesPerSecond: 4 + (turn++ % 2) };
    kubectl('patch', 'itn', 'dock', '--type=merge', '-p', JSON.stringify({ spec }));
  }, 5000);
  await checkMonitoring(say).finally(() => clearInterval(stir));

  step('alerts fire when they should, and end');
  await provoked('DeepRTDeadlinesMissed', 'the device is stopped again and again for 0.8s', async () => {
    for (const { pid } of devices()) {
      process.kill(pid, 'SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, 800));
      process.kill(pid, 'SIGCONT');
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  });
  await provoked('DeepRTDeviceDown', 'the device’s process is killed again and again', async () => {
    for (const { pid } of devices()) process.kill(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
  await condition('gate', 'Ready', 'True');
  kubectl('-n', NAMESPACE, 'scale', 'deployment', 'deeprt-operator', '--replicas=0');
  await provoked('DeepRTNoLeader', 'the operators are gone', () => retarget());
  kubectl('-n', NAMESPACE, 'scale', 'deployment', 'deeprt-operator', '--replicas=2');
  await until('an operator to lead again', async () => {
    retarget();
    return !(await firing()).includes('DeepRTNoLeader');
  });
  kubectl('label', 'node', NODE, 'deeprt.dev/agent-');
  await provoked('DeepRTAgentSilent', 'the node’s label, and with it its agent, is gone', () => retarget());
  kubectl('label', 'node', NODE, 'deeprt.dev/agent=true');
  await condition('gate', 'Ready', 'True', 90_000);
  // Missed deadlines count for five minutes.
  const lasting = new Set(['DeepRTTenantNotAdmitted', 'DeepRTDeadlinesMissed']);
  await until(
    'the other alerts to end',
    async () => {
      retarget();
      return (await firing()).every((alert) => lasting.has(alert));
    },
    90_000,
  );

  step('what dies comes back');
  const agentPod = podsOf('agent')[0]!.metadata.name;
  await gapOf(
    'the agent’s pod is killed',
    () => void kubectl('-n', NAMESPACE, 'delete', 'pod', agentPod, '--grace-period=0', '--force'),
    camera,
    30_000,
  );
  await gapOf(
    'the operators’ pods are killed',
    () =>
      void kubectl(
        '-n',
        NAMESPACE,
        'delete',
        'pod',
        '-l',
        'app.kubernetes.io/component=operator',
        '--grace-period=0',
        '--force',
      ),
    camera,
    2000,
  );
  await gapOf(
    'the kubelet is killed',
    async () => {
      kill('kubelet');
      await new Promise((resolve) => setTimeout(resolve, 5000));
      revive('kubelet');
    },
    camera,
    2000,
  );
  await gapOf(
    'containerd is killed',
    async () => {
      kill('containerd');
      await new Promise((resolve) => setTimeout(resolve, 5000));
      revive('containerd');
    },
    camera,
    2000,
  );

  step('helm upgrade');
  await gapOf(
    'of the operator alone',
    () => {
      helm(
        'upgrade',
        'deeprt',
        CHART,
        ...install,
        '--set',
        'operator.podAnnotations.turn=two',
        '--wait',
        '--timeout',
        '2m',
      );
    },
    camera,
    2000,
  );
  await gapOf(
    'of the agent',
    () => {
      helm(
        'upgrade',
        'deeprt',
        CHART,
        ...install,
        '--set',
        'agent.podAnnotations.turn=two',
        '--wait',
        '--timeout',
        '2m',
      );
    },
    camera,
    30_000,
  );
  await camera.stop();

  step('helm uninstall');
  kubectl('delete', '-f', join(work, 'manifests.yaml'));
  say(helm('uninstall', 'deeprt', '-n', NAMESPACE, '--wait', '--timeout', '2m'));
  const kinds = ['all', 'leases', 'serviceaccounts', 'configmaps', 'roles', 'rolebindings', 'networkpolicies'];
  const clusterWide = ['clusterroles', 'clusterrolebindings', 'validatingadmissionpolicies', 'crds'];
  for (const [scope, some] of [
    [
      ['-n', NAMESPACE],
      [...kinds, 'poddisruptionbudgets'],
    ],
    [[], [...clusterWide, 'validatingadmissionpolicybindings']],
  ] as const)
    for (const kind of some)
      await until(
        `every deeprt among ${kind} to be gone`,
        () => !kubectl(...scope, 'get', kind, '-o', 'name').includes('deeprt'),
      );
  say('nothing is left');
  say(`\nThe end-to-end test passed in ${((Date.now() - started) / 1000).toFixed(0)}s.`);
}

try {
  await story();
  process.exit(0);
} catch (error) {
  console.error(`FAILED: ${(error as Error).stack ?? ''}`);
  const tail = (text: string): string => text.split('\n').slice(-25).join('\n');
  const look: Record<string, () => string> = {
    pods: () => kubectl('get', 'pods', '-A', '-o', 'wide'),
    events: () => tail(kubectl('get', 'events', '-A')),
    agent: () => tail(kubectl('-n', NAMESPACE, 'logs', '-l', 'app.kubernetes.io/component=agent', '--tail=30')),
    operator: () => tail(kubectl('-n', NAMESPACE, 'logs', '-l', 'app.kubernetes.io/component=operator', '--tail=15')),
    kubelet: () => tail(logOf('kubelet')),
  };
  for (const [what, show] of Object.entries(look))
    try {
      console.error(`\n-- ${what}:\n${show()}`);
    } catch {
      // Not there yet.
    }
  process.exit(1);
}
