import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ResourceOf } from '../api/manifests.js';
import { until } from './support/api-server.js';
import { objectsOf, rendered } from './support/chart.js';
import type { Process } from './support/cli.js';
import { GROUP, TestCluster } from './support/cluster.js';
import type { Tenant } from './support/cluster.js';
import { tenantManifest } from './support/workspace.js';

/** Teams that share devices, on a real API server; the operator has the rights of the chart and no others. */

type Quota = ResourceOf<'TenantQuota'>;
type Applied = Parameters<TestCluster['api']['apply']>[0];

const NOTICE_MS = 3000;

let cluster: TestCluster;
let operator: Process;
let rights: string;

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.deploy();
  for (const object of objectsOf(rendered('--show-only', 'templates/user-rbac.yaml'))) await cluster.api.apply(object);
  for (const name of ['a', 'b', 'free'])
    await cluster.api.apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: `team-${name}`, ...(name === 'free' ? {} : { labels: { team: name } }) },
    });
  await cluster.model();
  for (const node of ['edge-1', 'edge-2']) {
    await cluster.node(node);
    await cluster.profile(node);
  }
  rights = await cluster.file('operator', await cluster.api.kubeconfigFor(await cluster.token('deeprt-operator')));
  operator = await started();
}, 180_000);
afterAll(() => cluster.stop());

const started = (): Promise<Process> => cluster.operator('--kubeconfig', rights, '--reclaim-notice', `${NOTICE_MS}ms`);

/** So many cameras of ten frames a second: 30 device-milliseconds a second each. */
const asks = (namespace: string, name: string, cameras: number, spec: object = {}): Promise<unknown> => {
  const manifest = tenantManifest(name, { streams: cameras, framesPerSecond: 10, jitter: '5ms', ...spec }) as {
    metadata: object;
  };
  return cluster.api.apply({ ...manifest, metadata: { name, namespace } } as unknown as Applied);
};
const quota = (name: string, nominalQuota: number, more: object = {}): Promise<unknown> =>
  cluster.api.apply({
    apiVersion: 'deeprt.dev/v1alpha1',
    kind: 'TenantQuota',
    metadata: { name },
    spec: {
      namespaceSelector: { matchLabels: { team: name } },
      cohort: 'all',
      flavors: [{ name: 'edge', nominalQuota }],
      ...more,
    },
  } as Applied);
const tenantOf = (namespace: string, name: string): Promise<Tenant> =>
  cluster.api.must<Tenant>('GET', `${GROUP}/namespaces/${namespace}/inferencetenants/${name}`);
const reason = async (namespace: string, name: string, type = 'Admitted'): Promise<string | undefined> =>
  (await tenantOf(namespace, name)).status?.conditions?.find((each) => each.type === type)?.reason;
const becomes = (namespace: string, name: string, wanted: string | undefined, type?: string): Promise<void> =>
  until(
    async () => (await reason(namespace, name, type)) === wanted,
    `${namespace}/${name} to be ${wanted ?? 'plain'}`,
  );
const status = async (name: string): Promise<Quota['status']> =>
  (await cluster.api.must<Quota>('GET', `${GROUP}/tenantquotas/${name}`)).status;

/** What holds after every change: promises can be kept, and what quotas tell is what tenants are charged. */
async function holds(): Promise<void> {
  await until(
    async () => {
      if ((await cluster.brokenPromises()).length > 0) return false;
      const { items } = await cluster.api.must<{ items: Tenant[] }>('GET', `${GROUP}/inferencetenants`);
      for (const team of ['a', 'b']) {
        const charged = items
          .filter(({ metadata }) => metadata.namespace === `team-${team}`)
          .reduce((sum, each) => sum + (each.status?.charged ?? 0), 0);
        const told = await status(team);
        if (Math.abs((told?.flavors?.[0]?.used ?? 0) - charged) > 0.2) return false;
      }
      return true;
    },
    'promises and figures to agree',
    undefined,
    10_000,
  );
}

