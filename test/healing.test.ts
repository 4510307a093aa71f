import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from './support/api-server.js';
import type { Process } from './support/cli.js';
import { inferJson } from './support/cli.js';
import type { Profile, RunningAgent, Schedule } from './support/cluster.js';
import { GROUP, TestCluster } from './support/cluster.js';
import { echoNetwork } from './support/workspace.js';

/** What operator and agent have written is put back when somebody else deletes or changes it, and the tenants are served throughout. */

const SERVICES = '/api/v1/namespaces/default/services';
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

let cluster: TestCluster;
let agent: RunningAgent;
let operator: Process;
let rights: string;
let camera: NodeJS.Timeout;
const answers: Promise<number>[] = [];

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.deploy();
  const network = echoNetwork();
  await writeFile(join(cluster.api.dir, 'echo.onnx'), network);
  const sha256 = createHash('sha256').update(network).digest('hex');
  await cluster.model('echo', sha256, { source: 'file:echo.onnx' });
  await cluster.node('edge-1');
  agent = await cluster.agent('edge-1');
  // With the rights that the chart gives, and no more.
  rights = await cluster.file('operator', await cluster.api.kubeconfigFor(await cluster.token('deeprt-operator')));
  operator = await cluster.operator('--kubeconfig', rights);
  await cluster.tenant('gate');
  await cluster.condition('gate', 'Ready', 'True', 'Serving', 90_000);
  const send = async (): Promise<number> => (await inferJson(agent.url, 'gate', {})).status;
  camera = setInterval(() => answers.push(send()), 200);
}, 240_000);
afterAll(async () => {
  clearInterval(camera);
  await Promise.allSettled(answers);
  await cluster.stop();
});

const exists = async (path: string): Promise<boolean> => (await cluster.api.request('GET', path)).status === 200;
const uidOf = async (path: string): Promise<string> =>
  (await cluster.api.must<{ metadata: { uid: string } }>('GET', path)).metadata.uid;

/** Deletes an object and waits until there is another one in its place. */
async function deleted(path: string): Promise<void> {
  const before = await uidOf(path);
  await cluster.api.must('DELETE', path);
  await until(
    async () => (await exists(path)) && (await uidOf(path)) !== before,
    `${path} to be back`,
    undefined,
    10_000,
  );
}

async function stillServed(): Promise<void> {
  await cluster.condition('gate', 'Admitted', 'True');
  await cluster.condition('gate', 'Ready', 'True', 'Serving');
  expect(await cluster.servedBy('edge-1')).toContain('gate');
  const seen = await Promise.all(answers.splice(0));
  expect(seen.filter((status) => status !== 200)).toEqual([]);
}

describe('what is deleted comes back', () => {
  test('the record of what a node was promised to', async () => {
    await deleted(`${GROUP}/nodeschedules/edge-1`);
    expect(await cluster.servedBy('edge-1')).toEqual(['gate']);
    await stillServed();
  });

  test('a profile, with its figures', async () => {
    await deleted(`${GROUP}/gpuprofiles/edge-1-0`);
    const profile = (): Promise<Profile> => cluster.api.must<Profile>('GET', `${GROUP}/gpuprofiles/edge-1-0`);
    await until(async () => (await profile()).status?.categories !== undefined, 'its figures', undefined, 10_000);
    await stillServed();
  });

  test('a tenant’s Service and EndpointSlices', async () => {
    await until(async () => exists(`${SERVICES}/deeprt-gate`), 'the Service');
    await deleted(`${SERVICES}/deeprt-gate`);
    await until(async () => exists(`${SLICES}/deeprt-gate-ipv4-8080`), 'the slice');
    await deleted(`${SLICES}/deeprt-gate-ipv4-8080`);
    await stillServed();
  });
});

