import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { KeyObject } from 'node:crypto';
import { createPrivateKey } from 'node:crypto';
import { SignJWT, calculateJwkThumbprint, exportJWK } from 'jose';
import { generate } from 'selfsigned';
import { until } from './support/api-server.js';
import { objectsOf, rendered } from './support/chart.js';
import { grpcClient } from './support/grpc.js';
import type { RunningAgent } from './support/cluster.js';
import { TestCluster, tenantPath } from './support/cluster.js';
import { echoNetwork } from './support/workspace.js';

/** Who may send: every kind of sender against every kind of tenant, on a real agent with the rights of a real cluster. */

const AUDIENCE = 'deeprt.dev/frames';
const ISSUER = 'https://kubernetes.default.svc';
const TENANTS = ['own', 'listed', 'keyed', 'certified'] as const;
type Tenant = (typeof TENANTS)[number];

interface Identity {
  readonly headers?: Readonly<Record<string, string>>;
  readonly certificate?: { readonly cert: string; readonly private: string };
}

let cluster: TestCluster;
let agent: RunningAgent;
let url: string;
let ca: { cert: string; private: string };
const keys = { now: newKey(), next: newKey(), old: newKey() };
const identities = new Map<string, Identity>();

function newKey(): string {
  return randomBytes(32).toString('base64url');
}
const digestOf = (key: string): string => createHash('sha256').update(key).digest('hex');
const bearer = (secret: string): Identity => ({ headers: { authorization: `Bearer ${secret}` } });
const certificate = (
  name: string,
  by: { cert: string; private: string },
  san?: string,
): Promise<{ cert: string; private: string }> =>
  generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ca: { key: by.private, cert: by.cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'extKeyUsage', clientAuth: true, serverAuth: true },
      ...(san === undefined ? [] : [{ name: 'subjectAltName' as const, altNames: [{ type: 6 as const, value: san }] }]),
    ],
  });
const authority = (): Promise<{ cert: string; private: string }> =>
  generate([{ name: 'commonName', value: 'cameras' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true },
    ],
  });

async function tokenOf(namespace: string, account: string, audience = AUDIENCE): Promise<string> {
  const { status } = await cluster.api.must<{ status: { token: string } }>(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], expirationSeconds: 3600 },
    },
  );
  return status.token;
}

