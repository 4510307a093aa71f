import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { smallerFrames } from '../api/frames.js';
import { planFiles, planTable } from './plan.js';

/** Admission over files alone decides as the cluster's does: by priority, by what teams may have, by nodes' labels. */

const API = 'deeprt.dev/v1alpha1';
let file: string;
beforeEach(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'deeprt-files-')), 'all.yaml');
});
afterEach(() => rm(join(file, '..'), { recursive: true, force: true }));

const MODEL = {
  apiVersion: API,
  kind: 'InferenceModel',
  metadata: { name: 'echo' },
  spec: { source: 'file:echo.onnx', sha256: 'a'.repeat(64), input: { name: 'in' }, shapes: [[3, 8, 8]] },
};
/** A frame alone takes 10 ms. */
const PROFILE = {
  apiVersion: API,
  kind: 'GPUProfile',
  metadata: { name: 'edge-0' },
  spec: { nodeName: 'edge', device: 0 },
  status: {
    device: { name: 'cpu', executionProvider: 'cpu' },
    categories: [{ model: 'echo', shape: [3, 8, 8], batches: [{ size: 1, wcetUs: 10_000 }] }],
  },
};
const FLAVOR = { apiVersion: API, kind: 'DeviceFlavor', metadata: { name: 'any' }, spec: {} };

/** Each stream costs 100 device-milliseconds a second. */
const tenant = (namespace: string, name: string, streams: number, more: object = {}): object => ({
  apiVersion: API,
  kind: 'InferenceTenant',
  metadata: { namespace, name },
  spec: { modelRef: { name: 'echo' }, inputShape: [3, 8, 8], framesPerSecond: 10, deadline: '500ms', streams, ...more },
});
const quota = (team: string, nominalQuota: number, label = 'team'): object => ({
  apiVersion: API,
  kind: 'TenantQuota',
  metadata: { name: team },
  spec: {
    namespaceSelector: { matchLabels: { [label]: team } },
    cohort: 'all',
    flavors: [{ name: 'any', nominalQuota }],
  },
});
const namespace = (name: string, team: string): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { team }, uid: 'x' },
  status: { phase: 'Active' },
});

/** The same device, or one that has measured something else, on other nodes. */
const profile = (node: string, model = 'echo'): object => ({
  ...PROFILE,
  metadata: { name: `${node}-0` },
  spec: { nodeName: node, device: 0 },
  status: {
    ...PROFILE.status,
    categories: [{ model, shape: [3, 8, 8], batches: [{ size: 1, wcetUs: 10_000 }] }],
  },
});

async function plan(...objects: object[]): Promise<Awaited<ReturnType<typeof planFiles>>> {
  await writeFile(file, objects.map((object) => stringify(object)).join('---\n'));
  return planFiles(file);
}
const answers = ({ verdicts }: Awaited<ReturnType<typeof plan>>): Record<string, string> =>
  Object.fromEntries(verdicts.map(({ name, reason }) => [name, reason]));

test('a team that asks for its share gets back what another has borrowed', async () => {
  const teams = [FLAVOR, quota('gates', 400), quota('yard', 400), namespace('a', 'gates'), namespace('b', 'yard')];
  const asked = [tenant('a', 'own', 3), tenant('a', 'more', 4)];
  const alone = await plan(MODEL, PROFILE, ...teams, ...asked);
  expect(answers(alone)).toEqual({ own: 'Admitted', more: 'Admitted' });
  expect(alone.borrowed).toEqual(new Set(['a/more']));
  expect(planTable(alone)).toMatch(/a\/more .*borrowed from another team’s share/);
  const both = await plan(MODEL, PROFILE, ...teams, ...asked, tenant('b', 'late', 4));
  expect(answers(both)).toMatchObject({ own: 'Admitted', late: 'Admitted' });
  expect(both.verdicts.find(({ name }) => name === 'more')!.admitted).toBe(false);
  expect(both.unlimited).toEqual([]);
});

test('a namespace whose labels no file tells is under a quota by its name only, and that is said', async () => {
  const asked = [tenant('a', 'x', 5), tenant('c', 'y', 3)];
  const unlabelled = await plan(MODEL, PROFILE, FLAVOR, quota('gates', 100), ...asked);
  expect(answers(unlabelled)).toEqual({ x: 'Admitted', y: 'Admitted' });
  expect(planTable(unlabelled)).toMatch(/no TenantQuota is for namespace a, c; a Namespace among the manifests/);
  const byName = await plan(MODEL, PROFILE, FLAVOR, quota('a', 100, 'kubernetes.io/metadata.name'), ...asked);
  expect(answers(byName)).toEqual({ x: 'QuotaExceeded', y: 'Admitted' });
  expect(byName.unlimited).toEqual(['c']);
});

