import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from './support/api-server.js';
import type { Process } from './support/cli.js';
import { deeprt, start } from './support/cli.js';
import { GROUP, TestCluster } from './support/cluster.js';

/** The control plane on a real API server, over nodes whose devices were measured before: every transition. */

let cluster: TestCluster;
let operator: Process;
beforeAll(async () => {
  cluster = await TestCluster.start();
  operator = await cluster.operator();
  await cluster.model();
});
afterAll(() => cluster.stop());

/** Each test has nodes and tenants of its own; afterwards all promises must hold, and all of them goes. */
afterEach(async () => {
  await until(async () => (await cluster.brokenPromises()).length === 0, 'all promises to hold', undefined, 5000).catch(
    async () => expect(await cluster.brokenPromises()).toEqual([]),
  );
  // Without its node a tenant need not wait for an agent to confirm.
  for (const kind of [
    '/api/v1/nodes',
    `${GROUP}/gpuprofiles`,
    `${GROUP}/namespaces/default/inferencetenants`,
    '/apis/scheduling.k8s.io/v1/priorityclasses?labelSelector=test',
  ])
    await cluster.api.must('DELETE', kind);
  await until(
    async () => (await cluster.api.must<{ items: object[] }>('GET', `${GROUP}/inferencetenants`)).items.length === 0,
    'all tenants to be withdrawn',
  );
  await until(
    async () => (await cluster.api.must<{ items: object[] }>('GET', `${GROUP}/nodeschedules`)).items.length === 0,
    'the records of deleted nodes to go',
  );
  expect(operator.ended()).toBe(false);
});

const heavy = { streams: 15, framesPerSecond: 30, deadline: '100ms' };

