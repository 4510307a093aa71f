import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { Running } from './support/cli.js';
import { standalone } from './support/cli.js';
import { identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace, tenantManifest } from './support/workspace.js';

/** HTTP and images as clients really send them, against a real agent. */

const tenant = (name: string, spec: object = {}): object =>
  tenantManifest(name, { framesPerSecond: 50, streams: 4, jitter: '10ms', deadline: '2s', ...spec });
const bytes = { input: { name: 'in', elementType: 'uint8' } };

let workspace: Workspace;
let agent: Running;
beforeAll(async () => {
  workspace = await newWorkspace();
  await workspace.write(
    'all.yaml',
    await workspace.model('echo', identityNetwork('uint8', ['n', 3, 8, 8]), bytes),
    await workspace.model('boxed', identityNetwork('uint8', ['n', 3, 8, 8]), {
      ...bytes,
      preprocessing: { resize: 'Letterbox', padding: 7 },
    }),
    await workspace.model('floats', identityNetwork('float32', ['n', 3, 8, 8])),
    tenant('echo'),
    tenant('boxed', { modelRef: { name: 'boxed' } }),
    tenant('floats', { modelRef: { name: 'floats' } }),
    tenant('slow', { framesPerSecond: 0.5, streams: 1, jitter: '100ms', beyondPromise: 'Refuse' }),
  );
  agent = await standalone(workspace);
});
afterAll(async () => {
  await agent.kill('SIGKILL');
  await workspace.dispose();
});

const INFER = '/v2/models/default.echo/infer';
const request = (data: readonly unknown[], datatype = 'UINT8', more: object = {}): string =>
  JSON.stringify({ inputs: [{ name: 'in', shape: [1, 3, 8, 8], datatype, data }], ...more });
const SEVENS = request(Array(192).fill(7));

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly error?: string;
    readonly code?: string;
    readonly outputs?: { readonly data: unknown[] }[];
  };
}

