import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import type { CrdSchema } from '../api/crds.js';
import { crds } from '../api/crds.js';
import { parseManifests } from '../api/manifests.js';
import { ApiServer, pathOf } from './support/api-server.js';
import { badManifests } from './support/bad-manifests.js';
import { tenantManifest } from './support/workspace.js';

/** The CustomResourceDefinitions as the API server itself enforces them. */

let api: ApiServer;
beforeAll(async () => {
  api = await ApiServer.start();
}, 600_000);
afterAll(() => api.stop());

/** All messages of rules written in CEL: the API server must say the very same. */
const ruleMessages = (schema: CrdSchema): string[] => [
  ...(schema['x-kubernetes-validations'] ?? []).map(({ message }) => message),
  ...Object.values(schema.properties ?? {}).flatMap(ruleMessages),
  ...(schema.items === undefined ? [] : ruleMessages(schema.items)),
];
const messages = new Set(crds.flatMap(({ schema }) => ruleMessages(schema)));

/** Manifests whose very address is wrong never get to a schema. */
const ADDRESSES = new Set(['kind', 'apiVersion', 'metadata.name', 'metadata.namespace']);

test.each(badManifests.filter(([, , path]) => !ADDRESSES.has(path)))(
  '%s is refused by the API server with the CRD’s message',
  async (_what, object, path) => {
    const { kind } = object as { kind: string };
    const at = pathOf(object as Parameters<typeof pathOf>[0]).replace(/\/[^/]+$/, '');
    const { status, body } = await api.request<{ message: string }>('POST', `${at}?fieldValidation=Strict`, {
      ...object,
      metadata: { name: 'bad' },
    });
    expect({ kind, status: [400, 422].includes(status) }).toEqual({ kind, status: true });
    expect(body.message).toContain(path);
    for (const { message } of parseManifests('bad.yaml', stringify(object)).problems)
      if (messages.has(message)) expect(body.message).toContain(message);
  },
);

test('defaults are filled in, columns are printed, tenants can be selected by their model', async () => {
  await api.apply(tenantManifest('gate') as Parameters<ApiServer['apply']>[0]);
  expect(JSON.parse(api.kubectl('get', 'itn', 'gate', '-o', 'json').output)).toMatchObject({
    spec: { streams: 1, class: 'RealTime' },
  });
  const columns = api
    .kubectl('get', 'itn', '-o', 'wide')
    .output.split('\n')[0]!
    .split(/\s{2,}/);
  expect(columns.map((column) => column.trim())).toEqual(
    'NAME MODEL STREAMS FPS DEADLINE ADMITTED REASON PROMISED READY ONTIME NODES UTILIZATION MISSES AGE URL MESSAGE'.split(
      ' ',
    ),
  );
  expect(api.kubectl('get', 'itn', '--field-selector', 'spec.modelRef.name=echo', '-o', 'name').output).toContain(
    'gate',
  );
  expect(api.kubectl('get', 'itn', '--field-selector', 'spec.modelRef.name=other', '-o', 'name').output).not.toContain(
    'gate',
  );
  expect(api.kubectl('get', 'deeprt', '-o', 'name').output).toContain('inferencetenant.deeprt.dev/gate');
});

test('the examples are taken as they are', () => {
  const examples = new URL('../../examples/', import.meta.url).pathname;
  for (const [folder, object] of [
    ['.', 'inferencetenant.deeprt.dev/crowd-count'],
    ['cluster', 'inferencetenant.deeprt.dev/dock'],
    ['teams', 'tenantquota.deeprt.dev/yard'],
  ] as const)
    expect(api.kubectl('apply', '--dry-run=server', '-f', `${examples}${folder}`)).toMatchObject({
      code: 0,
      output: expect.stringContaining(`${object} created`) as unknown as string,
    });
});