describe('admission', () => {
  test('tells the whole story in status and Events, and writes the promise before it tells', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('gate', { streams: 2 });
    await cluster.admitted('gate');
    const tenant = (await cluster.getTenant('gate'))!;
    expect(tenant.metadata.finalizers).toEqual(['deeprt.dev/withdraw']);
    expect(tenant.status).toMatchObject({
      observedGeneration: 1,
      framesPerSecond: 20,
      placements: [{ node: 'edge-1', device: 0, streams: 2, category: 'echo@3x8x8' }],
    });
    expect(Number(tenant.status!.utilization)).toBeGreaterThan(0);
    expect(await cluster.servedBy('edge-1')).toEqual(['gate']);
    await cluster.condition('gate', 'Programmed', 'False', 'AgentPending');

    await cluster.report('edge-1');
    await cluster.condition('gate', 'Programmed', 'True');
    await cluster.condition('gate', 'Ready', 'True');
    await until(async () => (await cluster.events('gate')).length === 3, 'three Events');
    expect((await cluster.events('gate')).map(({ reason, type }) => `${type} ${reason}`).sort()).toEqual([
      'Normal Admitted',
      'Normal Programmed',
      'Normal Serving',
    ]);
    const row = cluster.api.kubectl('get', 'itn', 'gate', '-o', 'wide').output.split('\n')[1]!;
    expect(row).toMatch(
      /gate\s+echo\s+2\s+20\s+400ms\s+True\s+Admitted\s+2x20fps\/400ms\s+True\s+edge-1\s+0\.\d+\s+0\s+\S+\s+http:\S+\s+streams: 2 on edge-1/,
    );
  });

  test('refuses in the words of kubectl describe, with an offer that is then taken up', async () => {
    for (const node of ['edge-1', 'edge-2', 'edge-3']) await cluster.node(node);
    await cluster.profile('edge-1');
    await cluster.profile('edge-2', { slow: 2 });
    await cluster.profile('edge-3', { models: [] });
    await cluster.tenant('crowd', { streams: 200, framesPerSecond: 30, deadline: '100ms' });
    const refused = await cluster.condition('crowd', 'Admitted', 'False', 'UtilizationExceeded');
    expect(refused.message).toMatch(
      /^0\/3 nodes admit: 2 UtilizationExceeded \(best: edge-1 at [0-9.]+\), 1 ProfilePending/,
    );
    const offerOf = async (): Promise<{ streams?: number } | undefined> =>
      (await cluster.getTenant('crowd'))!.status!.offer;
    const offer = await offerOf();
    expect(offer!.streams).toBeGreaterThan(0);
    const { output } = cluster.api.kubectl('describe', 'itn', 'crowd');
    expect(output).toContain('0/3 nodes admit');
    expect(output).toMatch(/Warning\s+UtilizationExceeded/);

    await cluster.tenant('crowd', { streams: 10_000, framesPerSecond: 10_000, deadline: '4ms', jitter: '0s' });
    await until(async () => (await offerOf()) === undefined, 'no offer, for nothing smaller fits either');
    expect((await cluster.condition('crowd', 'Admitted', 'False')).message).toContain('no lower rate');

    await cluster.tenant('crowd', { streams: offer!.streams, framesPerSecond: 30, deadline: '100ms' });
    await cluster.admitted('crowd');
    expect(await offerOf()).toBeUndefined();
  });

  test('says what is misconfigured: model, shape, priority class', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1', { failures: { broken: 'there is no file /models/broken.onnx (spec.source)' } });
    await cluster.model('broken', 'b'.repeat(64));
    await cluster.tenant('a', { modelRef: { name: 'ecco' } });
    await cluster.tenant('b', { inputShape: [3, 9, 9] });
    await cluster.tenant('c', { priorityClassName: 'urgnet' });
    await cluster.tenant('d', { modelRef: { name: 'broken' } });
    await cluster.condition('a', 'Admitted', 'False', 'ModelNotFound');
    await cluster.condition('b', 'Admitted', 'False', 'ShapeNotOffered');
    expect((await cluster.condition('c', 'Admitted', 'False', 'PriorityClassNotFound')).message).toContain('urgnet');
    expect((await cluster.condition('d', 'Admitted', 'False', 'ModelUnavailable')).message).toContain('broken.onnx');
    const model = await cluster.api.must<{ status: object }>('GET', `${GROUP}/inferencemodels/broken`);
    expect(model.status).toMatchObject({ nodes: [{ name: 'edge-1', ready: false }] });
    await cluster.api.must('DELETE', `${GROUP}/inferencemodels/broken`);

    // What was missing comes: nobody has to touch the tenant.
    await cluster.model('ecco', 'c'.repeat(64));
    await cluster.profile('edge-1', { models: ['echo', 'ecco'] });
    await cluster.admitted('a');
    // One that is in use stays for whom it serves, says so, and takes nobody new.
    const ecco = `${GROUP}/inferencemodels/ecco`;
    await cluster.api.must('DELETE', ecco);
    interface Model {
      status?: { conditions?: { type: string; reason: string; message: string }[] };
    }
    const leaving = async (): Promise<string | undefined> =>
      (await cluster.api.must<Model>('GET', ecco)).status?.conditions?.find(({ type }) => type === 'Terminating')
        ?.message;
    await until(async () => (await leaving()) !== undefined, 'the model to say that it is in use');
    expect(await leaving()).toMatch(/^deleted, but 1 tenant is served with it in default;/);
    await cluster.tenant('late', { modelRef: { name: 'ecco' } });
    expect((await cluster.condition('late', 'Admitted', 'False', 'ModelNotFound')).message).toContain('being deleted');
    await cluster.tenant('a', { modelRef: { name: 'ecco' }, deadline: '300ms' });
    await until(async () => (await cluster.getTenant('a'))!.status?.promised?.endsWith('/300ms') === true, 'the edit');
    expect(await cluster.servedBy('edge-1')).toEqual(['a']);
    await cluster.deleteTenant('a');
    await until(async () => (await cluster.api.request('GET', ecco)).status === 404, 'the model to go with its tenant');
  });

  test('filters nodes: not ready, cordoned, selector, taints', async () => {
    const placement = { nodeSelector: { site: 'north' } };
    const north = { labels: { site: 'north' } };
    await cluster.node('cordoned', { ...north, spec: { unschedulable: true } });
    await cluster.node('tainted', { ...north, spec: { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] } });
    await cluster.node('down', { ...north, ready: false });
    for (const node of ['elsewhere', 'nowhere']) await cluster.node(node, { labels: { site: 'south' } });
    for (const node of ['cordoned', 'tainted', 'down', 'elsewhere', 'nowhere']) await cluster.profile(node);
    await cluster.tenant('gate', { placement });
    const { message } = await cluster.condition('gate', 'Admitted', 'False', 'NoEligibleNode');
    const each = (await cluster.getTenant('gate'))!.status!.refusals!.map(({ node, reason }) => `${node} ${reason}`);
    expect(each.sort()).toEqual([
      'cordoned NodeCordoned',
      'down NodeNotReady',
      'elsewhere NodeSelectorMismatch',
      'nowhere NodeSelectorMismatch',
      'tainted TaintNotTolerated',
    ]);
    expect(message).toBe(
      '0/5 nodes admit: 1 NodeCordoned, 1 NodeNotReady, 1 TaintNotTolerated (gpu=yes:NoSchedule), 2 NodeSelectorMismatch (site=north)',
    );
    await cluster.tenant('gate', { placement: { ...placement, tolerations: [{ key: 'gpu', operator: 'Exists' }] } });
    await cluster.admitted('gate');
    expect(await cluster.servedBy('tainted')).toEqual(['gate']);
  });

  test('packs, spreads, splits, and uses several devices of a node', async () => {
    for (const node of ['edge-1', 'edge-2']) {
      await cluster.node(node);
      await cluster.profile(node);
    }
    await cluster.profile('edge-2', { device: 1 });
    await cluster.tenant('first', heavy);
    await cluster.admitted('first');
    await cluster.tenant('packed', { streams: 1 });
    await cluster.tenant('spread', { streams: 1, placement: { strategy: 'Spread' } });
    await cluster.admitted('packed', 'spread');
    const placed = async (name: string): Promise<string[]> =>
      (await cluster.getTenant(name))!.status!.placements!.map(({ node, device }) => `${node}/${device}`);
    expect(await placed('packed')).toEqual(await placed('first'));
    expect(await placed('spread')).not.toEqual(await placed('first'));
    await cluster.tenant('wide', { ...heavy, streams: 40, placement: { allowSplit: true } });
    await cluster.admitted('wide');
    const { placements } = (await cluster.getTenant('wide'))!.status!;
    expect(placements!.length).toBeGreaterThan(1);
    expect(placements!.reduce((sum, { streams }) => sum + streams, 0)).toBe(40);
  });

  test('a higher priority preempts the fewest and least important, who come back when there is room', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    for (const [name, value] of [
      ['low', 10],
      ['high', 1000],
    ] as const)
      await cluster.api.apply({
        apiVersion: 'scheduling.k8s.io/v1',
        kind: 'PriorityClass',
        metadata: { name, labels: { test: 'yes' } },
        value,
      } as Parameters<typeof cluster.api.apply>[0]);
    await cluster.tenant('small', { streams: 1 });
    await cluster.tenant('big', { ...heavy, streams: 14 });
    await cluster.tenant('better', { ...heavy, streams: 5, priorityClassName: 'low' });
    await cluster.admitted('small', 'big', 'better');
    await cluster.tenant('urgent', { ...heavy, streams: 14, priorityClassName: 'high' });
    await cluster.admitted('urgent');
    const preempted = await cluster.condition('big', 'Admitted', 'False', 'Preempted');
    expect(preempted.message).toMatch(/^preempted on edge-1 by default\/urgent, whose priority is 1000; /);
    await cluster.admitted('small', 'better');
    await until(async () => (await cluster.events('big')).some(({ reason }) => reason === 'Preempted'), 'the Event');
    // A priority that would not help pushes nobody out.
    await cluster.tenant('giant', { ...heavy, streams: 300, priorityClassName: 'high' });
    await cluster.condition('giant', 'Admitted', 'False', 'UtilizationExceeded');
    await cluster.admitted('small', 'better', 'urgent');

    // Whoever counts for less than before is looked at again by those who waited.
    await cluster.tenant('urgent', { ...heavy, streams: 14 });
    await cluster.tenant('next', { ...heavy, streams: 14, priorityClassName: 'low' });
    await cluster.admitted('next');
    await cluster.condition('urgent', 'Admitted', 'False', 'Preempted');

    await cluster.deleteTenant('next');
    await cluster.deleteTenant('urgent');
    await cluster.admitted('big');
  });
});