async function ask(method: string, path: string, body?: string | Uint8Array, headers: object = {}): Promise<Answer> {
  const response = await fetch(`${agent.url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: body as string }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? {} : (JSON.parse(text) as object) };
}

/** What comes back for these bytes, sent as they are, until the agent closes or nothing comes for a while. */
async function raw(...parts: string[]): Promise<string> {
  const { hostname, port } = new URL(agent.url);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  for (const part of parts) {
    socket.write(part);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  for (let last = -1; last !== received.length || received === '';) {
    last = received.length;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  socket.destroy();
  return received;
}
const head = (path: string, length: number, more = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n${more}\r\n`;

describe('paths and methods', () => {
  test.each<[string, string, number, string | undefined]>([
    ['GET', INFER, 405, 'MethodNotAllowed'],
    ['PUT', INFER, 405, 'MethodNotAllowed'],
    ['DELETE', '/v2/health/live', 405, 'MethodNotAllowed'],
    ['GET', '/v2/models/default.echo/versions/1', 200, undefined],
    ['GET', '/v2/models/default.echo/versions/2', 404, 'UnknownVersion'],
    ['GET', '/v2/models/default.echo/versions/1/ready', 200, undefined],
    ['GET', '/v2/models/default.nobody', 404, 'UnknownTenant'],
    ['GET', '/v2/', 200, undefined],
    ['POST', '/v2/repository/models/default.echo/load', 501, 'ExtensionNotOffered'],
    ['POST', '/v2/systemsharedmemory/region/r/register', 501, 'ExtensionNotOffered'],
    ['GET', '/v2/nothing', 404, 'NoSuchPath'],
  ])('%s %s', async (method, path, status, code) => {
    const answer = await ask(method, path);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    if (status === 405) expect(answer.headers.get('allow')).toMatch(/OPTIONS/);
  });

  test('OPTIONS tells the methods, HEAD is GET without a body', async () => {
    const options = await ask('OPTIONS', INFER);
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'POST, OPTIONS']);
    expect(await ask('HEAD', '/v2/health/live')).toMatchObject({ status: 200, body: {} });
  });

  test('what is no request is answered in the form of all answers', async () => {
    const long = await raw(`GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`);
    expect(long).toMatch(/^HTTP\/1\.1 431 [^]*"code":"HeadTooLarge"/);
    expect(await raw('banana\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [^]*"code":"InvalidRequest"/);
    expect(await raw(head(INFER, 5, 'Expect: banana\r\n'))).toMatch(/^HTTP\/1\.1 417 [^]*"code":"ExpectationFailed"/);
  });
});

describe('a sender who asks before it sends its body (Expect: 100-continue)', () => {
  const expecting = 'Expect: 100-continue\r\n';

  test('is told to go on, and answered', async () => {
    expect(await raw(head(INFER, SEVENS.length, expecting), SEVENS)).toMatch(
      /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /,
    );
  });

  test.each([
    ['for nobody', '/v2/models/default.nobody/infer', 100, '404'],
    ['too much', INFER, 1_000_000_000, '413'],
  ])('%s is refused before the body', async (_what, path, length, status) => {
    expect(await raw(head(path, length, expecting))).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  test('beyond its rate is refused before the body', async () => {
    const path = '/v2/models/default.slow/infer';
    await ask('POST', path, SEVENS);
    expect(await raw(head(path, SEVENS.length, expecting))).toMatch(/^HTTP\/1\.1 429 /);
  });
});

describe('compressed bodies', () => {
  test.each<[string, Uint8Array]>([
    ['gzip', gzipSync(SEVENS)],
    ['deflate', deflateSync(SEVENS)],
    ['zstd', zstdCompressSync(SEVENS)],
    ['identity', Buffer.from(SEVENS)],
  ])('%s is read', async (encoding, body) => {
    const answer = await ask('POST', INFER, body, { 'content-encoding': encoding });
    expect(answer.body.outputs?.[0]?.data).toEqual(Array(192).fill(7));
  });

  test('an unknown encoding is refused with those that are known', async () => {
    const answer = await ask('POST', INFER, 'zzz', { 'content-encoding': 'br' });
    expect(answer).toMatchObject({ status: 415, body: { code: 'UnknownContentEncoding' } });
    expect(answer.headers.get('accept-encoding')).toBe('gzip, deflate, zstd');
  });

  test('what is not what it says, and what becomes too large, is refused', async () => {
    const gzip = { 'content-encoding': 'gzip' };
    expect(await ask('POST', INFER, 'no gzip at all', gzip)).toMatchObject({ status: 400 });
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    expect(await ask('POST', INFER, bomb, gzip)).toMatchObject({ status: 413, body: { code: 'BodyTooLarge' } });
    expect((await ask('POST', INFER, SEVENS)).status).toBe(200);
  });
});

describe('values', () => {
  test('that JSON has no numbers for go and come by name', async () => {
    const odd = ['NaN', 'Infinity', '-Infinity', 1.5];
    const answer = await ask(
      'POST',
      '/v2/models/default.floats/infer',
      request([...odd, ...Array<number>(188).fill(0)], 'FP32'),
    );
    expect(answer.body.outputs![0]!.data.slice(0, 4)).toEqual(odd);
  });

  test('raw, without a header, are the tensor', async () => {
    const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': '0' };
    const response = await fetch(`${agent.url}${INFER}`, { method: 'POST', headers, body: Buffer.alloc(192, 9) });
    const from = Number(response.headers.get('inference-header-content-length'));
    expect([...Buffer.from(await response.arrayBuffer()).subarray(from)]).toEqual(Array(192).fill(9));
  });

  test.each<[string, object, RegExp]>([
    ['priority', { parameters: { priority: 1 } }, /parameters\.priority/],
    [
      'shared memory',
      { outputs: [{ name: 'out', parameters: { shared_memory_region: 'r' } }] },
      /shared_memory_region/,
    ],
    ['an output asked for twice', { outputs: [{ name: 'out' }, { name: 'out' }] }, /asked for twice/],
    ['a number as id', { id: 42 }, /id: must be a string/],
    ['parameters that are a list', { parameters: [1] }, /parameters: must be an object/],
    ['a timeout in words', { parameters: { timeout: 'soon' } }, /parameters\.timeout/],
  ])('%s is refused by name', async (_what, more, message) => {
    const answer = await ask('POST', INFER, request(Array(192).fill(7), 'UINT8', more));
    expect([answer.status, answer.body.error]).toEqual([400, expect.stringMatching(message)]);
  });
});

describe('images', () => {
  const size = { width: 16, height: 8, channels: 3 as const };
  /** Red on the left, blue on the right. */
  const halves = sharp({ create: { ...size, background: '#f00' } }).composite([
    { input: { create: { ...size, width: 8, background: '#00f' } }, left: 8, top: 0 },
  ]);
  const pixelsOf = async (path: string, body: Buffer, type: string): Promise<(x: number, y: number) => number[]> => {
    const { status, body: answer } = await ask('POST', path, body, { 'content-type': type });
    expect([status, answer.error]).toEqual([200, undefined]);
    const data = answer.outputs![0]!.data as number[];
    return (x, y) => [0, 1, 2].map((channel) => data[64 * channel + 8 * y + x]!);
  };
  const near = (color: readonly number[]): unknown[] => color.map((value) => expect.closeTo(value, -1.5));

  test.each(['image/jpeg', 'image/jpg', 'image/pjpeg', 'IMAGE/JPEG; q=1'])('are taken as %s', async (type) => {
    const pixel = await pixelsOf(INFER, await halves.clone().jpeg({ quality: 100 }).toBuffer(), type);
    expect([pixel(1, 4), pixel(6, 4)]).toEqual([near([255, 0, 0]), near([0, 0, 255])]);
  });

  test('are turned as EXIF says', async () => {
    const turned = await halves.clone().jpeg({ quality: 100 }).withMetadata({ orientation: 6 }).toBuffer();
    const pixel = await pixelsOf(INFER, turned, 'image/jpeg'); // a quarter clockwise: red is above
    expect([pixel(4, 1), pixel(4, 6)]).toEqual([near([255, 0, 0]), near([0, 0, 255])]);
  });

  test('keep their proportion where the model says so', async () => {
    const pixel = await pixelsOf('/v2/models/default.boxed/infer', await halves.clone().png().toBuffer(), 'image/png');
    expect([pixel(4, 0), pixel(4, 7), pixel(0, 4)]).toEqual([[7, 7, 7], [7, 7, 7], near([255, 0, 0])]);
  });

  test.each<[string, () => Promise<Buffer>]>([
    ['progressive', () => halves.clone().jpeg({ quality: 100, progressive: true }).toBuffer()],
    ['CMYK', () => halves.clone().toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer()],
  ])('may be %s JPEG', async (_what, make) => {
    const pixel = await pixelsOf(INFER, await make(), 'image/jpeg');
    expect(pixel(1, 4)[0]).toBeGreaterThan(200);
    expect(pixel(6, 4)[2]).toBeGreaterThan(120);
  });

  test.each<[string, () => Promise<Buffer>]>([
    ['16-bit', () => halves.clone().toColourspace('rgb16').png().toBuffer()],
    ['with transparency', () => halves.clone().ensureAlpha(0.5).png().toBuffer()],
    ['interlaced', () => halves.clone().png({ progressive: true }).toBuffer()],
    ['with a palette', () => halves.clone().png({ palette: true }).toBuffer()],
  ])('may be PNG %s', async (_what, make) => {
    const pixel = await pixelsOf(INFER, await make(), 'image/png');
    expect([pixel(1, 4), pixel(6, 4)]).toEqual([near([255, 0, 0]), near([0, 0, 255])]);
  });

  test('may be grey', async () => {
    const grey = await sharp({ create: { ...size, background: '#808080' } })
      .greyscale()
      .png()
      .toBuffer();
    expect((await pixelsOf(INFER, grey, 'image/png'))(3, 3)).toEqual(near([128, 128, 128]));
  });
});

describe('a camera’s stream', () => {
  const jpeg = (level: number): Promise<Buffer> =>
    sharp({ create: { width: 8, height: 8, channels: 3, background: { r: level, g: level, b: level } } })
      .jpeg({ quality: 100 })
      .toBuffer();
  const part = (body: Buffer | string, head = `Content-Length: ${body.length}\r\n`): Buffer =>
    Buffer.concat([
      Buffer.from(`--frame\r\nContent-Type: image/jpeg\r\n${head}\r\n`),
      Buffer.from(body as Buffer),
      Buffer.from('\r\n'),
    ]);
  const type = { 'content-type': 'multipart/x-mixed-replace; boundary=frame' };

  /** Sends parts as they are made, and gives each answer as it comes. */
  function stream(headers: object = {}): {
    readonly send: (chunk: Buffer) => void;
    readonly end: () => void;
    readonly answers: AsyncIterator<string>;
    readonly contentType: () => Promise<string>;
  } {
    const sending = httpRequest(`${agent.url}${INFER}`, { method: 'POST', headers: { ...type, ...headers } });
    sending.on('error', () => undefined);
    const response = once(sending, 'response') as Promise<[IncomingMessage]>;
    const lines = async function* (): AsyncGenerator<string> {
      const [body] = await response;
      for await (const line of createInterface({ input: body })) if (line !== '') yield line;
    };
    sending.flushHeaders();
    return {
      send: (chunk) => void sending.write(chunk),
      end: () => void sending.end('--frame--\r\n'),
      answers: lines(),
      contentType: async () => (await response)[0].headers['content-type']!,
    };
  }
  const levelOf = (line: string): number =>
    (JSON.parse(line) as { outputs: { data: number[] }[] }).outputs[0]!.data[0]!;

  test('is answered frame by frame while it goes on, in order', async () => {
    const { send, end, answers, contentType } = stream();
    for (let i = 0; i < 30; i++) {
      send(part(await jpeg(8 * i)));
      expect(Math.abs(levelOf((await answers.next()).value as string) - 8 * i)).toBeLessThan(4);
    }
    expect(await contentType()).toBe('application/x-ndjson');
    end();
    expect((await answers.next()).done).toBe(true);
  });

  test('goes on after a frame that is none, and need not tell lengths', async () => {
    const { send, end, answers } = stream();
    send(part(await jpeg(80), ''));
    send(part('no picture', ''));
    send(part(await jpeg(160), ''));
    end();
    const got: string[] = [];
    for (let each = await answers.next(); each.done !== true; each = await answers.next()) got.push(each.value);
    expect(
      got.map((line) => (line.includes('"error"') ? (JSON.parse(line) as { code: string }).code : 'answered')),
    ).toEqual(['answered', 'InvalidImage', 'answered']);
  });

  test('comes back as events where those are asked for', async () => {
    const { send, end, answers, contentType } = stream({ accept: 'text/event-stream' });
    send(part(await jpeg(80)));
    expect((await answers.next()).value).toMatch(/^data: \{"model_name":"default\.echo"/);
    expect(await contentType()).toBe('text/event-stream');
    end();
  });

  test('that is none ends with why', async () => {
    const { send, answers } = stream();
    send(Buffer.from('x'.repeat(20_000)));
    expect((await answers.next()).value).toMatch(/boundary/);
    expect((await ask('POST', INFER, 'x', { 'content-type': 'multipart/x-mixed-replace' })).body.error).toMatch(
      /boundary/,
    );
  });
});