test('a team has its share, borrows what another does not use, and gives it back when that one asks', async () => {
  await cluster.api.apply({
    apiVersion: 'deeprt.dev/v1alpha1',
    kind: 'DeviceFlavor',
    metadata: { name: 'edge' },
    spec: { executionProviders: ['cpu'], deviceNames: ['recor*'] },
  } as Applied);
  await quota('a', 100);
  await quota('b', 100);
  await asks('team-a', 'gate', 3);
  await becomes('team-a', 'gate', 'Admitted');
  expect((await tenantOf('team-a', 'gate')).status!.charged).toBeCloseTo(90, 0);
  await asks('team-a', 'yard', 3);
  await becomes('team-a', 'yard', 'BeyondNominal', 'Borrowed');
  await holds();
  await until(async () => (await status('a'))?.borrowed === 80, 'the quota to tell what is borrowed');
  expect(await status('a')).toMatchObject({
    namespaces: 1,
    tenants: 2,
    streams: 6,
    pendingTenants: 0,
    used: 'edge 180/100',
    flavors: [{ name: 'edge', nominal: 100, used: 180, borrowed: 80, pending: 0 }],
    conditions: [{ type: 'Active', status: 'True' }],
  });
  const flavor = await cluster.api.must<ResourceOf<'DeviceFlavor'>>('GET', `${GROUP}/deviceflavors/edge`);
  expect(flavor.status).toEqual({ devices: 2, kinds: 'recorded' });

  // What nobody's quota is about is not limited.
  await asks('team-free', 'all', 10);
  await becomes('team-free', 'all', 'Admitted');
  expect((await tenantOf('team-free', 'all')).status!.charged).toBeUndefined();

  // The other team asks for its own: a notice first, also over the operator's end.
  await asks('team-b', 'dock', 3);
  await becomes('team-b', 'dock', 'Reclaiming');
  await becomes('team-a', 'yard', 'ReclaimNotice', 'Borrowed');
  const promisedAtMs = performance.now();
  await operator.kill('SIGKILL');
  operator = await started();
  await becomes('team-b', 'dock', 'Admitted');
  // A new leader's notice begins anew: nobody has less time than they were told.
  expect(performance.now() - promisedAtMs).toBeGreaterThan(NOTICE_MS);
  await becomes('team-a', 'yard', 'Reclaimed');
  expect(await reason('team-a', 'yard', 'Borrowed')).toBeUndefined();
  expect(await reason('team-a', 'gate')).toBe('Admitted');
  await holds();
  const { items } = await cluster.api.must<{ items: { reason: string; regarding: { name: string } }[] }>(
    'GET',
    '/apis/events.k8s.io/v1/namespaces/team-a/events',
  );
  const told = items.filter(({ regarding }) => regarding.name === 'yard').map((each) => each.reason);
  expect(told).toEqual(expect.arrayContaining(['Admitted', 'ReclaimNotice', 'Reclaimed']));
}, 120_000);

test('within a team the more important tenant comes first; to another team a priority is nothing', async () => {
  await cluster.api.apply({
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: 'urgent' },
    value: 1000,
  } as Applied);
  await asks('team-b', 'alarm', 2, { priorityClassName: 'urgent' });
  await becomes('team-b', 'alarm', 'Admitted');
  await becomes('team-b', 'dock', 'Preempted');
  expect(await reason('team-a', 'gate')).toBe('Admitted');
  await holds();
  // A smaller quota takes nothing by itself: it is borrowed then, and is given back when somebody asks.
  await quota('b', 30, { priorityClassNames: ['urgent'] });
  await becomes('team-b', 'alarm', 'BeyondNominal', 'Borrowed');
  await asks('team-b', 'low', 1, { priorityClassName: 'none-of-it' });
  await becomes('team-b', 'low', 'PriorityClassNotFound');
  await holds();
}, 60_000);

test('who may read a namespace only sees what its team has', async () => {
  await cluster.api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'eve', namespace: 'team-a' },
  });
  await cluster.api.apply({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'eve', namespace: 'team-a' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'deeprt-view' },
    subjects: [{ kind: 'ServiceAccount', name: 'eve', namespace: 'team-a' }],
  } as Applied);
  const { status: token } = await cluster.api.must<{ status: { token: string } }>(
    'POST',
    '/api/v1/namespaces/team-a/serviceaccounts/eve/token',
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 600 } },
  );
  const eve = await cluster.file('eve', await cluster.api.kubeconfigFor(token.token));
  const asEve = (...args: string[]): { code: number; output: string } =>
    cluster.api.kubectl('--kubeconfig', eve, ...args);
  await until(() => asEve('get', 'tsh', '-n', 'team-a').output.includes('edge 90/100'), 'the share to be told');
  expect(asEve('get', 'tsh', 'a', '-n', 'team-a').output).toMatch(/a\s+all\s+edge 90\/100\s+90\s+0\s+1/);
  expect(asEve('get', 'tsh', '-n', 'team-b').output).toContain('forbidden');
  expect(asEve('get', 'tq').output).toContain('forbidden');
}, 60_000);