test('a node that is made anew owns what was promised on it', async () => {
  await cluster.node('edge-1');
  await cluster.profile('edge-1');
  await cluster.tenant('gate');
  await cluster.admitted('gate');
  await cluster.api.must('DELETE', '/api/v1/nodes/edge-1');
  await cluster.node('edge-1');
  const uid = async (): Promise<unknown> =>
    (await cluster.api.must<{ metadata: { uid: string } }>('GET', '/api/v1/nodes/edge-1')).metadata.uid;
  await until(async () => {
    const metadata = (await cluster.schedule('edge-1'))?.metadata as
      { ownerReferences?: { uid: string }[] } | undefined;
    return metadata?.ownerReferences?.[0]?.uid === (await uid());
  }, 'the new owner');
});

describe('promises', () => {
  test('outlive a restart, whoever comes first afterwards', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('a', heavy);
    await cluster.admitted('a');
    await cluster.tenant('b', heavy);
    await cluster.condition('b', 'Admitted', 'False');
    const record = (await cluster.schedule('edge-1'))!;
    await operator.kill('SIGTERM');
    await cluster.api.apply({
      apiVersion: 'scheduling.k8s.io/v1',
      kind: 'PriorityClass',
      metadata: { name: 'polite', labels: { test: 'yes' } },
      value: 50,
      preemptionPolicy: 'Never',
    } as Parameters<typeof cluster.api.apply>[0]);
    await cluster.tenant('c', { ...heavy, priorityClassName: 'polite', beyondPromise: 'Refuse' });
    operator = await cluster.operator();
    await cluster.condition('c', 'Admitted', 'False');
    expect((await cluster.schedule('edge-1'))!.spec).toEqual(record.spec);
    // It had released its lease, so the next one led at once; and no decision was made anew.
    expect((await cluster.schedule('edge-1'))!.metadata.generation).toBe(record.metadata.generation);
  });

  test('a changed spec that does not fit leaves the old promise; one that fits replaces it', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('gate', { streams: 2 });
    await cluster.admitted('gate');
    await cluster.tenant('gate', { streams: 900 });
    const stands = await cluster.condition('gate', 'Admitted', 'False', 'UtilizationExceeded');
    await cluster.condition('gate', 'PreviousPromise', 'True', 'GoesOn');
    expect(stands.message).toContain('the one before goes on');
    expect((await cluster.getTenant('gate'))!.status!.placements).toMatchObject([{ streams: 2 }]);
    await cluster.tenant('gate', { streams: 3 });
    await cluster.admitted('gate');
    expect((await cluster.getTenant('gate'))!.status!.placements).toMatchObject([{ streams: 3 }]);
  });

  test('classes that keep the cluster running are not for tenants', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('vip', { priorityClassName: 'system-node-critical' });
    const { message } = await cluster.condition('vip', 'Admitted', 'False', 'PriorityClassForbidden');
    expect(message).toContain('--system-priorities');
  });

  test('a device that its agent does not report takes nobody, and whom it had is placed elsewhere', async () => {
    await cluster.node('edge-1');
    for (const device of [0, 1]) await cluster.profile('edge-1', { device });
    for (const name of ['a', 'b']) await cluster.tenant(name, { placement: { strategy: 'Spread' } });
    await cluster.admitted('a', 'b');
    const devices = async (): Promise<number[]> =>
      ((await cluster.schedule('edge-1'))!.spec.devices ?? [])
        .filter(({ categories }) => categories.length > 0)
        .map(({ device }) => device);
    expect(await devices()).toEqual([0, 1]);
    await cluster.report('edge-1', { devices: [{ device: 0 }] });
    await until(async () => (await devices()).join() === '0', 'the schedule to name device 0 only');
    await cluster.admitted('a', 'b');
    await cluster.tenant('c', { placement: { strategy: 'Spread' } });
    await cluster.admitted('c');
    expect(await devices()).toEqual([0]);
    // It is there again.
    await cluster.report('edge-1', { devices: [{ device: 0 }, { device: 1 }] });
    await cluster.tenant('d', { placement: { strategy: 'Spread' } });
    await cluster.admitted('d');
    expect(await devices()).toEqual([0, 1]);
  });

  test('a deleted tenant is withdrawn from its agent before it disappears', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('gate');
    await cluster.admitted('gate');
    await cluster.report('edge-1');
    await cluster.condition('gate', 'Ready', 'True');
    await cluster.deleteTenant('gate');
    await until(async () => (await cluster.servedBy('edge-1')).length === 0, 'the schedule to be empty');
    // The agent has not confirmed: it may still take frames.
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await cluster.getTenant('gate'))?.metadata.deletionTimestamp).toBeDefined();
    await cluster.report('edge-1');
    await until(async () => (await cluster.getTenant('gate')) === undefined, 'the tenant to go');
  });

  test('a node that is lost gives its tenants to others where they fit, and keeps the place of those who do not', async () => {
    for (const node of ['edge-1', 'edge-2']) await cluster.node(node);
    await cluster.profile('edge-1');
    await cluster.tenant('big', heavy);
    await cluster.tenant('small');
    await cluster.admitted('big', 'small');
    await cluster.profile('edge-2', { slow: 3 });
    await cluster.node('edge-1', { ready: false });
    const lost = await cluster.condition('big', 'Admitted', 'False', 'NodeLost');
    expect(lost.message).toMatch(/^edge-1 is not ready any more; 0\/2 nodes admit: .*; the place there is kept/);
    await until(async () => (await cluster.servedBy('edge-2')).join() === 'small', 'the small one to move');
    expect(await cluster.servedBy('edge-1')).toEqual(['big']);
    await until(async () => (await cluster.events('small')).some(({ reason }) => reason === 'Moved'), 'the Event');

    await cluster.node('edge-1');
    await cluster.admitted('big', 'small');
    expect(await cluster.servedBy('edge-1')).toEqual(['big']);
    expect(await cluster.servedBy('edge-2')).toEqual(['small']);
  });

  test('a short absence, a cordon and a deleted node', async () => {
    for (const node of ['edge-1', 'edge-2']) await cluster.node(node);
    await cluster.profile('edge-1');
    await cluster.tenant('gate');
    await cluster.admitted('gate');
    await cluster.profile('edge-2');
    // Within the grace nothing moves.
    await cluster.node('edge-1', { ready: false });
    await new Promise((resolve) => setTimeout(resolve, 700));
    await cluster.node('edge-1');
    await cluster.node('edge-1', { spec: { unschedulable: true } });
    await cluster.tenant('next');
    await cluster.admitted('gate', 'next');
    expect(await cluster.servedBy('edge-1')).toEqual(['gate']);
    expect(await cluster.servedBy('edge-2')).toEqual(['next']);
    await cluster.api.must('DELETE', '/api/v1/nodes/edge-1');
    await until(async () => (await cluster.servedBy('edge-2')).join() === 'gate,next', 'both on the node that is left');
    await until(async () => (await cluster.schedule('edge-1')) === undefined, 'the record of the deleted node to go');
    await cluster.admitted('gate', 'next');
  });

  test('a profile that gets worse costs the least important their place, one that gets better gives it back', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('old', { ...heavy, streams: 6 });
    await cluster.admitted('old');
    await cluster.tenant('young', { ...heavy, streams: 6 });
    await cluster.admitted('young');
    await cluster.profile('edge-1', { slow: 2.5 });
    const refused = await cluster.condition('young', 'Admitted', 'False');
    expect(refused.message).toContain('its profile has changed');
    await cluster.admitted('old');
    await cluster.profile('edge-1');
    await cluster.admitted('old', 'young');
  });

  test('a record changed by somebody else is put right', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('gate');
    await cluster.admitted('gate');
    await cluster.api.must('PATCH', `${GROUP}/nodeschedules/edge-1`, { spec: { devices: [] } });
    await until(async () => (await cluster.servedBy('edge-1')).join() === 'gate', 'the tenant to be back');
    await cluster.admitted('gate');
  });
});

