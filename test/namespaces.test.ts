import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from './support/api-server.js';
import { deeprt, inferJson } from './support/cli.js';
import type { RunningAgent } from './support/cluster.js';
import { TestCluster } from './support/cluster.js';
import { echoNetwork } from './support/workspace.js';

/** An operator and an agent in namespaces of their own, each with no more than the rights that the chart gives. */

const AGENTS = 'deeprt-agents';
const POLICY = `/apis/networking.k8s.io/v1/namespaces/${AGENTS}/networkpolicies`;

let cluster: TestCluster;
let agent: RunningAgent;
beforeAll(async () => {
  cluster = await TestCluster.start();
  const { api } = cluster;
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: AGENTS } });
  await cluster.deploy(`agent.namespace=${AGENTS}`);
  const metadata = { name: 'deeprt-agent-tenants' };
  await api.must('POST', POLICY, { metadata, spec: { podSelector: {}, policyTypes: ['Ingress'] } });
  const network = echoNetwork();
  await writeFile(join(api.dir, 'echo.onnx'), network);
  await cluster.model('echo', createHash('sha256').update(network).digest('hex'), { source: 'file:echo.onnx' });
  await cluster.node('edge-1');
  const rights = await cluster.file('operator', await api.kubeconfigFor(await cluster.token('deeprt-operator')));
  const where = ['--agent-namespace', AGENTS, '--frames-policy', metadata.name];
  await cluster.operator('--kubeconfig', rights, ...where);
  agent = await cluster.agent('edge-1', { namespace: AGENTS });
}, 120_000);
afterAll(() => cluster.stop());

test('serve tenants, and let those send that have some', async () => {
  await cluster.tenant('gate', { framesPerSecond: 5, deadline: '900ms' });
  for (const type of ['Admitted', 'Programmed', 'Ready'] as const)
    await cluster.condition('gate', type, 'True', undefined, 90_000);
  expect((await inferJson(agent.url, 'gate', {})).status).toBe(200);
  await until(async () => {
    const policy = await cluster.api.must<{ spec: { ingress?: object[] } }>('GET', `${POLICY}/deeprt-agent-tenants`);
    return JSON.stringify(policy.spec.ingress ?? []).includes('"default"');
  }, 'the NetworkPolicy to let in frames of the tenant’s namespace');
}, 120_000);

test('pods of agents are looked for where agents run', async () => {
  const pods = `/api/v1/namespaces/${AGENTS}/pods`;
  await cluster.api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace: AGENTS },
  });
  await cluster.api.must('POST', pods, {
    metadata: {
      name: 'agent',
      labels: { 'app.kubernetes.io/name': 'deeprt', 'app.kubernetes.io/component': 'agent' },
    },
    spec: {
      nodeName: 'edge-1',
      containers: [{ name: 'agent', image: 'deeprt' }],
      automountServiceAccountToken: false,
    },
  });
  const both = ['--system-namespace', 'deeprt-system', '--system-namespace', AGENTS];
  const { stdout: output } = await deeprt('check', '--kubeconfig', cluster.api.kubeconfig, ...both);
  expect(output).toMatch(/agents +bad +agent is not ready/);
  expect(output).toMatch(/operators +bad +there is no operator in deeprt-system, deeprt-agents/);
});