/** A token as the cluster would have issued it, but for what is said. */
async function forged(more: {
  issuer?: string;
  expiresIn?: string;
  subject?: string;
  key?: KeyObject;
}): Promise<string> {
  const own = createPrivateKey(await readFile(join(cluster.api.dir, 'sa.key')));
  const key = more.key ?? own;
  const { keys: published } = await cluster.api.must<{ keys: { kid: string }[] }>('GET', '/openid/v1/jwks');
  return new SignJWT({})
    .setProtectedHeader({ alg: 'RS256', kid: published[0]!.kid })
    .setIssuer(more.issuer ?? ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(more.subject ?? 'system:serviceaccount:default:camera')
    .setIssuedAt('-2h')
    .setExpirationTime(more.expiresIn ?? '1h')
    .sign(key);
}

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.deploy();
  const network = echoNetwork();
  await writeFile(join(cluster.api.dir, 'echo.onnx'), network);
  await cluster.model('echo', createHash('sha256').update(network).digest('hex'), { source: 'file:echo.onnx' });
  await cluster.node('edge-1');
  for (const namespace of ['default', 'other'])
    await cluster.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  for (const [namespace, name] of [
    ['default', 'camera'],
    ['default', 'another'],
    ['other', 'camera'],
  ] as const)
    await cluster.api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });

  ca = await authority();
  const [stranger, server] = [await authority(), await certificate('deeprt', ca)];
  const tls = await cluster.file('ca.crt', ca.cert);
  const dir = cluster.api.dir;
  await writeFile(join(dir, 'tls.crt'), server.cert);
  await writeFile(join(dir, 'tls.key'), server.private);

  const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  expect(await calculateJwkThumbprint(await exportJWK(foreign))).not.toBe('');
  for (const [name, identity] of Object.entries<Identity>({
    nobody: {},
    'own service account': bearer(await tokenOf('default', 'camera')),
    'another one of the namespace': bearer(await tokenOf('default', 'another')),
    'the same name elsewhere': bearer(await tokenOf('other', 'camera')),
    'a token of another audience': bearer(await tokenOf('default', 'camera', 'elsewhere')),
    'an expired token': bearer(await forged({ expiresIn: '-1h' })),
    'a token of another issuer': bearer(await forged({ issuer: 'https://elsewhere' })),
    'a token signed by somebody else': bearer(await forged({ key: foreign })),
    'a token that is no service account’s': bearer(await forged({ subject: 'admin' })),
    'the key': bearer(keys.now),
    'the next key': bearer(keys.next),
    'the key as a password': {
      headers: { authorization: `Basic ${Buffer.from(`camera:${keys.now}`).toString('base64')}` },
    },
    'an old key': bearer(keys.old),
    'a certificate': { certificate: await certificate('cam-1', ca) },
    'a certificate by its other name': { certificate: await certificate('any', ca, 'spiffe://example.com/cam-2') },
    'a certificate of somebody else': { certificate: await certificate('cam-9', ca) },
    'a certificate that a stranger signed': { certificate: await certificate('cam-1', stranger) },
  }))
    identities.set(name, identity);

  const terms = { framesPerSecond: 50, streams: 2, jitter: '10ms', deadline: '2s' };
  await cluster.tenant('own', terms);
  await cluster.tenant('listed', {
    ...terms,
    senders: { serviceAccounts: [{ name: 'another' }, { namespace: 'other' }] },
  });
  await cluster.tenant('keyed', {
    ...terms,
    senders: { keys: [keys.now, keys.next].map((key) => ({ sha256: digestOf(key) })) },
  });
  await cluster.tenant('certified', {
    ...terms,
    senders: { certificates: ['cam-1', 'spiffe://example.com/cam-2'] },
  });
  for (const object of objectsOf(rendered('--show-only', 'templates/networkpolicy.yaml')))
    await cluster.api.apply(object);
  const rights = await cluster.file(
    'operator',
    await cluster.api.kubeconfigFor(await cluster.token('deeprt-operator')),
  );
  await cluster.operator('--kubeconfig', rights, '--frames-policy', 'deeprt-agent-tenants');
  agent = await cluster.agent('edge-1', {
    args: [
      ...['--senders', 'enforce', '--tls-dir', dir, '--client-ca', tls],
      ...['--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
    ],
  });
  ({ url } = agent);
  await cluster.admitted(...TENANTS);
  await Promise.all(TENANTS.map((name) => cluster.condition(name, 'Ready', 'True')));
}, 180_000);
afterAll(() => cluster.stop());

const FRAME = JSON.stringify({
  inputs: [{ name: 'in', shape: [1, 3, 8, 8], datatype: 'FP32', data: Array(192).fill(0) }],
});

/** What becomes of a frame whose body is only sent when it is asked for. */
function send(
  tenant: string,
  { headers = {}, certificate: own }: Identity,
): Promise<{ status: number; code?: string; asked: boolean }> {
  return new Promise((resolve, reject) => {
    const req = request(`${url}/v2/models/default.${tenant}/infer`, {
      method: 'POST',
      headers: {
        ...headers,
        'content-type': 'application/json',
        'content-length': FRAME.length,
        expect: '100-continue',
      },
      ca: ca.cert,
      checkServerIdentity: () => undefined,
      agent: false,
      ...(own === undefined ? {} : { cert: own.cert, key: own.private }),
    });
    let asked = false;
    req.on('continue', () => {
      asked = true;
      req.end(FRAME);
    });
    req.on('response', (res) => {
      let text = '';
      res.on('data', (chunk: Buffer) => (text += chunk.toString()));
      res.on('end', () => {
        const { code } = JSON.parse(text) as { code?: string };
        resolve({ status: res.statusCode!, asked, ...(code === undefined ? {} : { code }) });
        req.destroy();
      });
    });
    req.on('error', reject);
    req.flushHeaders();
  });
}

/** Who may send to whom; everybody else may not. */
const MAY: Readonly<Record<string, readonly Tenant[]>> = {
  'own service account': ['own'],
  'another one of the namespace': ['own', 'listed'],
  'the same name elsewhere': ['listed'],
  'the key': ['keyed'],
  'the next key': ['keyed'],
  'the key as a password': ['keyed'],
  'a certificate': ['certified'],
  'a certificate by its other name': ['certified'],
};