test('priorities decide who comes first, and a class that no file tells of is no reason to refuse', async () => {
  const high = { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'high' }, value: 10 };
  const asked = [tenant('a', 'first', 6), tenant('a', 'urgent', 6, { priorityClassName: 'high' })];
  expect(answers(await plan(MODEL, PROFILE, ...asked))).toMatchObject({
    first: 'Admitted',
    urgent: 'UtilizationExceeded',
  });
  expect(answers(await plan(MODEL, PROFILE, high, ...asked))).toMatchObject({ urgent: 'Admitted' });
  expect(answers(await plan(MODEL, PROFILE, high, ...asked))['first']).not.toBe('Admitted');
});

test('nodes are chosen by the labels and taints that files tell', async () => {
  const node = (spec: object): object => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'edge', labels: { zone: 'north' } },
    spec,
  });
  const placed = tenant('a', 'x', 1, { placement: { nodeSelector: { zone: 'north' } } });
  expect(answers(await plan(MODEL, PROFILE, node({}), placed))).toEqual({ x: 'Admitted' });
  // What no file tells is not held against anybody, and that is said.
  const unknown = await plan(MODEL, PROFILE, placed);
  expect(answers(unknown)).toEqual({ x: 'Admitted' });
  expect(planTable(unknown)).toMatch(/nodeSelector is not held against edge; a Node among the manifests tells/);
  const taints = [{ key: 'dedicated', value: 'others', effect: 'NoSchedule' }];
  expect(answers(await plan(MODEL, PROFILE, node({ taints }), placed))['x']).not.toBe('Admitted');
});

test('whoever was refused while others had borrowed is admitted once these have given it back', async () => {
  const teams = [FLAVOR, quota('gates', 400), quota('yard', 400), namespace('a', 'gates'), namespace('b', 'yard')];
  const asked = [tenant('a', 'big', 7), tenant('a', 'small', 2), tenant('b', 'one', 4)];
  expect(answers(await plan(MODEL, PROFILE, ...teams, ...asked))).toMatchObject({ small: 'Admitted', one: 'Admitted' });
});

test('spare time is charged to nobody', async () => {
  const spare = tenant('a', 'spare', 50, { class: 'BestEffort', deadline: undefined });
  const teams = [FLAVOR, quota('gates', 400), namespace('a', 'gates')];
  const decision = await plan(MODEL, PROFILE, ...teams, spare, tenant('a', 'x', 4));
  expect(answers(decision)).toEqual({ spare: 'Admitted', x: 'Admitted' });
});

describe('an offer', () => {
  const offerOf = async (name: string, ...objects: object[]): Promise<[string, object | undefined]> => {
    const { verdicts } = await plan(MODEL, ...objects);
    const { message, offer } = verdicts.find((each) => each.name === name)!;
    return [message, offer];
  };

  test('is of what the team may have', async () => {
    const flavor = (name: string): object => ({
      ...FLAVOR,
      metadata: { name },
      spec: { nodeSelector: { flavor: name } },
    });
    const node = (name: string, of: string): object => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { flavor: of } },
    });
    const objects = [
      ...[profile('n1'), profile('n2'), node('n1', 'any'), node('n2', 'other'), flavor('any'), flavor('other')],
      ...[quota('gates', 900), namespace('a', 'gates'), namespace('b', 'none')],
      tenant('b', 'filler', 10, { placement: { nodeSelector: { flavor: 'any' } } }),
      tenant('a', 'x', 4),
    ];
    expect(await offerOf('x', ...objects)).toEqual([expect.stringMatching(/may fit when other tenants leave/), {}]);
  });

  test('is found beside emptier nodes that have not measured the model', async () => {
    const others = ['u1', 'u2', 'u3'].map((name) => profile(name, 'other'));
    const [message, offer] = await offerOf('x', PROFILE, ...others, tenant('a', 'x', 12));
    expect(message).toMatch(/would fit now: /);
    expect(offer).toMatchObject({ streams: 10 });
  });

  test('to a tenant that may be split is of all nodes together', async () => {
    const split = { placement: { allowSplit: true } };
    const nodes = [profile('n1'), profile('n2')];
    expect((await offerOf('x', ...nodes, tenant('a', 'x', 22, split)))[1]).toMatchObject({ streams: 20 });
    const [message] = await offerOf('x', ...nodes, tenant('a', 'other', 8), tenant('a', 'x', 18, split));
    expect(message).toMatch(/may fit when other tenants leave/);
  });

  test('of fewer streams than spec.minStreams says that this is to be lowered as well', async () => {
    const [message, offer] = await offerOf('x', PROFILE, tenant('a', 'x', 14, { minStreams: 12 }));
    expect(message).toMatch(/10 streams \(spec\.minStreams: 10 as well\)/);
    expect(offer).toMatchObject({ streams: 10, minStreams: 10 });
  });

  test('of smaller images leaves spec.frames.maxBytes as it is, and of a deadline is one that may be asked for', async () => {
    const slow = { ...PROFILE, status: { ...PROFILE.status } };
    slow.status.categories = [{ model: 'echo', shape: [3, 8, 8], batches: [{ size: 1, wcetUs: 400_000_000 }] }];
    const late = { period: '1h', framesPerSecond: undefined, deadline: '5m' };
    const [, offer] = await offerOf('x', slow, tenant('a', 'x', 1, late));
    expect((offer as { deadlineUs?: number }).deadlineUs ?? 0).toBeLessThanOrEqual(600_000_000);
    expect(smallerFrames({ encoding: 'JPEG', width: 640, height: 480, maxBytes: 7 })).toEqual([
      { encoding: 'JPEG', width: 320, height: 240, maxBytes: 7 },
      { encoding: 'Tensor', maxBytes: 7 },
    ]);
  });
});