describe('Services', () => {
  test('cameras keep one DNS name while the tenant moves', async () => {
    for (const node of ['edge-1', 'edge-2']) await cluster.node(node);
    await cluster.profile('edge-1');
    await cluster.tenant('gate');
    await cluster.admitted('gate');
    await cluster.report('edge-1');
    interface Slices {
      items: {
        endpoints: { addresses: string[]; nodeName: string; conditions: { ready: boolean } }[];
        ports: object[];
      }[];
    }
    const slices = async (): Promise<Slices['items']> =>
      (
        await cluster.api.must<Slices>(
          'GET',
          '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=deeprt-gate',
        )
      ).items;
    await until(async () => (await slices())[0]?.endpoints[0]?.conditions.ready === true, 'a ready endpoint');
    expect(await slices()).toMatchObject([
      { endpoints: [{ addresses: ['192.0.2.7'], nodeName: 'edge-1' }], ports: [{ name: 'http', port: 8080 }] },
    ]);
    const service = await cluster.api.must<{ metadata: { ownerReferences: { name: string }[] }; spec: object }>(
      'GET',
      '/api/v1/namespaces/default/services/deeprt-gate',
    );
    expect(service).toMatchObject({ metadata: { ownerReferences: [{ name: 'gate' }] }, spec: { type: 'ClusterIP' } });
    expect(service.spec).not.toHaveProperty('selector');

    await cluster.profile('edge-2');
    await cluster.node('edge-1', { ready: false });
    await until(async () => (await cluster.servedBy('edge-2')).join() === 'gate', 'the tenant to move');
    await cluster.report('edge-2', { endpoint: '[2001:db8::7]:9090' });
    await until(async () => (await slices())[0]?.endpoints[0]?.nodeName === 'edge-2', 'the endpoint to move');
    expect(await slices()).toMatchObject([
      { addressType: 'IPv6', endpoints: [{ addresses: ['2001:db8::7'] }], ports: [{ port: 9090 }] },
    ]);
  });

  test('lead nowhere but to addresses of the node that an agent is on', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('gate');
    await cluster.admitted('gate');
    const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
    const made = async (): Promise<string[]> =>
      (await cluster.api.must<{ items: { metadata: { name: string } }[] }>('GET', slices)).items.map(
        ({ metadata }) => metadata.name,
      );
    for (const [endpoint, why] of [
      ['169.254.169.254:80', 'neither an address of the Node nor of an agent’s pod'],
      ['metadata.internal:80', 'no IP address'],
      ['127.0.0.1:8080', 'from its own node only'],
    ] as const) {
      await cluster.report('edge-1', { endpoint });
      await until(
        async () => (await cluster.condition('gate', 'Ready', 'False', 'EndpointRefused')).message.includes(why),
        `${endpoint} to be refused`,
      );
      expect(await made()).toEqual([]);
    }
    // An agent's pod on that node has addresses, too.
    const pods = '/api/v1/namespaces/deeprt-system/pods';
    const labels = { 'app.kubernetes.io/name': 'deeprt', 'app.kubernetes.io/component': 'agent' };
    const container = { name: 'agent', image: 'deeprt' };
    await cluster.api.apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace: 'deeprt-system' },
    });
    await cluster.api.must('POST', pods, {
      metadata: { name: 'agent', labels },
      spec: { nodeName: 'edge-1', containers: [container], automountServiceAccountToken: false },
    });
    await cluster.report('edge-1', { endpoint: '10.244.0.9:8080' });
    await until(
      async () => (await cluster.condition('gate', 'Ready', 'False')).message.includes('10.244.0.9'),
      'it to be refused as long as no pod has it',
    );
    await cluster.api.must('PATCH', `${pods}/agent/status`, {
      status: { phase: 'Running', podIP: '10.244.0.9', podIPs: [{ ip: '10.244.0.9' }] },
    });
    await cluster.condition('gate', 'Ready', 'True', 'Serving');
    expect(await made()).toEqual(['deeprt-gate-ipv4-8080']);
    await cluster.api.must('DELETE', `${pods}/agent?gracePeriodSeconds=0`);
    await cluster.condition('gate', 'Ready', 'False', 'EndpointRefused');
    await until(async () => (await made()).length === 0, 'the slice to go');
  });
});