/** The whole table: who was answered, and every refusal's status and code. */
async function table(): Promise<{ answered: Record<string, string[]>; refused: Record<string, string[]> }> {
  const answered: Record<string, string[]> = {};
  const refused: Record<string, string[]> = {};
  for (const [name, identity] of identities) {
    const outcomes = [];
    for (const tenant of [...TENANTS, 'no-such-tenant']) outcomes.push({ tenant, ...(await send(tenant, identity)) });
    const may = outcomes.filter(({ status }) => status === 200);
    if (may.length > 0) answered[name] = may.map(({ tenant }) => tenant);
    expect(may.every(({ asked }) => asked)).toBe(true);
    const not = outcomes.filter(({ status }) => status !== 200);
    expect(not.map(({ asked, tenant }) => [tenant, asked])).toEqual(not.map(({ tenant }) => [tenant, false]));
    refused[name] = [...new Set(not.map(({ status, code }) => `${status} ${code}`))];
  }
  return { answered, refused };
}

const REFUSED = {
  nobody: ['401 Unauthenticated'],
  'own service account': ['403 SenderNotAllowed'],
  'another one of the namespace': ['403 SenderNotAllowed'],
  'the same name elsewhere': ['403 SenderNotAllowed'],
  'a token of another audience': ['401 InvalidToken'],
  'an expired token': ['401 InvalidToken'],
  'a token of another issuer': ['401 InvalidToken'],
  'a token signed by somebody else': ['401 InvalidToken'],
  'a token that is no service account’s': ['401 InvalidToken'],
  'the key': ['403 SenderNotAllowed'],
  'the next key': ['403 SenderNotAllowed'],
  'the key as a password': ['403 SenderNotAllowed'],
  'an old key': ['403 SenderNotAllowed'],
  'a certificate': ['403 SenderNotAllowed'],
  'a certificate by its other name': ['403 SenderNotAllowed'],
  'a certificate of somebody else': ['403 SenderNotAllowed'],
  'a certificate that a stranger signed': ['401 Unauthenticated'],
};

