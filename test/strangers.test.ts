import { once } from 'node:events';
import type { ClientHttp2Session, IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2';
import { connect as connectHttp2 } from 'node:http2';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:http';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from './support/api-server.js';
import { childrenOf } from './support/cli.js';
import type { Running } from './support/cli.js';
import { standalone } from './support/cli.js';
import { grpcClient, rawGrpcClient } from './support/grpc.js';
import { identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace, tenantManifest } from './support/workspace.js';

/** What strangers and careless clients send costs nobody else anything: the agent lives, and answers each with what was wrong. */

const SHAPE = [3, 8, 8];
let workspace: Workspace;
let agents: { readonly open: Running; readonly closed: Running };
const addresses = new Map<Running, string>();

beforeAll(async () => {
  workspace = await newWorkspace();
  const tenant = (name: string, spec: object): object =>
    tenantManifest(name, { framesPerSecond: 50, streams: 4, jitter: '10ms', deadline: '2s', ...spec });
  await workspace.write(
    'all.yaml',
    await workspace.model('echo', identityNetwork('uint8', ['n', ...SHAPE]), {
      input: { name: 'in', elementType: 'uint8' },
    }),
    tenant('echo', {}),
    tenant('strict', { beyondPromise: 'Refuse' }),
  );
  const started = async (...args: string[]): Promise<Running> => {
    const agent = await standalone(workspace, '--grpc', '127.0.0.1:0', ...args);
    const { grpc } = await agent.logged(({ msg }) => msg === 'listening for gRPC');
    addresses.set(agent, String(grpc));
    return agent;
  };
  const open = await started();
  agents = { open, closed: await started('--senders', 'enforce', '--state', `${workspace.state}-2`) };
});
afterAll(async () => {
  for (const agent of Object.values(agents)) await agent.kill('SIGKILL');
  await workspace.dispose();
});

const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  expect([agents.open.ended(), agents.closed.ended()]).toEqual([false, false]);
  const { status } = await infer(JSON.stringify({ inputs: [{ ...INPUT, data: Array(192).fill(1) }] }));
  expect(status).toBe(200);
});

const INPUT = { name: 'in', shape: [1, ...SHAPE], datatype: 'UINT8' };

