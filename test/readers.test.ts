import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { generate } from 'selfsigned';
import { Agent, request } from 'undici';
import { until } from './support/api-server.js';
import { TestCluster } from './support/cluster.js';

/** Who may read what operator and agents tell of themselves, asked of a real API server with the rights that the chart gives. */

const NAMESPACE = 'deeprt-system';
const PATHS = { operator: ['/metrics', '/ui', '/ui/page.css'], agent: ['/metrics', '/late', '/ui'] } as const;

let cluster: TestCluster;
let client: Agent;
const urls = { operator: '', agent: '' };
const tokens: Record<string, string> = { nobody: 'not.a.token' };

async function asked(url: string, authorization?: string): Promise<{ status: number; body: string; offers: unknown }> {
  const { statusCode, headers, body } = await request(url, {
    dispatcher: client,
    headers: authorization === undefined ? {} : { authorization },
  });
  return { status: statusCode, body: await body.text(), offers: headers['www-authenticate'] };
}
const basic = (token: string): string => `Basic ${Buffer.from(`me:${token}`).toString('base64')}`;

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.deploy('tls.enabled=true', 'monitoring.readers=review');
  const { api } = cluster;
  for (const name of ['prometheus', 'somebody']) {
    await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: NAMESPACE } });
    tokens[name] = await cluster.token(name);
  }
  await api.apply({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'prometheus' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'deeprt-metrics' },
    subjects: [{ kind: 'ServiceAccount', name: 'prometheus', namespace: NAMESPACE }],
  } as Parameters<typeof api.apply>[0]);
  const altNames = [{ type: 7 as const, ip: '127.0.0.1' }];
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'deeprt' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames }],
  });
  await writeFile(join(api.dir, 'tls.crt'), cert);
  await writeFile(join(api.dir, 'tls.key'), key);
  client = new Agent({ connect: { ca: cert } });
  const reviewed = ['--tls-dir', api.dir, '--review-readers'];
  const rights = await cluster.file('operator', await api.kubeconfigFor(await cluster.token('deeprt-operator')));
  const operator = await cluster.operator('--kubeconfig', rights, ...reviewed);
  urls.operator = (await operator.logged(({ url }) => url !== undefined)).url as string;
  await cluster.node('edge-1');
  const agent = await cluster.agent('edge-1', { args: [...reviewed, '--admin', '127.0.0.1:0'] });
  const { admin } = await agent.logged((line) => line.admin !== undefined);
  urls.agent = `https://${admin as string}`;
}, 120_000);
afterAll(async () => {
  await client?.close();
  await cluster.stop();
});

describe.each(['operator', 'agent'] as const)('what the %s tells', (process) => {
  test('is read by whom the API server lets, by nobody else; its health by everybody', async () => {
    for (const path of PATHS[process]) {
      const url = `${urls[process]}${path}`;
      expect(await asked(url)).toMatchObject({ status: 401, body: expect.stringContaining('"Unauthenticated"') });
      expect((await asked(url)).offers).toEqual(['Bearer realm="deeprt"', 'Basic realm="deeprt"']);
      for (const odd of ['Bearer ', 'Basic ', 'Basic !', 'Digest x', `Bearer ${'x'.repeat(15_000)}`])
        expect([odd.slice(0, 20), (await asked(url, odd)).status]).toEqual([odd.slice(0, 20), 401]);
      for (const write of [(token: string): string => `Bearer ${token}`, basic]) {
        expect(await asked(url, write(tokens['nobody']!))).toMatchObject({
          status: 401,
          body: expect.stringContaining('does not know this token'),
        });
        expect(await asked(url, write(tokens['somebody']!))).toMatchObject({
          status: 403,
          body: expect.stringContaining(`system:serviceaccount:${NAMESPACE}:somebody may not get ${path}`),
        });
        expect((await asked(url, write(tokens['prometheus']!))).status).toBe(200);
      }
    }
    for (const path of ['/healthz', '/readyz']) expect((await asked(`${urls[process]}${path}`)).status).toBe(200);
  });
});

test('many strangers at once do not keep out who may read, nor have the API server asked for each of them at once', async () => {
  const url = `${urls.operator}/metrics`;
  const codes: number[] = [];
  const strangers = await cluster.api.held(async () => {
    const asking = Array.from({ length: 48 }, async (_, i) =>
      codes.push((await asked(url, `Bearer stranger-${i}`)).status),
    );
    await until(() => codes.length >= 32, 'those beyond the 16 who are asked about to be answered');
    expect((await asked(url, `Bearer ${tokens['prometheus']!}`)).status).toBe(200);
    expect(codes).toEqual(Array<number>(32).fill(503));
    return asking;
  });
  await Promise.all(strangers);
  expect(codes.slice(32)).toEqual(Array<number>(16).fill(401));
});

test('while the API server is away, who was let before goes on, and nobody new is let', async () => {
  await cluster.api.down();
  for (const process of ['operator', 'agent'] as const) {
    const url = `${urls[process]}/metrics`;
    expect((await asked(url, `Bearer ${tokens['prometheus']!}`)).status).toBe(200);
    expect(await asked(url, 'Bearer another')).toMatchObject({
      status: 503,
      body: expect.stringContaining('"CannotReview"'),
    });
  }
}, 60_000);