describe('what is changed is put right', () => {
  test('statuses of tenants and models', async () => {
    const before = (await cluster.getTenant('gate'))!.status!.placements;
    for (const path of [`namespaces/default/inferencetenants/gate`, 'inferencemodels/echo'])
      await cluster.api.must('PATCH', `${GROUP}/${path}/status`, {
        status: { conditions: [], placements: null, nodes: null },
      });
    await until(
      async () => JSON.stringify((await cluster.getTenant('gate'))!.status!.placements) === JSON.stringify(before),
      'the placements',
      undefined,
      10_000,
    );
    const model = async (): Promise<{ status?: { nodes?: object[] } }> =>
      cluster.api.must('GET', `${GROUP}/inferencemodels/echo`);
    await until(async () => ((await model()).status?.nodes ?? []).length === 1, 'the model’s nodes', undefined, 10_000);
    await stillServed();
  });

  test('a Service’s owner, ports and labels', async () => {
    const path = `${SERVICES}/deeprt-gate`;
    await cluster.api.must('PATCH', path, {
      metadata: { ownerReferences: null },
      spec: { ports: [{ name: 'http', port: 81, targetPort: 81 }] },
    });
    interface Service {
      readonly metadata: { readonly ownerReferences?: readonly object[] };
      readonly spec: { readonly ports: readonly { readonly port: number }[] };
    }
    await until(
      async () => {
        const { metadata, spec } = await cluster.api.must<Service>('GET', path);
        return metadata.ownerReferences?.length === 1 && spec.ports.some(({ port }) => port === 80);
      },
      'the Service as it was',
      undefined,
      10_000,
    );
    await stillServed();
  });

  test('a Service’s type and selector, and a slice’s labels', async () => {
    interface Found {
      readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
      readonly spec: { readonly type?: string; readonly selector?: object };
    }
    const service = (): Promise<Found> => cluster.api.must('GET', `${SERVICES}/deeprt-gate`);
    const isRight = async (): Promise<boolean> => {
      const { type, selector } = (await service()).spec;
      return type === 'ClusterIP' && selector === undefined;
    };
    await cluster.api.must('PATCH', `${SERVICES}/deeprt-gate`, { spec: { selector: { app: 'evil' } } });
    await until(isRight, 'the selector to go', undefined, 10_000);
    await cluster.api.must('PATCH', `${SERVICES}/deeprt-gate`, {
      spec: { type: 'ExternalName', externalName: 'evil.example.com', clusterIP: null, clusterIPs: null },
    });
    await until(isRight, 'the type', undefined, 10_000);
    const slice = `${SLICES}/deeprt-gate-ipv4-8080`;
    const label = 'kubernetes.io/service-name';
    await cluster.api.must('PATCH', slice, { metadata: { labels: { [label]: 'elsewhere' } } });
    const labelled = async (): Promise<boolean> =>
      (await cluster.api.must<Found>('GET', slice)).metadata.labels?.[label] === 'deeprt-gate';
    await until(labelled, 'the label', undefined, 10_000);
    await stillServed();
  });

  test('a tenant’s finalizer, and a schedule’s owner', async () => {
    const tenant = `${GROUP}/namespaces/default/inferencetenants/gate`;
    interface Found {
      readonly metadata: {
        readonly finalizers?: readonly string[];
        readonly ownerReferences?: { readonly uid: string }[];
      };
    }
    await cluster.api.must('PATCH', tenant, { metadata: { finalizers: null } });
    const held = async (): Promise<boolean> =>
      (await cluster.api.must<Found>('GET', tenant)).metadata.finalizers?.includes('deeprt.dev/withdraw') === true;
    await until(held, 'the finalizer', undefined, 10_000);
    const schedule = `${GROUP}/nodeschedules/edge-1`;
    await cluster.api.must('PATCH', schedule, { metadata: { ownerReferences: null } });
    const owned = async (): Promise<boolean> =>
      (await cluster.api.must<Found>('GET', schedule)).metadata.ownerReferences?.[0]?.uid ===
      (await uidOf('/api/v1/nodes/edge-1'));
    await until(owned, 'the owner', undefined, 10_000);
    await stillServed();
  });

  test('a schedule that was edited by hand', async () => {
    await cluster.api.must('PATCH', `${GROUP}/nodeschedules/edge-1`, {
      spec: { devices: [{ device: 0, categories: [] }] },
    });
    const served = async (): Promise<boolean> => (await cluster.servedBy('edge-1')).includes('gate');
    await until(served, 'the record', undefined, 10_000);
    const schedule = (): Promise<Schedule & { metadata: { generation: number } }> =>
      cluster.api.must('GET', `${GROUP}/nodeschedules/edge-1`);
    await until(async () => {
      const { metadata, status } = await schedule();
      return status?.observedGeneration === metadata.generation;
    }, 'the agent to follow');
    await Promise.all(answers.splice(0)); // the agent may have seen the edited one
    await new Promise((resolve) => setTimeout(resolve, 500));
    await stillServed();
  });
});