describe('frames are taken from those who may send, and no byte of a body from anybody else', () => {
  test('by the table', async () => {
    expect(await table()).toEqual({ answered: MAY, refused: REFUSED });
  });

  test('nothing that is secret is logged', () => {
    const text = JSON.stringify(agent.log());
    for (const { headers } of identities.values())
      for (const secret of Object.values(headers ?? {})) expect(text).not.toContain(secret.split(' ')[1]);
    expect(agent.log().some(({ msg }) => msg.startsWith('sender refused'))).toBe(true);
  });

  test('over gRPC, too', async () => {
    const line = await agent.logged((each) => typeof each['grpc'] === 'string');
    const client = grpcClient(String(line['grpc']), ca.cert);
    const frame = {
      inputs: [{ name: 'in', datatype: 'FP32', shape: [1, 3, 8, 8] }],
      raw_input_contents: [Buffer.alloc(768)],
    };
    const outcome = (method: string, tenant: string, { headers = {} }: Identity): Promise<string> =>
      client.call(method, { model_name: `default.${tenant}`, name: `default.${tenant}`, ...frame }, headers).then(
        () => 'answered',
        (error: unknown) => `${(error as { code: number }).code} ${/\[(\w+)\]$/.exec((error as Error).message)?.[1]}`,
      );
    try {
      for (const method of ['ModelInfer', 'ModelMetadata', 'ModelStatistics']) {
        expect(await outcome(method, 'own', identities.get('own service account')!)).toBe('answered');
        expect(await outcome(method, 'keyed', identities.get('the key')!)).toBe('answered');
        expect(await outcome(method, 'keyed', identities.get('an old key')!)).toBe('7 SenderNotAllowed');
        expect(await outcome(method, 'no-such-tenant', identities.get('the key')!)).toBe('7 SenderNotAllowed');
        expect(await outcome(method, 'own', identities.get('an expired token')!)).toBe('16 InvalidToken');
        expect(await outcome(method, 'own', {})).toBe('16 Unauthenticated');
      }
    } finally {
      client.close();
    }
  });

  test('health and metrics are on a port of their own, and no tenant has a series for what strangers send', async () => {
    const line = await agent.logged((each) => typeof each['admin'] === 'string');
    const get = (at: string, path: string): Promise<[number, string]> =>
      new Promise((resolve, reject) => {
        request(`${at}${path}`, { ca: ca.cert, checkServerIdentity: () => undefined, agent: false }, (res) => {
          let text = '';
          res.on('data', (chunk: Buffer) => (text += chunk.toString()));
          res.on('end', () => resolve([res.statusCode!, text]));
        })
          .on('error', reject)
          .end();
      });
    const admin = `https://${String(line['admin'])}`;
    expect((await get(admin, '/readyz'))[0]).toBe(200);
    const [status, text] = await get(admin, '/metrics');
    expect(status).toBe(200);
    expect(text).toMatch(/deeprt_sender_refusals_total\{code="SenderNotAllowed",enforced="true"\} \d+/);
    expect(text).not.toContain('no-such-tenant');
    expect((await get(url, '/metrics'))[0]).toBe(404);
    expect((await get(admin, '/v2/models/default.own'))[0]).toBe(404);
  });

  test('what models there are is told to those only who may send to them', async () => {
    const ask = (path: string, method: string, { headers = {} }: Identity): Promise<[number, string]> =>
      new Promise((resolve, reject) => {
        const options = { method, headers, ca: ca.cert, checkServerIdentity: () => undefined, agent: false as const };
        request(`${url}${path}`, options, (res) => {
          let text = '';
          res.on('data', (chunk: Buffer) => (text += chunk.toString()));
          res.on('end', () => resolve([res.statusCode!, text]));
        })
          .on('error', reject)
          .end();
      });
    const camera = identities.get('own service account')!;
    expect((await ask('/v2/models/default.own', 'GET', camera))[0]).toBe(200);
    expect((await ask('/v2/models/default.keyed', 'GET', camera))[0]).toBe(403);
    expect((await ask('/v2/models/default.own', 'GET', {}))[0]).toBe(401);
    expect((await ask('/v2/repository/index', 'POST', {}))[0]).toBe(401);
    const [, listed] = await ask('/v2/repository/index', 'POST', camera);
    expect((JSON.parse(listed) as { name: string }[]).map(({ name }) => name)).toEqual(['default.own']);
    expect((await ask('/v2/health/live', 'GET', {}))[0]).toBe(200);
  });
});

test('frames are let in from the namespaces that have tenants, and those that may send to one', async () => {
  const path = '/apis/networking.k8s.io/v1/namespaces/deeprt-system/networkpolicies/deeprt-agent-tenants';
  interface Policy {
    readonly spec: { readonly ingress?: readonly { readonly from: readonly object[] }[] };
  }
  const allowed = async (): Promise<unknown> => (await cluster.api.must<Policy>('GET', path)).spec.ingress?.[0]?.from;
  const from = (values: string[]): object[] => [
    { namespaceSelector: { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values }] } },
  ];
  await until(async () => isDeepStrictEqual(await allowed(), from(['default', 'other'])), 'them to be let in');
  await cluster.api.must('PATCH', path, { spec: { ingress: [{ from: [] }] } });
  await until(async () => isDeepStrictEqual(await allowed(), from(['default', 'other'])), 'them to be let in again');
}, 30_000);