describe('an operator', () => {
  test('in another namespace does not lead beside this one, and says who does', async () => {
    const second = cluster.spawn('operator', '--namespace', 'elsewhere', '--listen', '127.0.0.1:0');
    const { holder } = await second.logged(({ msg }) => msg === 'another leads; waiting');
    expect(holder).toMatch(/^deeprt-system\//);
    expect(second.log().some(({ msg }) => msg === 'leading')).toBe(false);
    await second.kill('SIGTERM');
  });

  test('does not start where healthy agents would count as silent', async () => {
    const args = ['--kubeconfig', cluster.api.kubeconfig, '--agent-silence', '50s', '--report-period', '30s'];
    const { code, stderr } = await deeprt('operator', ...args);
    expect(code).not.toBe(0);
    expect(stderr).toContain('--agent-silence 50s is less than twice --report-period 30s');
  });

  test('shows durations and addresses as people write them', async () => {
    const { stdout } = await deeprt('operator', '--help');
    const help = stdout.replaceAll(/\s+/g, ' ');
    expect(help).toMatch(/--node-grace[^(]*\(default: 60s\)/);
    expect(help).toMatch(/--listen[^(]*\(default: 127.0.0.1:8081\)/);
  });

  test('writes as one field manager, so that it is clear who wrote what', async () => {
    await cluster.node('edge-1');
    await cluster.profile('edge-1');
    await cluster.tenant('gate');
    await cluster.admitted('gate');
    interface Managed {
      metadata: { managedFields: { manager: string }[] };
    }
    for (const path of [`${GROUP}/namespaces/default/inferencetenants/gate`, `${GROUP}/nodeschedules/edge-1`]) {
      const { metadata } = await cluster.api.must<Managed>('GET', path);
      const managers = new Set(metadata.managedFields.map(({ manager }) => manager));
      managers.delete('test');
      expect([...managers]).toEqual(['deeprt-operator']);
    }
  });

  test('says that there is no kubeconfig, instead of looking for a cluster on localhost', async () => {
    const { code, stderr } = await deeprt('operator', '--kubeconfig', '/nonexistent');
    expect([code === 0, stderr.includes('/nonexistent')]).toEqual([false, true]);
    const environment = { PATH: process.env['PATH'], HOME: cluster.api.dir };
    const { child, result } = start(['operator'], '', environment);
    await new Promise((resolve) => child.once('close', resolve));
    expect(result()).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no kubeconfig') as unknown });
  });
});

test('an agent that claims figures out of all proportion gets nobody, until an admin vouches for it', async () => {
  for (const node of ['edge-1', 'edge-2', 'liar']) await cluster.node(node);
  for (const node of ['edge-1', 'edge-2']) await cluster.profile(node);
  await cluster.profile('liar', { slow: 0.01 });
  await cluster.tenant('gate', { placement: { strategy: 'Spread' } });
  await cluster.admitted('gate');
  expect(await cluster.servedBy('liar')).toEqual([]);
  await cluster.tenant('lured', { ...heavy, streams: 100 });
  const { message } = await cluster.condition('lured', 'Admitted', 'False');
  const { refusals } = (await cluster.getTenant('lured'))!.status!;
  expect(refusals).toContainEqual(expect.objectContaining({ node: 'liar', reason: 'ProfileImplausible' }));
  expect(message).toContain('ProfileImplausible');
  await cluster.api.must('PATCH', '/api/v1/nodes/liar', {
    metadata: { annotations: { 'deeprt.dev/trust-profiles': 'true' } },
  });
  await cluster.admitted('lured');
  expect(await cluster.servedBy('liar')).toContain('lured');
});

// The last one: the API server ends all watches when a schema changes.
test('an object that nobody can read is told so, and keeps nobody else waiting', async () => {
  await cluster.node('edge-1');
  await cluster.profile('edge-1');
  const crd = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/inferencetenants.deeprt.dev';
  const { spec } = await cluster.api.must<{ readonly spec: { readonly versions: object[] } }>('GET', crd);
  const loose = JSON.parse(JSON.stringify(spec.versions), (key, value: unknown) =>
    ['x-kubernetes-validations', 'pattern'].includes(key) && typeof value !== 'string' ? undefined : value,
  ) as object[];
  await cluster.api.must('PATCH', crd, { spec: { versions: loose } });
  const period = { framesPerSecond: undefined, period: '1 s' };
  // The API server takes a new schema into use a moment later.
  await until(
    () =>
      cluster.tenant('old', period).then(
        () => true,
        () => false,
      ),
    'the object to be stored',
  );
  await cluster.api.must('PATCH', crd, { spec: { versions: spec.versions } });
  const { message } = await cluster.condition('old', 'Admitted', 'False', 'DecisionFailed');
  expect(message).toMatch(/cannot be read: .*"1 s" is not a duration/);
  await cluster.tenant('later');
  await cluster.admitted('later');
  await cluster.tenant('old');
  await cluster.admitted('old');
});