async function infer(
  body: string | Uint8Array,
  headers: object = {},
  tenant = 'echo',
): Promise<{ status: number; code: string | undefined; error: string | undefined; headers: Headers }> {
  const response = await fetch(`${agents.open.url}/v2/models/default.${tenant}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: body as string,
  });
  const { code, error } = (await response.json()) as { code?: string; error?: string };
  return { status: response.status, code, error, headers: response.headers };
}

/** The trailers, or headers, that end a call whose message is these bytes; nothing is sent, and the call left open, where absent. */
async function call(
  session: ClientHttp2Session,
  method: string,
  message?: Buffer,
  headers: object = {},
): Promise<IncomingHttpHeaders & IncomingHttpStatusHeader> {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/inference.GRPCInferenceService/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => undefined);
  if (message !== undefined) {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([head, message]));
  }
  const ended = new Promise<IncomingHttpHeaders & IncomingHttpStatusHeader>((resolve) => {
    stream.once('trailers', resolve);
    stream.once('response', (first) => first['grpc-status'] !== undefined && resolve(first));
  });
  stream.resume();
  return ended;
}

describe('over gRPC', () => {
  test.each(['open', 'closed'] as const)(
    'a name cut within a character is one that is not known (%s)',
    async (which) => {
      const client = grpcClient(addresses.get(agents[which])!);
      const name = `${'x'.repeat(511)}😀`;
      const headers = { authorization: 'Bearer nonsense' };
      try {
        for (const [method, request] of [
          ['ModelMetadata', { name }],
          ['ModelConfig', { name: 'default.echo', version: `${'v'.repeat(31)}😀` }],
          ['ModelInfer', { model_name: name }],
        ] as const)
          await expect(client.call(method, request, headers)).rejects.toMatchObject({
            details: expect.stringMatching(/\[(UnknownTenant|UnknownVersion|SenderNotAllowed)\]$/) as unknown,
          });
      } finally {
        client.close();
      }
    },
  );

  test('compressed messages are refused before they are inflated', async () => {
    const session = connectHttp2(`http://${addresses.get(agents.open)!}`);
    session.on('error', () => undefined);
    try {
      const message = gzipSync(Buffer.alloc(60 * 1024 ** 2));
      const trailers = await call(session, 'ModelInfer', message, { 'grpc-encoding': 'gzip' });
      expect(trailers['grpc-status']).toBe('12');
      expect(trailers['grpc-message']).toContain('compressed');
    } finally {
      session.destroy();
    }
  });

  test('a refusal that repeats long words of the sender’s comes all the same, and the connection goes on', async () => {
    const client = grpcClient(addresses.get(agents.open)!);
    const frame = { model_name: 'default.echo', inputs: [INPUT], raw_input_contents: [Buffer.alloc(192)] };
    try {
      for (const wrong of [
        { ...frame, outputs: [{ name: 'ü'.repeat(200_000) }] },
        { ...frame, inputs: [{ ...INPUT, shape: Array<number>(100_000).fill(1) }] },
        { ...frame, inputs: [{ ...INPUT, datatype: 'D'.repeat(200_000) }] },
      ])
        await expect(client.call('ModelInfer', wrong)).rejects.toMatchObject({ code: 3 });
      await client.call('ModelInfer', frame);
    } finally {
      client.close();
    }
  });

  test('whoever may not send is refused before a byte of the message is there', async () => {
    const session = connectHttp2(`http://${addresses.get(agents.closed)!}`);
    try {
      expect(await call(session, 'ModelInfer')).toMatchObject({
        'grpc-status': '16',
        'deeprt-code': 'Unauthenticated',
      });
      expect(await call(session, 'ModelStreamInfer')).toMatchObject({ 'grpc-status': '16' });
      expect(await call(session, 'ServerLive', Buffer.alloc(0))).toMatchObject({ 'grpc-status': '0' });
    } finally {
      session.destroy();
    }
  });

  test('a question as large as a frame is none', async () => {
    const session = connectHttp2(`http://${addresses.get(agents.open)!}`);
    try {
      const many = Buffer.alloc(4 * 1024 ** 2, 0x0a);
      expect(await call(session, 'ServerReady', many)).toMatchObject({ 'grpc-status': '8' });
      expect(await call(session, 'ServerReady', Buffer.alloc(0))).toMatchObject({ 'grpc-status': '0' });
    } finally {
      session.destroy();
    }
  });

  test('frames answer one by one on a connection that counts into the budget of all', async () => {
    const client = rawGrpcClient(addresses.get(agents.open)!);
    try {
      const values = [1, 2, 3].map((value) => Buffer.alloc(192, value));
      for (const value of values) {
        const request = { model_name: 'default.echo', inputs: [INPUT], raw_input_contents: [value] };
        expect(client.outputs(await client.call(client.encode(request), 5000))).toEqual([value]);
      }
    } finally {
      client.close();
    }
  });
});

