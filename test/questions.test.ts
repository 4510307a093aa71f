import { execFileSync } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CommandResult } from './support/cli.js';
import { deeprt } from './support/cli.js';
import { TestCluster } from './support/cluster.js';
import { tenantManifest } from './support/workspace.js';

/** What people ask of a cluster, answered on a real API server with a real operator, and checked against what it then does. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let cluster: TestCluster;
const ask = (...args: string[]): Promise<CommandResult> => deeprt(...args, '--kubeconfig', cluster.api.kubeconfig);
async function json<T>(...args: string[]): Promise<T> {
  const { stdout, stderr } = await ask(...args, '-o', 'json');
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

/** So much of a device that a second one of it does not fit. */
const heavy = { streams: 15, framesPerSecond: 30, deadline: '100ms' };

beforeAll(async () => {
  cluster = await TestCluster.start();
  // The agents that this test plays report when it says so, and commands take a while.
  await cluster.operator('--agent-silence', '120s');
  await cluster.model();
  await cluster.node('edge-1');
  await cluster.profile('edge-1');
  await cluster.tenant('first', heavy);
  await cluster.admitted('first');
  await cluster.tenant('small', { framesPerSecond: 1, deadline: '900ms' });
  await cluster.admitted('small');
  await cluster.tenant('second', heavy);
  await cluster.condition('second', 'Admitted', 'False');
  await cluster.report('edge-1');
}, 120_000);
afterAll(() => cluster.stop());

interface Why {
  readonly admitted: boolean;
  readonly patches: string[];
  readonly madeRoomBy: string[];
}

test('kubectl scales streams, selects by class, and shows where frames go', async () => {
  await cluster.tenant('scaled', { framesPerSecond: 1, deadline: '900ms' });
  await cluster.admitted('scaled');
  expect(cluster.api.kubectl('scale', 'itn', 'scaled', '--replicas=2').code).toBe(0);
  expect((await ask('wait', 'scaled')).code).toBe(0);
  const { status } = (await cluster.getTenant('scaled'))!;
  expect(status).toMatchObject({
    streams: 2,
    promised: '2x1fps/900ms',
    url: 'http://deeprt-scaled.default.svc/v2/models/default.scaled/infer',
  });
  expect(cluster.api.kubectl('get', 'itn', '-o', 'wide').output).toContain(status!.url);
  const { output } = cluster.api.kubectl('get', 'itn', '--field-selector', 'spec.class=BestEffort', '-o', 'name');
  expect(output).not.toContain('scaled');
  await cluster.deleteTenant('scaled');
  await cluster.report('edge-1');
});

test('kubectl answers by the plugin that krew installs from a release, with nothing but Node beside it', async () => {
  const { dir } = cluster.api;
  const run = (program: string, ...args: string[]): string =>
    execFileSync(program, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, KREW_ROOT: dir },
    });
  run(process.execPath, join(ROOT, 'dist/hack/kubectl-plugin.js'), dir);
  const [archive] = (await readdir(dir)).filter((file) => /^deeprt-kubectl-.*\.tar\.gz$/.test(file));
  const krew = run(join(ROOT, 'hack/go-tool.sh'), 'krew').trim();
  run(krew, 'install', `--manifest=${join(dir, 'deeprt.yaml')}`, `--archive=${join(dir, archive!)}`);
  const PATH = [join(dir, 'bin'), dirname(process.execPath), '/usr/bin', '/bin'].join(':');
  const kubectl = (...args: string[]): { code: number; output: string } =>
    cluster.api.kubectlWith({ PATH, NODE_OPTIONS: '' }, ...args);
  for (const question of [
    ['why', 'first'],
    ['why', 'second'],
    ['wait', 'first'],
    ['what-if', '--drain', 'edge-1'],
  ]) {
    const { code, stdout } = await ask(...question);
    expect([question, kubectl('deeprt', ...question)]).toEqual([question, { code, output: stdout }]);
  }
  expect(kubectl('deeprt', 'standalone').output).toContain("unknown command 'standalone'");
});