test('labels of a namespace fence each tenant by itself, where the chart is told so', async () => {
  const fence = rendered('--set', 'namespaceFence.enabled=true', '--show-only', 'templates/namespace-fence.yaml');
  for (const object of objectsOf(fence)) await cluster.api.apply(object);
  const labels = ['max-fps=50', 'max-streams=4', 'priority-class=urgent'].map((label) => `deeprt.dev/${label}`);
  cluster.api.kubectl('label', 'ns', 'team-free', ...labels);
  let asked = 0;
  /** Something new each time: who asks for the same again is let through. */
  const refusalOf = (cameras: number, spec: object): Promise<string> =>
    asks('team-free', 'fenced', cameras, { deadline: `${400 + asked++}ms`, ...spec }).then(
      () => 'admitted',
      (error: unknown) => (error as Error).message,
    );
  // A policy is in force a moment after it was made.
  await until(async () => /max-streams=4/.test(await refusalOf(5, {})), 'the fence to stand');
  expect(await refusalOf(3, { framesPerSecond: 20 })).toMatch(/max-fps=50/);
  expect(await refusalOf(1, { priorityClassName: 'other' })).toMatch(/may be urgent only/);
  expect(await refusalOf(4, { priorityClassName: 'urgent' })).toBe('admitted');
  await becomes('team-free', 'fenced', 'Admitted');
  // 50 frames a second by 2 streams are 25 each: every 40 ms.
  const every = (period: string): Promise<string> =>
    refusalOf(2, { framesPerSecond: undefined, jitter: '0ms', period });
  expect([await every('40ms'), await every('40.01ms')]).toEqual(['admitted', 'admitted']);
  expect([await every('39.9ms'), await every('500us')].join()).toMatch(/max-fps=50.*max-fps=50/);
  // Scaling is another way to the same.
  const scaled = (streams: number): { code: number; output: string } =>
    cluster.api.kubectl('scale', 'itn', 'fenced', '-n', 'team-free', `--replicas=${streams}`);
  await until(() => {
    const { code, output } = scaled(50);
    if (code === 0) scaled(2);
    return /max-streams=4/.test(output);
  }, 'the fence of scaling to stand');
  expect(scaled(3).output).toMatch(/max-fps/);
  cluster.api.kubectl('label', 'ns', 'team-free', 'deeprt.dev/max-fps-', 'deeprt.dev/max-streams=many', '--overwrite');
  await until(
    async () => /max-streams=many.* is no whole number/.test(await refusalOf(1, {})),
    'the odd label to be told',
  );
  // What was there before stays, and may go: the operator's finalizer is no request.
  await cluster.api.must('DELETE', `${GROUP}/namespaces/team-free/inferencetenants/all`);
  for (const kind of ['validatingadmissionpolicybindings', 'validatingadmissionpolicies'])
    for (const fenced of ['deeprt-namespace-fence', 'deeprt-namespace-fence-scale'])
      await cluster.api.must('DELETE', `/apis/admissionregistration.k8s.io/v1/${kind}/${fenced}`);
}, 60_000);

test('a namespace that leaves a team, and a quota that goes, leave nothing behind', async () => {
  await cluster.api.must('DELETE', `${GROUP}/tenantquotas/a`);
  // Nothing limits the team any more: whoever waited for the quota is let in.
  await becomes('team-a', 'yard', 'Admitted');
  const shares = async (): Promise<string[]> =>
    (
      await cluster.api.must<{ items: { metadata: { namespace: string } }[] }>('GET', `${GROUP}/tenantshares`)
    ).items.map(({ metadata }) => metadata.namespace);
  await until(async () => (await shares()).join() === 'team-b', 'the share to go with its quota');
  cluster.api.kubectl('label', 'ns', 'team-b', 'team-');
  await until(async () => (await shares()).length === 0, 'the share to go with the label');
  await until(async () => (await status('b'))?.conditions?.[0]?.reason === 'NoNamespaces', 'the quota to say so');
  expect(operator.ended()).toBe(false);
  expect(await cluster.brokenPromises()).toEqual([]);
}, 60_000);