describe('over HTTP', () => {
  test.each([7000, 20_000])('%i lists in each other are no shape, and cost no decoder', async (depth) => {
    const decoders = await childrenOf(agents.open.pid, 'agent/ingest/decode/process');
    const nested = (what: string): string => `${'['.repeat(depth)}${what}${']'.repeat(depth)}`;
    const shaped = `{"inputs":[{"name":"in","datatype":"UINT8","shape":${nested('1')},"data":[1]}]}`;
    expect(await infer(shaped)).toMatchObject({
      status: 400,
      error: expect.stringMatching(/shape: must be/) as unknown,
    });
    const valued = `{"inputs":[{"name":"in","datatype":"UINT8","shape":[1,3,8,8],"data":${nested('1')}}]}`;
    expect(await infer(valued)).toMatchObject({ status: 400 });
    // All of them are still there; more may have come, for spare frames.
    const left = await childrenOf(agents.open.pid, 'agent/ingest/decode/process');
    expect(left).toEqual(expect.arrayContaining(decoders));
  });

  test('a stream whose tenant is not known, or whose part is broken, is ended', async () => {
    const { hostname, port } = new URL(agents.open.url);
    const type = 'Content-Type: multipart/x-mixed-replace; boundary=b';
    for (const [tenant, sent] of [
      ['nobody', '--b\r\n'],
      ['echo', '--b\r\nContent-Length: abc\r\n\r\n'],
    ]) {
      const socket = connect(Number(port), hostname);
      sockets.push(socket);
      socket.on('error', () => undefined).resume();
      const ended = once(socket, 'close');
      socket.write(
        `POST /v2/models/default.${tenant!}/infer HTTP/1.1\r\nHost: x\r\n${type}\r\nTransfer-Encoding: chunked\r\n\r\n`,
      );
      socket.write(`${sent!.length.toString(16)}\r\n${sent!}\r\n`);
      // A camera that does not care goes on.
      const camera = setInterval(() => socket.write('1\r\nx\r\n'), 50);
      await ended;
      clearInterval(camera);
    }
  });

  test('a body that is said to be endless is refused, and holds up nobody else', async () => {
    const { hostname, port } = new URL(agents.open.url);
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write(
      `POST /v2/models/default.echo/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`,
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 413 /);
    // Far more than was promised, so that most are spare frames.
    const frame = JSON.stringify({ inputs: [{ ...INPUT, data: Array(192).fill(1) }] });
    const statuses = await Promise.all(Array.from({ length: 40 }, async () => (await infer(frame)).status));
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(20);
  });

  test('a body that is not what its encoding says leaves the connection to the next request', async () => {
    const connections = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    const send = async (body: Buffer | string, headers: object): Promise<number | undefined> => {
      const options = {
        method: 'POST',
        agent: connections,
        headers: { 'content-type': 'application/json', ...headers },
      };
      const req = request(`${agents.open.url}/v2/models/default.echo/infer`, options);
      req.end(body);
      const [res] = (await once(req, 'response')) as [IncomingMessage];
      ports.add(res.socket.localPort);
      res.resume();
      await once(res, 'end');
      return res.statusCode;
    };
    const frame = JSON.stringify({ inputs: [{ ...INPUT, data: Array(192).fill(1) }] });
    try {
      expect(await send(Buffer.alloc(12_000, 1), { 'content-encoding': 'gzip' })).toBe(400);
      expect(await send(frame, {})).toBe(200);
      // What follows the end of the compressed part is nothing.
      const longer = Buffer.concat([gzipSync(frame), Buffer.alloc(500, 1)]);
      expect([200, 400, 413]).toContain(await send(longer, { 'content-encoding': 'gzip' }));
      expect(await send(frame, {})).toBe(200);
    } finally {
      connections.destroy();
    }
    expect(ports.size).toBeLessThanOrEqual(2);
  });

  test('who asks for the head of a live page’s events gets it', async () => {
    const response = await fetch(`${agents.open.url}/ui/events`, { method: 'HEAD' });
    expect(response.status).toBe(200);
  });

  test('parts of streams that never end have a tenant’s part of the memory, and no more', async () => {
    const { hostname, port } = new URL(agents.open.url);
    const [streams, bytes] = [20, 12_000_000];
    let refused = 0;
    for (let i = 0; i < streams; i++) {
      const socket = connect(Number(port), hostname);
      sockets.push(socket);
      socket
        .on('error', () => undefined)
        .on('data', (data: Buffer) => {
          if (data.includes('NoMemoryForBody')) refused++;
        });
      const type = 'Content-Type: multipart/x-mixed-replace; boundary=b';
      const part = '--b\r\nContent-Length: 16000000\r\n\r\n';
      const length = (part.length + bytes).toString(16);
      socket.write(
        `POST /v2/models/default.echo/infer HTTP/1.1\r\nHost: x\r\n${type}\r\nTransfer-Encoding: chunked\r\n\r\n${length}\r\n${part}`,
      );
      socket.write(Buffer.alloc(bytes));
    }
    // Of 192 MiB for bodies, spare ones of one tenant have a quarter.
    await until(() => refused >= streams - 4, 'streams to be cut off');
    expect(refused).toBeLessThan(streams);
    const frame = JSON.stringify({ inputs: [{ ...INPUT, data: Array(192).fill(1) }] });
    expect((await infer(frame, {}, 'strict')).status).toBe(200);
  });

  test('a compressed frame where such are refused says so', async () => {
    const body = gzipSync(JSON.stringify({ inputs: [{ ...INPUT, data: Array(192).fill(1) }] }));
    const answer = await infer(body, { 'content-encoding': 'gzip' }, 'strict');
    expect(answer).toMatchObject({ status: 415, code: 'CompressedFrame' });
    expect(answer.headers.get('accept-encoding')).toBe('identity');
  });

  test('what would be cut or guessed is refused', async () => {
    const frame = { inputs: [{ ...INPUT, data: Array(192).fill(1) }] };
    const id = 'i'.repeat(257);
    expect(await infer(JSON.stringify({ ...frame, id }))).toMatchObject({
      status: 400,
      error: expect.stringMatching(/^id:/) as unknown,
    });
    for (const length of ['', '0x0', '66000'])
      expect(await infer(Buffer.alloc(69_000, ' '), { 'inference-header-content-length': length })).toMatchObject({
        status: 400,
        error: expect.stringMatching(/Inference-Header-Content-Length/) as unknown,
      });
    const classes = [{ name: 'out', parameters: { classification: 1001 } }];
    expect(await infer(JSON.stringify({ ...frame, outputs: classes }))).toMatchObject({ status: 400 });
    expect((await infer(JSON.stringify({ ...frame, parameters: { priority: null } }))).status).toBe(200);
  });
});