test('a shell completes tenants of the namespace, of all, and nodes', async () => {
  const completed = async (...words: string[]): Promise<string[]> => {
    const before = ['--kubeconfig', cluster.api.kubeconfig];
    const { stdout } = await deeprt('__complete', words[0]!, ...before, ...words.slice(1));
    return stdout.trim().split('\n');
  };
  expect(await completed('why', 'f')).toEqual(['first', ':4']);
  expect(await completed('why', 'default/se')).toEqual(['default/second', ':4']);
  expect(await completed('why', '-n', 'elsewhere', '')).toEqual([':4']);
  expect(await completed('what-if', '--drain', '')).toEqual(['edge-1', ':4']);
  expect(await completed('what-if', '--without', 'default/f')).toEqual(['default/first', ':4']);
});

describe('why', () => {
  test('a tenant that is promised says what and where', async () => {
    const { code, stdout } = await ask('why', 'first');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^default\/first is promised 15x30fps\/100ms/);
    expect(stdout).toMatch(/edge-1 +0 +15 +yes +every [\d.]+ms/);
  });

  test('a tenant that is refused says why, what would be admitted, and who would have to leave', async () => {
    const { code, stdout } = await ask('why', 'default/second');
    expect(code).toBe(3);
    expect(stdout).toMatch(/What helps: /);
    const why = await json<Why>('why', 'second');
    expect(why.madeRoomBy).toEqual(['default/first']);
    expect(why.patches.length).toBeGreaterThan(0);
  });

  test('its patches are admitted, and what-if says so before', async () => {
    const { patches } = await json<Why>('why', 'second');
    const patch = patches.find((each) => each.includes('streams'))!;
    const [, spec] = /-p '(.*)'$/.exec(patch)!;
    const file = await cluster.file(
      'second.yaml',
      JSON.stringify(await manifest('second', (JSON.parse(spec!) as { spec: object }).spec)),
    );
    const outcomes = await json<{ tenant: string; after: { admitted: boolean } }[]>('what-if', '-f', file);
    expect(outcomes).toEqual([expect.objectContaining({ tenant: 'default/second' })]);
    expect(outcomes[0]!.after.admitted).toBe(true);
    const { code } = cluster.api.kubectl(...words(patch));
    expect(code).toBe(0);
    expect((await ask('wait', 'second')).code).toBe(0);
    await cluster.tenant('second', heavy);
    // What was promised goes on; the change is refused.
    expect((await ask('wait', 'second')).code).toBe(4);
  });

  test('a user who sees a namespace only hears what its tenants’ statuses say', async () => {
    await cluster.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
    await cluster.api.apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'owner', namespace: 'default' },
    });
    const role = { apiGroups: ['deeprt.dev'], resources: ['inferencetenants'], verbs: ['get', 'list'] };
    const ours = { name: 'owner', namespace: 'default' };
    const api = 'rbac.authorization.k8s.io';
    await cluster.api.apply({ apiVersion: `${api}/v1`, kind: 'Role', metadata: ours, rules: [role] } as never);
    await cluster.api.apply({
      apiVersion: `${api}/v1`,
      kind: 'RoleBinding',
      metadata: ours,
      roleRef: { apiGroup: api, kind: 'Role', name: 'owner' },
      subjects: [{ kind: 'ServiceAccount', ...ours }],
    } as never);
    const { status } = await cluster.api.must<{ status: { token: string } }>(
      'POST',
      '/api/v1/namespaces/default/serviceaccounts/owner/token',
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
    );
    const kubeconfig = await cluster.file('owner', await cluster.api.kubeconfigFor(status.token));
    const why = await deeprt('why', 'first', '--kubeconfig', kubeconfig);
    expect([why.code, why.stderr]).toEqual([0, '']);
    const capacity = await deeprt('capacity', '--kubeconfig', kubeconfig);
    expect([capacity.code, capacity.stderr]).toEqual([1, expect.stringMatching(/^deeprt: .* is forbidden/)]);
  });

  test('one that is not there is named', async () => {
    const { code, stderr } = await ask('why', 'nobody');
    expect([code, stderr]).toEqual([2, expect.stringContaining('there is no InferenceTenant default/nobody')]);
  });
});

