import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { parse, stringify } from 'yaml';
import { keep } from '../agent/disk/kept-file.js';
import { Contention } from '../agent/profile/contention.js';
import type { Stages } from '../api/frames.js';
import type { Running } from './support/cli.js';
import { childrenOf, standalone, standaloneAnew } from './support/cli.js';
import { identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace, tenantManifest } from './support/workspace.js';

/** Receiving and decoding are part of the promise: what is larger than declared, or too much, costs its sender only. */

let workspace: Workspace;
let running: Running | undefined;

beforeEach(async () => {
  workspace = await newWorkspace();
  await workspace.write('model.yaml', await workspace.model('echo', identityNetwork('float32', ['n', 3, 8, 8])));
});
afterEach(async () => {
  await running?.kill('SIGKILL');
  running = undefined;
  await workspace.dispose();
});

const jpeg = (width: number, height: number): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: '#a55' } })
    .jpeg()
    .toBuffer();

interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly promised?: boolean;
  readonly inTime?: boolean;
}

async function send(tenant: string, body: Buffer, type = 'image/jpeg'): Promise<Answer> {
  const response = await fetch(`${running!.url}/v2/models/default.${tenant}/infer`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: new Uint8Array(body),
  });
  const { code, parameters } = (await response.json()) as {
    code?: string;
    parameters?: { promised: boolean; deadline_met?: boolean };
  };
  return {
    status: response.status,
    ...(code === undefined ? {} : { code }),
    ...(parameters === undefined ? {} : { promised: parameters.promised }),
    ...(parameters?.deadline_met === undefined ? {} : { inTime: parameters.deadline_met }),
  };
}

const decided = (name: string, admitted: boolean): Promise<{ [field: string]: unknown }> =>
  running!.logged((line) => line['tenant'] === `default/${name}` && line['admitted'] === admitted, 0, 240_000);

const declared = (width: number, height: number): object => ({ frames: { encoding: 'JPEG', width, height } });
const SMALL = { streams: 2, framesPerSecond: 5, deadline: '400ms', ...declared(640, 480) };

