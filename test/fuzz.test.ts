import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { seededRandom } from '../sched/arrivals.js';
import type { Running } from './support/cli.js';
import { standalone } from './support/cli.js';
import { rawGrpcClient } from './support/grpc.js';
import { identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace, tenantManifest } from './support/workspace.js';

/**
 * Requests that were once right and then spoiled, by a seed: each is refused as the protocol has it or answered with its own
 * frame, and the agent goes on. FUZZ=100000 sends so many of each kind.
 */
const COUNT = Number(process.env['FUZZ'] ?? 1500);
const SEED = Number(process.env['SEED'] ?? 1);
const AT_ONCE = 8;
/** Whoever has no answer after this long hangs. */
const LONGEST_MS = 10_000;
const ELEMENTS = 3 * 8 * 8;
/** What may stay of a flood that is over. */
const KEPT_BYTES = 96 * 1024 ** 2;

let workspace: Workspace;
let agent: Running;
beforeAll(async () => {
  workspace = await newWorkspace();
  await workspace.write(
    'all.yaml',
    await workspace.model('echo', identityNetwork('uint8', ['n', 3, 8, 8]), {}),
    tenantManifest('echo', { framesPerSecond: 200, streams: 8, jitter: '5ms', deadline: '2s' }),
  );
  agent = await standalone(workspace, '--grpc', '127.0.0.1:0');
});
afterAll(async () => {
  await agent.kill('SIGKILL');
  await workspace.dispose();
});

type Random = () => number;
const below = (random: Random, n: number): number => Math.floor(random() * n);

/** A frame like no other. */
const frameOf = (n: number): Buffer =>
  Buffer.from(Array.from({ length: ELEMENTS }, (_, i) => (n >> (8 * (i % 4))) & 255));

/** Spoils some bytes: changed, taken out, put in, cut off, doubled; now and then nothing. */
function spoiled(bytes: Buffer, random: Random): Buffer {
  let out = bytes;
  for (let left = below(random, 4); left > 0; left--) {
    const at = below(random, out.length + 1);
    const [before, after] = [out.subarray(0, at), out.subarray(at)];
    const some = Buffer.from(Array.from({ length: 1 + below(random, 8) }, () => below(random, 256)));
    out = [
      () => Buffer.concat([before, some, after.subarray(some.length)]),
      () => Buffer.concat([before, after.subarray(some.length)]),
      () => Buffer.concat([before, some, after]),
      () => before,
      () => Buffer.concat([before, after, after]),
      () => Buffer.concat([before, Buffer.from(WORDS[below(random, WORDS.length)]!), after]),
    ][below(random, 6)]!();
  }
  return out;
}
const WORDS = [
  '"',
  '{',
  ']',
  '-1',
  '1e999',
  'NaN',
  'null',
  '[[',
  '\r\n',
  '\0',
  '9'.repeat(40),
  'content-length: 5\r\n',
];

async function residentBytes(): Promise<number> {
  const [, resident] = (await readFile(`/proc/${agent.pid}/statm`, 'utf8')).split(' ').map(Number);
  return resident! * 4096;
}

/** Who waits for more of a spoiled request, or for the next one, is left after this long. */
const PATIENCE_MS = 250;