describe('what people have a cluster do', () => {
  test('a paused tenant gives its place up, and has it again when it is resumed', async () => {
    await cluster.tenant('brief', { framesPerSecond: 1, deadline: '900ms' });
    await cluster.admitted('brief');
    expect((await ask('pause', 'brief')).code).toBe(0);
    expect((await ask('wait', 'brief')).code).toBe(3);
    const { status } = (await cluster.getTenant('brief'))!;
    expect(status!.conditions!.find(({ type }) => type === 'Admitted')).toMatchObject({ reason: 'Suspended' });
    expect([status!.placements ?? [], status!.promised]).toEqual([[], undefined]);
    expect(JSON.stringify((await cluster.schedule('edge-1'))!.spec)).not.toContain('brief');
    expect((await ask('resume', 'brief')).code).toBe(0);
    expect((await ask('wait', 'brief')).code).toBe(0);
    await cluster.deleteTenant('brief');
    await cluster.report('edge-1');
  });

  test('what who helps needs is collected, without secrets, and what is missing is said', async () => {
    await cluster.model('secret', 'e'.repeat(64), { source: 'https://user:hush@models.example/a.onnx?sig=hush' });
    const dir = await cluster.file('bundle', '').then((file) => `${file}-dir`);
    const { code, stdout } = await ask('support-bundle', '--dir', dir);
    expect(code).toBe(0);
    const read = (name: string): Promise<string> => readFile(join(dir, name), 'utf8');
    expect(await read('inferencetenants.yaml')).toContain('name: first');
    const models = await read('inferencemodels.yaml');
    expect(models).toContain('https://left-out@models.example/a.onnx?left-out');
    expect(models + (await read('events.yaml'))).not.toMatch(/hush|managedFields/);
    expect(await read('capacity.txt')).toContain('edge-1');
    expect(await read('check.txt')).toMatch(/leader|Lease/);
    expect(stdout).not.toContain('.yaml:');
    await cluster.api.must('DELETE', '/apis/deeprt.dev/v1alpha1/inferencemodels/secret');
  });

  test('who asks for a node that was never measured is told', async () => {
    const { code, stderr } = await ask('reprofile', 'nowhere');
    expect([code, stderr]).toEqual([2, expect.stringContaining('there is no GPUProfile')]);
  });
});

async function manifest(name: string, spec: object): Promise<object> {
  const tenant = (await cluster.getTenant(name))!;
  const { apiVersion, kind, metadata } = tenant;
  return {
    apiVersion,
    kind,
    metadata: { name: metadata.name, namespace: metadata.namespace },
    spec: { ...tenant.spec, ...spec },
  };
}

/** The arguments of a kubectl command as a shell would give them. */
const words = (command: string): string[] =>
  [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!).slice(1);

test('capacity is what is then admitted, and one more is not', async () => {
  interface Capacity {
    readonly node: string;
    readonly promised: number;
    readonly headroom: { readonly category: string; readonly framesPerSecond: Record<string, number> }[];
  }
  const [device] = await json<Capacity[]>('capacity');
  expect(device).toMatchObject({ node: 'edge-1', state: 'Ready' });
  const schedule = (await cluster.schedule('edge-1'))!;
  expect(Number((schedule.spec as { promised?: string }).promised)).toBeCloseTo(device!.promised, 2);
  const fps = device!.headroom[0]!.framesPerSecond['500']!;
  expect(fps).toBeGreaterThan(1);
  const asking = { deadline: '500ms', frames: { encoding: 'Tensor' } };
  const jitterOf = (rate: number): string => `${Math.floor(1e5 / rate)}us`;
  await cluster.tenant('one-more', {
    ...asking,
    framesPerSecond: Math.round(1.1 * fps + 1),
    jitter: jitterOf(1.1 * fps + 1),
  });
  expect((await ask('wait', 'one-more')).code).toBe(3);
  await cluster.tenant('one-more', { ...asking, framesPerSecond: fps, jitter: jitterOf(fps) });
  expect((await ask('wait', 'one-more')).code).toBe(0);
  await cluster.deleteTenant('one-more');
  await cluster.report('edge-1');
  expect((await ask('capacity')).stdout).toMatch(/edge-1\/0 +Ready +\d+%/);
});