test('a key is taken away at once, even where the rest of the change is refused, and another one loses no frame', async () => {
  const patch = (spec: object): Promise<unknown> => cluster.api.must('PATCH', tenantPath('keyed'), { spec });
  const statusOf = async (key: string): Promise<number> => (await send('keyed', bearer(key))).status;
  const outcomes: number[] = [];
  let rotating = true;
  const camera = (async () => {
    while (rotating) {
      outcomes.push(await statusOf(keys.next));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  // More than anybody can be promised: the change is refused, but not the part that takes the first key away.
  await patch({ framesPerSecond: 10_000, jitter: '0s', senders: { keys: [{ sha256: digestOf(keys.next) }] } });
  await cluster.condition('keyed', 'Admitted', 'False');
  await until(async () => (await statusOf(keys.now)) === 403, 'the first key to be refused');
  await patch({ framesPerSecond: 50, jitter: '10ms' });
  await cluster.admitted('keyed');
  rotating = false;
  await camera;
  expect([...new Set(outcomes)]).toEqual([200]);
  await patch({ senders: { keys: [keys.now, keys.next].map((key) => ({ sha256: digestOf(key) })) } });
  await until(async () => (await statusOf(keys.now)) === 200, 'the first key to be taken again');
}, 60_000);

test.each<[string, Tenant, number]>([
  ['own service account', 'own', 200],
  ['a certificate', 'certified', 200],
  ['nobody', 'certified', 401],
])('on a connection that resumes its TLS session %s is who it was', async (name, tenant, status) => {
  const { headers = {}, certificate: own } = identities.get(name) ?? {};
  const connections = new Agent({ keepAlive: false });
  const seen: [number | undefined, boolean][] = [];
  for (let i = 0; i < 3; i++) {
    const req = request(`${url}/v2/models/default.${tenant}/infer`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      ca: ca.cert,
      checkServerIdentity: () => undefined,
      agent: connections,
      ...(own === undefined ? {} : { cert: own.cert, key: own.private }),
    });
    req.end(FRAME);
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    seen.push([res.statusCode, (res.socket as TLSSocket).isSessionReused()]);
    res.resume();
    await once(res, 'end');
  }
  connections.destroy();
  expect(seen).toEqual([
    [status, false],
    [status, true],
    [status, true],
  ]);
});

test('a stranger who sends a hundred requests a second, with bodies and without, costs the honest camera nothing', async () => {
  const camera = identities.get('own service account')!;
  const outcomes: { status: number; late: boolean; text?: string }[] = [];
  const strangers: number[] = [];
  const sending: Promise<unknown>[] = [];
  const body = Buffer.alloc(100_000);
  const post = (headers: Record<string, string>, payload: Buffer | string, agentOf: Agent): Promise<[number, string]> =>
    new Promise((resolve) => {
      const options = { method: 'POST', headers, ca: ca.cert, checkServerIdentity: () => undefined, agent: agentOf };
      const req = request(`${url}/v2/models/default.own/infer`, options, (res) => {
        let text = '';
        res.on('data', (chunk: Buffer) => (text += chunk.toString()));
        res.on('end', () => resolve([res.statusCode!, text]));
      });
      // Cut off while it still sends.
      req.on('error', () => resolve([0, '']));
      req.end(payload);
    });
  const own = new Agent({ keepAlive: true });
  const others = new Agent({ keepAlive: true, maxSockets: 32 });
  const ticks = (periodMs: number, act: () => Promise<unknown>): NodeJS.Timeout =>
    setInterval(() => sending.push(act()), periodMs);
  const timers = [
    ticks(40, async () => {
      const [status, text] = await post({ ...camera.headers, 'content-type': 'application/json' }, FRAME, own);
      const late = !text.includes('"deadline_met":true');
      outcomes.push({ status, late, ...(status === 200 ? {} : { text }) });
    }),
    ticks(20, async () => strangers.push((await post({ authorization: 'Bearer nonsense' }, body, others))[0])),
    ticks(20, async () => strangers.push((await post({}, '', others))[0])),
  ];
  await until(() => outcomes.length > 80 && strangers.length > 300, 'all of them to be answered');
  for (const timer of timers) clearInterval(timer);
  await Promise.all(sending);
  own.destroy();
  others.destroy();
  expect(outcomes.filter(({ status, late }) => status !== 200 || late)).toEqual([]);
  expect([...new Set(strangers)].sort()).toEqual(expect.arrayContaining([401, 403]));
  expect(strangers).not.toContain(200);
}, 90_000);

test('while the API server is away, and the agent was restarted meanwhile, the table is the same', async () => {
  await cluster.api.down();
  try {
    expect(await table()).toEqual({ answered: MAY, refused: REFUSED });
    await agent.kill('SIGTERM');
    const again = agent.again();
    url = (await again.logged(({ msg }) => msg === 'listening')).url as string;
    await again.logged(({ msg }) => msg === 'serving by the schedule stored on this node');
    await until(
      async () => (await send('own', identities.get('own service account')!)).status === 200,
      'the agent to serve',
    );
    expect(await table()).toEqual({ answered: MAY, refused: REFUSED });
  } finally {
    await cluster.api.up();
  }
}, 120_000);