/** What comes back for these bytes on a connection of their own. */
function exchange(bytes: Buffer): Promise<string> {
  const { hostname, port } = new URL(agent.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let received = Buffer.alloc(0);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end after ${LONGEST_MS}ms: ${bytes.toString('latin1').slice(0, 400)}`));
    }, LONGEST_MS);
    socket.setTimeout(PATIENCE_MS, () => socket.end());
    socket.on('data', (chunk) => (received = Buffer.concat([received, chunk])));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(received.toString('latin1'));
    });
  });
}

const REQUEST_LINE = 'POST /v2/models/default.echo/infer HTTP/1.1\r\n';
const head = (length: number, more = 'Content-Type: application/json\r\n'): Buffer =>
  Buffer.from(`${REQUEST_LINE}Host: 127.0.0.1\r\n${more}Content-Length: ${length}\r\nConnection: close\r\n\r\n`);
const json = (frame: Buffer): Buffer =>
  Buffer.from(
    JSON.stringify({ id: 'a', inputs: [{ name: 'in', shape: [1, 3, 8, 8], datatype: 'UINT8', data: [...frame] }] }),
  );

/** What was sent of the frame: spoiled values are values, too. */
const sentIn = (body: Buffer): string | undefined => /"data":\[([^\]]*)\]/.exec(body.toString('latin1'))?.[1];

const KINDS: Readonly<Record<string, (frame: Buffer, random: Random) => { bytes: Buffer; data?: string | undefined }>> =
  {
    heads: (frame, random) => {
      const body = json(frame);
      return { bytes: Buffer.concat([spoiled(head(body.length), random), body]), data: sentIn(body) };
    },
    'bodies in JSON': (frame, random) => {
      const body = spoiled(json(frame), random);
      return { bytes: Buffer.concat([head(body.length), body]), data: sentIn(body) };
    },
    'binary bodies': (frame, random) => {
      const { length } = frame;
      const own = { name: 'in', shape: [1, 3, 8, 8], datatype: 'UINT8', parameters: { binary_data_size: length } };
      const start = Buffer.from(JSON.stringify({ inputs: [own] }));
      const body = Buffer.concat([spoiled(start, random), frame]);
      const more = `Inference-Header-Content-Length: ${random() < 0.8 ? body.length - length : below(random, 999)}\r\n`;
      return { bytes: Buffer.concat([head(body.length, more), body]), data: [...frame].join() };
    },
    'bodies in chunks': (frame, random) => {
      const body = json(frame);
      const chunks = Buffer.concat([
        Buffer.from(`${body.length.toString(16)}\r\n`),
        body,
        Buffer.from('\r\n0\r\n\r\n'),
      ]);
      const start = `${REQUEST_LINE}Host: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`;
      return { bytes: Buffer.concat([Buffer.from(start), spoiled(chunks, random)]) };
    },
  };

/** Runs so many of them, some at once. */
async function many(one: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < COUNT) await one(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Of an answer's status line, the codes that a spoiled request may have. */
const REFUSALS = new Set([400, 404, 405, 408, 411, 413, 415, 417, 421, 429, 431, 501, 503]);

describe('spoiled requests', () => {
  test.each(Object.keys(KINDS))(
    '%s: each is refused, or answered with its own frame',
    async (kind) => {
      const random = seededRandom(SEED);
      const statuses = new Map<number, number>();
      await many(async (n) => {
        const frame = frameOf(n * 2654435761);
        const { bytes, data } = KINDS[kind]!(frame, random);
        for (const answer of (await exchange(bytes)).split(/(?=HTTP\/1\.1 \d)/)) {
          if (answer === '') continue;
          const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
          if (status === 100) continue;
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status !== 200) {
            if (!REFUSALS.has(status))
              throw new Error(`${answer.slice(0, 600)}\n to ${bytes.toString('latin1').slice(0, 600)}`);
            expect(answer).toMatch(/"code":"\w+"/);
          } else if (answer.includes('"outputs"') && data !== undefined) {
            // The tensor alone is answered with a tensor.
            const values =
              /"data":\[([^\]]*)\]/.exec(answer)?.[1] ?? [...Buffer.from(answer.slice(-ELEMENTS), 'latin1')].join();
            expect(values).toBe(valuesOf(data));
          }
        }
      });
      // It was no use if all were refused, or none.
      expect(statuses.get(200)).toBeGreaterThan(COUNT / 10);
      expect([...statuses.values()].reduce((a, b) => a + b, 0) - statuses.get(200)!).toBeGreaterThan(COUNT / 10);
    },
    300_000,
  );

  test('messages of gRPC: each is refused, or answered with its own frame', async () => {
    const line = await agent.logged((each) => typeof each['grpc'] === 'string');
    const client = rawGrpcClient(String(line['grpc']));
    const random = seededRandom(SEED);
    let [answered, refused] = [0, 0];
    try {
      await many(async (n) => {
        const frame = frameOf(n * 2654435761);
        const message = client.encode({
          model_name: 'default.echo',
          id: 'a',
          inputs: [{ name: 'in', datatype: 'UINT8', shape: [1, 3, 8, 8] }],
          raw_input_contents: [frame],
        });
        const sent = spoiled(message, random);
        try {
          const [output] = client.outputs(await client.call(sent, LONGEST_MS));
          answered++;
          // The frame is the last of the message; what was spoiled of it comes back so.
          if (output !== undefined) expect(sent.includes(output)).toBe(true);
        } catch (error) {
          const { code, message: text } = error as { code: number; message: string };
          // INTERNAL is the library's own word for what is no message; RESOURCE_EXHAUSTED for what is beyond the promise.
          if (
            ![3, 5, 8, 13, 14, 4].includes(code) ||
            text.includes('InternalError') ||
            /DEADLINE.*exceeded after/i.test(text)
          )
            throw error;
          refused++;
        }
      });
    } finally {
      client.close();
    }
    expect(answered).toBeGreaterThan(COUNT / 10);
    expect(refused).toBeGreaterThan(COUNT / 10);
  }, 300_000);

  test('the agent goes on as if nothing had been', async () => {
    expect(agent.ended()).toBe(false);
    const body = json(frameOf(7));
    expect(await exchange(Buffer.concat([head(body.length), body]))).toMatch(/^HTTP\/1\.1 200 /);
    const before = await residentBytes();
    const random = seededRandom(SEED + 1);
    await many(async () => {
      await exchange(KINDS['bodies in JSON']!(frameOf(1), random).bytes);
    });
    expect((await residentBytes()) - before).toBeLessThan(KEPT_BYTES);
    const levels = agent.log().filter(({ level }) => Number(level) >= 50);
    expect(levels).toEqual([]);
  }, 300_000);
});

/** Numbers as the answer writes them. */
const valuesOf = (data: string): string => (JSON.parse(`[${data}]`) as number[]).join();