test('what if a node were drained, or a tenant left', async () => {
  const drained = await ask('what-if', '--drain', 'edge-1');
  expect(drained.code).toBe(3);
  expect(drained.stdout).toMatch(/default\/first +admitted: 15 on edge-1\/0 +\w+/);
  const left = await json<{ tenant: string; after?: { admitted: boolean } }[]>('what-if', '--without', 'default/first');
  expect(left.find(({ tenant }) => tenant === 'default/first')?.after).toBeUndefined();
  expect(left.find(({ tenant }) => tenant === 'default/second')?.after?.admitted).toBe(true);
  expect((await ask('what-if', '--drain', 'edge-9')).stderr).toContain('there is no node edge-9');
  expect((await ask('what-if')).code).toBe(2);
  // Nothing was written.
  expect(await cluster.servedBy('edge-1')).toContain('first');
});

test('what if teams had quotas', async () => {
  const tiny = tenantManifest('tiny', { framesPerSecond: 1, deadline: '900ms' });
  const spec = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'default' } },
    flavors: [{ name: 'any', nominalQuota: 1 }],
  };
  const teams = [
    { apiVersion: 'deeprt.dev/v1alpha1', kind: 'DeviceFlavor', metadata: { name: 'any' }, spec: {} },
    { apiVersion: 'deeprt.dev/v1alpha1', kind: 'TenantQuota', metadata: { name: 'all' }, spec },
  ];
  const reasonWith = async (...items: object[]): Promise<string | undefined> => {
    const list = { apiVersion: 'v1', kind: 'List', items: [...items, tiny] };
    const file = await cluster.file('teams.json', JSON.stringify(list));
    const outcomes = await json<{ tenant: string; after?: { reason: string } }[]>('what-if', '-f', file);
    return outcomes.find(({ tenant }) => tenant === 'default/tiny')?.after?.reason;
  };
  expect(await reasonWith()).toBe('Admitted');
  expect(await reasonWith(...teams)).toBe('QuotaExceeded');
});

test('top is what the agents report', async () => {
  const tenants = [
    {
      namespace: 'default',
      name: 'first',
      framesPerSecond: 449.5,
      promisedFrames: 900,
      spareFrames: 100,
      onTime: 995,
      misses: 1,
    },
  ];
  await cluster.report('edge-1', { tenants });
  expect(await json('top')).toEqual([
    {
      tenant: 'default/first',
      nodes: ['edge-1'],
      promised: '15x30fps/100ms',
      framesPerSecond: 449.5,
      promisedFrames: 900,
      spareFrames: 100,
      misses: 1,
      onTime: 0.995,
    },
  ]);
});

test('check finds what is wrong, and only that', async () => {
  const findings = await json<{ what: string; state: string; detail: string }[]>('check');
  const stateOf = (what: string): string => findings.find((each) => each.what === what)!.state;
  // There are no pods here; the operator runs by itself.
  expect(stateOf('operators')).toBe('bad');
  expect(stateOf('leader')).toBe('good');
  expect(stateOf('reports')).toBe('good');
  expect(stateOf('clocks')).toBe('good');
  expect(stateOf('models')).toBe('good');
  await cluster.report('edge-1', { reportedAt: new Date(Date.now() - 600_000).toISOString() });
  const later = await json<{ what: string; detail: string }[]>('check');
  expect(later.find(({ what }) => what === 'reports')!.detail).toMatch(/the agent of edge-1 reported 6\d\ds ago/);
});

test('reasons are explained', async () => {
  const { code, stdout } = await deeprt('explain', 'DeadlineInfeasible');
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^DeadlineInfeasible: .*\nWhat helps: /)]);
  expect((await deeprt('explain', 'Nonsense')).code).toBe(2);
});