test('a quota of streams leaves as many as there are to a tenant that takes fewer', async () => {
  const few = { ...(quota('gates', 900) as { spec: object }) };
  few.spec = { ...few.spec, maxStreams: 2 };
  const asked = tenant('a', 'x', 3, { minStreams: 1 });
  const { verdicts } = await plan(MODEL, PROFILE, FLAVOR, few, namespace('a', 'gates'), asked);
  expect(verdicts[0]).toMatchObject({ admitted: true, reason: 'AdmittedInPart', placements: [{ streams: 2 }] });
});

test('what is written twice is told, with both places', async () => {
  await expect(plan(MODEL, PROFILE, { ...PROFILE, metadata: { name: 'again' } })).rejects.toThrow(
    /GPUProfile\/again: spec\.device: device 0 of edge has the profile "edge-0" at .*all\.yaml:\d+ already/,
  );
  const twice = { ...(quota('gates', 1) as { spec: { flavors: object[] } }) };
  twice.spec = { ...twice.spec, flavors: [...twice.spec.flavors, ...twice.spec.flavors] };
  await expect(plan(MODEL, PROFILE, FLAVOR, twice)).rejects.toThrow(/spec\.flavors\[1\]: there is one with this name/);
});

test('a hundred and more aliases of an anchor are no attack', async () => {
  const more = Array.from({ length: 150 }, (_, i) => tenant('a', `t${i}`, 1));
  const list = stringify({ apiVersion: 'v1', kind: 'List', items: more }).replaceAll('name: echo', 'name: *m');
  await writeFile(file, [MODEL, PROFILE].map((each) => stringify(each)).join('---\n'));
  const text = list.replace('name: *m', 'name: &m echo');
  await writeFile(join(file, '..', 'more.yaml'), text);
  expect((await planFiles(join(file, '..'))).verdicts).toHaveLength(150);
});

test('a file named in two ways is read once', async () => {
  await writeFile(file, [MODEL, PROFILE, tenant('a', 'x', 1)].map((object) => stringify(object)).join('---\n'));
  const other = join(file, '..', '.', '..', basename(join(file, '..')), 'all.yaml');
  expect((await planFiles(file, [`./${relative('.', other)}`])).verdicts).toHaveLength(1);
});

test('objects of Kubernetes that are wrong are problems with a path', async () => {
  await expect(
    plan(MODEL, PROFILE, { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'high' } }),
  ).rejects.toThrow(/all\.yaml:\d+: PriorityClass\/high: value: required, but missing/);
  await expect(plan(MODEL, PROFILE, { apiVersion: 'v1', kind: 'Namespace', metadata: {} })).rejects.toThrow(
    /Namespace: metadata\.name: required/,
  );
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'edge' }, spec: { taints: [null] } };
  await expect(plan(MODEL, PROFILE, node)).rejects.toThrow(/Node\/edge: spec\.taints\[0\]: null must be object/);
});

test('nodes that are not ready, and classes for what keeps the cluster running, are as on a cluster', async () => {
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'edge' },
    status: { conditions: [{ type: 'Ready', status: 'False' }] },
  };
  expect(answers(await plan(MODEL, PROFILE, node, tenant('a', 'x', 1)))).toEqual({ x: 'NoEligibleNode' });
  const critical = tenant('a', 'x', 1, { priorityClassName: 'system-node-critical' });
  expect(answers(await plan(MODEL, PROFILE, critical))).toEqual({ x: 'PriorityClassForbidden' });
});