test('all of it at once, while the operator is killed and started again', async () => {
  const before = (await cluster.getTenant('gate'))!.status!.placements;
  const objects = [
    `${GROUP}/nodeschedules/edge-1`,
    `${GROUP}/gpuprofiles/edge-1-0`,
    `${SERVICES}/deeprt-gate`,
    `${SLICES}/deeprt-gate-ipv4-8080`,
  ];
  await operator.kill('SIGKILL');
  await Promise.all(objects.map((path) => cluster.api.must('DELETE', path)));
  await cluster.api.must('PATCH', `${GROUP}/namespaces/default/inferencetenants/gate/status`, {
    status: { conditions: [], placements: null, promised: null },
  });
  operator = await cluster.operator('--kubeconfig', rights);
  await operator.logged(({ msg }) => msg === 'leading');
  await until(
    async () => (await Promise.all(objects.map(exists))).every(Boolean),
    'all of it to be back',
    undefined,
    10_000,
  );
  await until(
    async () => JSON.stringify((await cluster.getTenant('gate'))!.status?.placements) === JSON.stringify(before),
    'the placements',
    undefined,
    10_000,
  );
  await stillServed();
});

test('a tenant that somebody else’s finalizer keeps says that it is withdrawn, and nobody is sent to it', async () => {
  await cluster.tenant('kept');
  await cluster.condition('kept', 'Ready', 'True', 'Serving', 30_000);
  const path = `${GROUP}/namespaces/default/inferencetenants/kept`;
  const finalizers = ['example.com/hold', ...(await cluster.getTenant('kept'))!.metadata.finalizers!];
  await cluster.api.must('PATCH', path, { metadata: { finalizers } });
  await cluster.deleteTenant('kept');
  await until(async () => {
    const { conditions = [], placements = [] } = (await cluster.getTenant('kept'))?.status ?? {};
    const told = conditions.map(({ type, status, reason }) => `${type}=${status}/${reason}`);
    return told.includes('Admitted=False/Withdrawn') && placements.length === 0;
  }, 'it to be told');
  await until(async () => !(await exists(`${SLICES}/deeprt-kept-ipv4-8080`)), 'its slice to go');
  await cluster.api.must('PATCH', path, { metadata: { finalizers: null } });
  await until(async () => (await cluster.getTenant('kept')) === undefined, 'it to go');
});

test('a Service of somebody else is left alone, and the tenant says so until it is gone', async () => {
  const ports = [{ name: 'web', port: 8000 }];
  await cluster.api.must('POST', SERVICES, { metadata: { name: 'deeprt-dock' }, spec: { ports } });
  await cluster.tenant('dock');
  const { message } = await cluster.condition('dock', 'Ready', 'False', 'ServiceNameTaken', 30_000);
  expect(message).toContain('"deeprt-dock"');
  const found = await cluster.api.must<{ metadata: { ownerReferences?: object[] }; spec: { ports: object[] } }>(
    'GET',
    `${SERVICES}/deeprt-dock`,
  );
  expect(found.metadata.ownerReferences).toBeUndefined();
  expect(found.spec.ports).toMatchObject(ports);
  await cluster.api.must('DELETE', `${SERVICES}/deeprt-dock`);
  await cluster.condition('dock', 'Ready', 'True', 'Serving', 30_000);
  expect(await exists(`${SERVICES}/deeprt-dock`)).toBe(true);
});

test('the operator’s credentials change no Service or EndpointSlice but those that it made for tenants', async () => {
  const token = await cluster.token('deeprt-operator');
  const refused = async (method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<string> => {
    const answer = await cluster.api.request<{ message: string }>(method, path, body, { token });
    expect([path, answer.status >= 400]).toEqual([path, true]);
    return answer.body.message;
  };
  const spec = { ports: [{ name: 'web', port: 8000 }] };
  await cluster.api.must('POST', SERVICES, { metadata: { name: 'shop' }, spec });
  const own = { 'app.kubernetes.io/managed-by': 'deeprt.dev' };
  const did = 'may not touch a Service or EndpointSlice that it did not make';
  expect(await refused('PATCH', `${SERVICES}/shop`, { metadata: { labels: own } })).toContain(did);
  const nobodys = { metadata: { name: 'mine', labels: own }, spec };
  expect(await refused('POST', SERVICES, nobodys)).toContain('for InferenceTenants only');
  const slice = {
    metadata: { name: 'shop-1', labels: { 'kubernetes.io/service-name': 'shop' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['192.0.2.66'] }],
    ports: [{ port: 80 }],
  };
  expect(await refused('POST', SLICES, slice)).toContain('for InferenceTenants only');
  await cluster.api.must('POST', SLICES, slice);
  expect(await refused('DELETE', `${SLICES}/shop-1`)).toContain(did);
  for (const path of ['/api/v1/secrets', '/api/v1/namespaces/default/pods', '/api/v1/configmaps'])
    expect((await cluster.api.request('GET', path, undefined, { token })).status).toBe(403);
});