describe('decoding', () => {
  test('beyond what the workers can do is refused with what would fit, which then is admitted', async () => {
    // Several cores' worth of decoding, and little for the device, however slow both are just now.
    const big = { streams: 4, framesPerSecond: 30, deadline: '400ms' };
    await workspace.write(
      'tenants.yaml',
      tenantManifest('small', SMALL),
      tenantManifest('big', { ...big, ...declared(3840, 2160) }),
    );
    running = await standalone(workspace);
    await decided('small', true);
    const { reason, message } = await decided('big', false);
    expect(reason).toMatch(/^(Decode|Receive)Exceeded$/);
    const offer = /would fit now: .*?tensors \(spec\.frames\)|would fit now: .*?images up to (\d+)x(\d+)/.exec(
      message as string,
    )!;
    const frames =
      offer[1] === undefined ? { frames: { encoding: 'Tensor' } } : declared(Number(offer[1]), Number(offer[2]));
    await workspace.write('tenants.yaml', tenantManifest('small', SMALL), tenantManifest('big', { ...big, ...frames }));
    await decided('big', true);
  });

  test('a larger image than declared is a spare frame, and leaves the place of the next one', async () => {
    await workspace.write(
      'tenants.yaml',
      tenantManifest('small', { ...SMALL, streams: 1, framesPerSecond: 1 }),
      tenantManifest('strict', { ...SMALL, streams: 1, framesPerSecond: 1, beyondPromise: 'Refuse' }),
    );
    running = await standalone(workspace);
    const [right, large] = [await jpeg(640, 480), await jpeg(1280, 960)];
    expect(await send('small', large)).toMatchObject({ status: 200, promised: false });
    expect(await send('small', right)).toMatchObject({ status: 200, promised: true });
    expect(await send('strict', large)).toMatchObject({ status: 429, code: 'FrameTooLarge' });
    expect(await send('strict', right)).toMatchObject({ status: 200, promised: true });
    const huge = Buffer.from(right);
    huge.writeUInt16BE(16_000, huge.indexOf(Buffer.from([0xff, 0xc0])) + 5);
    huge.writeUInt16BE(16_000, huge.indexOf(Buffer.from([0xff, 0xc0])) + 7);
    expect(await send('small', huge)).toMatchObject({ status: 413, code: 'ImageTooLarge' });
  });

  test('a worker that ends costs at most its frame, again and again', async () => {
    await workspace.write('tenants.yaml', tenantManifest('small', { ...SMALL, streams: 50 }));
    running = await standalone(workspace);
    const image = await jpeg(640, 480);
    let [sent, lost] = [0, 0];
    for (let round = 0; round < 5; round++) {
      const answers = Array.from({ length: 4 }, () => send('small', image));
      for (const pid of (await childrenOf(running.pid, 'agent/ingest/decode/process')).slice(0, 1))
        process.kill(pid, 'SIGKILL');
      for (const { status } of await Promise.all(answers)) {
        sent++;
        if (status !== 200) lost++;
      }
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
    expect(sent).toBe(20);
    expect(lost).toBeLessThanOrEqual(5);
    expect(await send('small', image)).toMatchObject({ status: 200 });
    expect(running.ended()).toBe(false);
  });
});

describe('receiving', () => {
  test('outputs too large for JSON are answered in binary form only, and long JSON is read', async () => {
    const dims = [3, 640, 640];
    await workspace.write(
      'model.yaml',
      await workspace.model('echo', identityNetwork('float32', ['n', ...dims]), { shapes: [dims], maxBatchSize: 1 }),
    );
    await workspace.write('tenants.yaml', tenantManifest('small', { inputShape: dims, deadline: '2s' }));
    running = await standalone(workspace);
    const data = Array.from({ length: 3 * 640 * 640 }, (_, i) => i % 1000);
    const request = (binary: boolean): Buffer =>
      Buffer.from(
        JSON.stringify({
          inputs: [{ name: 'in', datatype: 'FP32', shape: [1, ...dims], data }],
          parameters: { binary_data_output: binary },
        }),
      );
    expect(await send('small', request(false), 'application/json')).toMatchObject({
      status: 400,
      code: 'OutputTooLargeForJSON',
    });
    const response = await fetch(`${running.url}/v2/models/default.small/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new Uint8Array(request(true)),
    });
    expect(response.status).toBe(200);
    const body = Buffer.from(await response.arrayBuffer());
    const from = Number(response.headers.get('inference-header-content-length'));
    const numbers = Array.from({ length: 4 }, (_, i) => body.readFloatLE(from + 4 * (1000 * i + 7)));
    expect(numbers).toEqual([7, 7, 7, 7]);
  });

  test('who never reads answers is cut off', async () => {
    const dims = [3, 256, 256];
    await workspace.write(
      'model.yaml',
      await workspace.model('echo', identityNetwork('float32', ['n', ...dims]), { shapes: [dims], maxBatchSize: 1 }),
    );
    await workspace.write(
      'tenants.yaml',
      tenantManifest('small', { inputShape: dims, deadline: '2s', ...declared(64, 64) }),
    );
    running = await standalone(workspace);
    const image = await jpeg(64, 64);
    const { hostname, port } = new URL(running.url);
    const socket = connect(Number(port), hostname);
    socket.pause();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const head = `POST /v2/models/default.small/infer HTTP/1.1\r\nHost: x\r\nAccept: application/octet-stream\r\nContent-Type: image/jpeg\r\nContent-Length: ${image.length}\r\n\r\n`;
    for (let i = 0; i < 12; i++) socket.write(Buffer.concat([Buffer.from(head), image]));
    socket.on('error', () => undefined);
    await new Promise((resolve) => setTimeout(resolve, 8000));
    // What has come meanwhile shows, once it is read, that nothing more will.
    socket.resume();
    await closed;
    expect(await send('small', image)).toMatchObject({ status: 200 });
  });
});

/** The share of the cores that others hardly take on a machine of one's own. */
const SOME = 0.05;

describe('figures that are wrong', () => {
  test('are put right by live frames, and who was refused because of them is admitted', async () => {
    await workspace.write('tenants.yaml', tenantManifest('small', { ...SMALL, streams: 4, framesPerSecond: 10 }));
    running = await standalone(workspace);
    await decided('small', true);
    await running.kill('SIGKILL');
    const [file] = await profiles();
    const profile = parse(await readFile(file!, 'utf8')) as { status: { stages: Stages } };
    const decode = profile.status.stages.decode.map((figure) => ({ ...figure, perFrameUs: 1000 * figure.perFrameUs }));
    await keep(
      file!,
      stringify({ ...profile, status: { ...profile.status, stages: { ...profile.status.stages, decode } } }),
    );
    running = await standalone(workspace);
    expect(await decided('small', false)).toMatchObject({ reason: 'DecodeExceeded' });
    const image = await jpeg(640, 480);
    let stop = false;
    const camera = (async () => {
      while (!stop) {
        await send('small', image);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    await decided('small', true);
    stop = true;
    await camera;
    expect(await send('small', image)).toMatchObject({ status: 200, promised: true });
  }, 300_000);

  test('because others took the cores meanwhile are measured again when they have gone', async () => {
    const hogs = Array.from({ length: 2 }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
    try {
      await workspace.write('tenants.yaml', tenantManifest('small', { streams: 1, deadline: '400ms' }));
      running = await standaloneAnew(workspace);
      expect(await conditions()).toContainEqual(expect.objectContaining({ type: 'Profiled', reason: 'Contended' }));
    } finally {
      for (const hog of hogs) hog.kill('SIGKILL');
    }
    const pids = [process.pid, running.pid, ...(await childrenOf(running.pid, ''))];
    const others = new Contention(() => pids);
    try {
      // First beside those who are promised something; as a whole when nobody is.
      const inCalm = (promised: boolean): Promise<object> =>
        running!.logged(
          ({ msg, ...fields }) => msg.includes('left the cores') && fields.promised === promised,
          0,
          100_000,
        );
      await inCalm(true);
      await workspace.remove('tenants.yaml');
      await inCalm(false);
      await running.logged(({ msg }) => msg === 'profile ready', running.log().length, 60_000);
      expect((await conditions()).map((each) => (each as { reason: string }).reason)).not.toContain('Contended');
    } catch (error) {
      // On a machine that is shared with yet others, they have not gone.
      if (others.share < SOME) throw error;
      process.stderr.write(
        `other processes took ${Math.round(100 * others.share)}% of the cores; not tested further\n`,
      );
    }
  }, 300_000);
});

async function profiles(): Promise<string[]> {
  const { readdir } = await import('node:fs/promises');
  const dir = join(workspace.state, 'profiles');
  return (await readdir(dir)).map((name) => join(dir, name));
}

async function conditions(): Promise<object[]> {
  const [file] = await profiles();
  return (parse(await readFile(file!, 'utf8')) as { status: { conditions: object[] } }).status.conditions;
}
