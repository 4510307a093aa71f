import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { CompleteModel } from '../agent/frames.js';
import { IngestServer } from '../agent/ingest/server.js';
import { completeFrom } from '../agent/models/complete.js';
import { Devices } from '../agent/node/devices.js';
import type { Change } from '../agent/serving/changes.js';
import type { LateFrame } from '../agent/serving/late-frames.js';
import type { ProfileStatus } from '../agent/serving/recheck.js';
import type { DeviceService } from '../agent/serving/service.js';
import { childrenOf } from './support/cli.js';
import type { ResourceOf } from '../api/manifests.js';
import type { ScheduleDevice } from '../api/schedule.js';
import type { Faults } from './support/faulty-device.js';
import { faultyDevice } from './support/faulty-device.js';
import { identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace } from './support/workspace.js';

/** Real ONNX Runtime in a real device process that is made to go wrong, behind the real door for frames. */

const FRAME = { 16: Array<number>(3 * 16 * 16).fill(0.5), 8: Array<number>(3 * 8 * 8).fill(0.5) };
const SHAPES = [
  [3, 16, 16],
  [3, 8, 8],
];
/** E(n) of the 16x16 shape and of the 8x8 one, far above what the networks really take. */
const FULL = [1, 2, 4].map((size) => ({ size, wcetUs: 2000 + 4000 * size }));
const SMALL = [1, 2, 4].map((size) => ({ size, wcetUs: 2000 + 1000 * size }));

interface Answered {
  readonly status: number;
  readonly error?: string;
  readonly parameters?: Record<string, unknown>;
  readonly outputs?: readonly { shape: readonly number[] }[];
}

/** Kills this process's children, which are its devices, for three seconds, each within microseconds of its start. */
const KILLER = `
  const { readdirSync, readFileSync } = require('node:fs');
  const { parentPort, workerData: pid } = require('node:worker_threads');
  let kills = 0;
  for (const untilMs = Date.now() + 3000; Date.now() < untilMs;)
    for (const thread of readdirSync('/proc/' + pid + '/task'))
      try {
        const children = readFileSync('/proc/' + pid + '/task/' + thread + '/children', 'utf8');
        for (const child of children.split(' ').filter(Boolean)) {
          process.kill(Number(child), 'SIGKILL');
          kills++;
        }
      } catch {
        // The thread or the child has ended meanwhile.
      }
  parentPort.postMessage(kills);
`;

let workspace: Workspace;
let devices: Devices;
let service: DeviceService;
let server: IngestServer;
let url: string;
let changes: Change[];
let cameras: NodeJS.Timeout[] = [];

const faultsFile = (): string => join(workspace.root, 'faults.json');
const inject = (faults: Faults): Promise<void> => writeFile(faultsFile(), JSON.stringify(faults));

async function infer(tenant: string): Promise<Answered> {
  const input = {
    name: tenant === 'other' ? 'second' : 'in',
    shape: [1, 3, 16, 16],
    datatype: 'FP32',
    data: FRAME[16],
  };
  const response = await fetch(`${url}/v2/models/default.${tenant}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [input] }),
  });
  return { status: response.status, ...((await response.json()) as object) };
}

/** Sends frames at a steady rate, whether or not answers come, until stopped; resolves to all the answers. */
function camera(tenant: string, periodMs: number): () => Promise<Answered[]> {
  const answers: Promise<Answered>[] = [];
  const timer = setInterval(() => answers.push(infer(tenant)), periodMs);
  cameras.push(timer);
  return () => {
    clearInterval(timer);
    return Promise.all(answers);
  };
}

async function until(what: () => boolean | Promise<boolean>, withinMs = 5000): Promise<number> {
  const sinceMs = performance.now();
  while (!(await what())) {
    if (performance.now() - sinceMs > withinMs) throw new Error(`not within ${withinMs}ms: ${String(what)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return performance.now() - sinceMs;
}

const isDegraded = ({ parameters }: Answered): boolean => parameters?.['computed_shape'] === '3x8x8';
const serves = (tenant: string) => async (): Promise<boolean> => (await infer(tenant)).status === 200;
const ready = async (): Promise<boolean> => (await fetch(`${url}/readyz`)).ok;

function tenantOf(name: string, more: object = {}): ScheduleDevice['categories'][number]['tenants'][number] {
  return {
    namespace: 'default',
    name,
    streams: 4,
    periodUs: 50_000,
    jitterUs: 500_000,
    deadlineUs: 60_000,
    ...more,
  };
}

/** Terms that both networks can be promised at once. */
const LIGHT = { streams: 1, jitterUs: 20_000, deadlineUs: 200_000 };

const lightly = (gate: object = {}): ScheduleDevice => {
  const { categories, ...device } = schedule(tenantOf('gate', { ...LIGHT, ...gate }));
  const [echo, other] = categories;
  return { ...device, categories: [echo!, { ...other!, tenants: [tenantOf('other', LIGHT)] }] };
};

function schedule(...tenants: ScheduleDevice['categories'][number]['tenants']): ScheduleDevice {
  const category = { shape: SHAPES[0]!, class: 'RealTime' as const, windowUs: 20_000, relativeDeadlineUs: 40_000 };
  return {
    device: 0,
    categories: [
      { ...category, name: 'echo@3x16x16', model: 'echo', tenants },
      { ...category, name: 'other@3x16x16', model: 'other', tenants: [tenantOf('other')] },
    ],
  };
}

const PROFILE: ProfileStatus = {
  categories: ['echo', 'other'].flatMap((model) => [
    { model, shape: SHAPES[0]!, batches: FULL },
    { model, shape: SHAPES[1]!, batches: SMALL, resizeUs: 100 },
  ]),
};

beforeEach(async () => {
  workspace = await newWorkspace();
  await inject({});
  devices = await Devices.start({
    node: 'edge',
    devices: [{ provider: 'cpu', threads: 1, preload: faultyDevice(faultsFile()) }],
    stateDir: workspace.state,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    progress: () => undefined,
  });
  ({ service } = devices.units[0]!);
  changes = [];
  service.onChange = (change) => changes.push(change);
  for (const [name, input] of [
    ['echo', 'in'],
    ['other', 'second'],
  ] as const) {
    const network = identityNetwork('float32', ['n', 3, 'h', 'w'], input);
    const model = await workspace.model(name, network, { input: { name: input }, shapes: SHAPES });
    await service.load(...loadable(model, name));
  }
  server = new IngestServer(devices);
  const {
    address: { port },
  } = await server.listen('127.0.0.1', 0);
  server.open();
  url = `http://127.0.0.1:${port}`;
});

function loadable(model: object, name: string): [CompleteModel, string] {
  const path = join(workspace.root, `${name}.onnx`);
  return [completeFrom(model as ResourceOf<'InferenceModel'>, path), path];
}

afterEach(async () => {
  for (const timer of cameras) clearInterval(timer);
  cameras = [];
  await server.drain();
  await devices.stop();
  await workspace.dispose();
});

describe('a device that goes wrong', () => {
  test('killed 50 times under load: every frame gets an answer, serving resumes, all else is as it was', async () => {
    // Shorter than a device takes to be replaced, also on a quick machine.
    await service.apply(lightly({ deadlineUs: 100_000 }), PROFILE);
    await until(serves('gate'));
    const stops = [camera('gate', 15), camera('other', 15)];
    for (let i = 0; i < 50; i++) {
      const before = service.device.pid;
      process.kill(before, 'SIGKILL');
      await until(() => service.device.pid !== before && service.ready);
      await until(serves('gate'));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const answers = (await Promise.all(stops.map((stop) => stop()))).flat();
    const byStatus = Map.groupBy(answers, ({ status }) => status);
    expect(answers.length).toBeGreaterThan(500);
    expect([...byStatus.keys()].filter((status) => ![200, 429, 503].includes(status))).toEqual([]);
    expect(byStatus.get(200)!.length).toBeGreaterThan(100);
    expect(byStatus.get(503)!.length).toBeGreaterThan(0);
    for (const { error } of byStatus.get(503)!) expect(error).toMatch(/device|deadline/);
    expect(service.inFlight).toBe(0);
    expect(changes.filter(({ kind }) => kind === 'deviceRecovered')).toHaveLength(50);
    expect(changes.filter(({ kind }) => kind === 'modelQuarantined')).toEqual([]);
  }, 300_000);

  test('frames that have time wait for the next device, and none of them is lost with it', async () => {
    await service.apply(lightly({ deadlineUs: 5_000_000 }), PROFILE);
    await until(serves('gate'));
    const stop = camera('gate', 20);
    for (let i = 0; i < 10; i++) {
      const before = service.device.pid;
      process.kill(before, 'SIGKILL');
      await until(() => service.device.pid !== before && service.ready);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const answers = await stop();
    expect(answers.length).toBeGreaterThan(100);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  }, 60_000);

  test('standing still between two runs is noticed as soon as somebody waits, and ended', async () => {
    await service.apply(schedule(tenantOf('gate', { deadlineUs: 10_000_000 }), tenantOf('hasty')), PROFILE);
    await until(serves('gate'));
    process.kill(service.device.pid, 'SIGSTOP');
    const [patient, hasty] = await Promise.all([infer('gate'), infer('hasty')]);
    expect(patient.status).toBe(200);
    expect(hasty).toMatchObject({ status: 503, code: 'DeviceLost' });
    expect(changes[0]).toMatchObject({ kind: 'deviceLost', error: expect.stringMatching(/stood still/) });
    expect(await ready()).toBe(true);
  });

  test('killed as soon as there is one, again and again, also before it could be told anything: one lives in the end', async () => {
    await service.apply(schedule(tenantOf('gate')), PROFILE);
    await until(serves('gate'));
    const killer = new Worker(KILLER, { eval: true, workerData: process.pid });
    const [kills] = (await once(killer, 'message')) as [number];
    expect(kills).toBeGreaterThan(3);
    await until(() => service.ready, 15_000);
    await until(serves('gate'));
  }, 60_000);

  test('a hang is ended, told as one, and over within seconds; readiness goes and comes back', async () => {
    await service.apply(schedule(tenantOf('gate')), PROFILE);
    await until(serves('gate'));
    await inject({ hang: true, input: 'in' });
    const stuck = infer('gate');
    await until(async () => !(await ready()));
    await inject({});
    expect(await stuck).toMatchObject({ status: 503, error: expect.stringMatching(/hung: a run of model "echo"/) });
    expect(changes[0]).toMatchObject({ kind: 'deviceLost' });
    await until(ready);
    await until(serves('gate'));
    await until(serves('other'));
  });

  test('a model that crashes native code each time is kept off the device; the others are served', async () => {
    await service.apply(schedule(tenantOf('gate')), PROFILE);
    await until(serves('gate'));
    await inject({ crash: 'SIGSEGV', input: 'in' });
    for (let i = 0; i < 200 && !changes.some(({ kind }) => kind === 'modelQuarantined'); i++) {
      expect((await infer('gate')).status).not.toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(changes.at(-1)).toMatchObject({ kind: 'modelQuarantined', model: 'echo' });
    await until(serves('other'));
    expect(await infer('gate')).toMatchObject({
      status: 503,
      error: expect.stringMatching(/model "echo" took the device down 3 times.*SIGSEGV/),
    });
    // A changed model gets its chance.
    await inject({});
    const model = await workspace.model('echo', identityNetwork('float32', ['n', 3, 'h', 'w']), { shapes: SHAPES });
    service.device.pardon('echo');
    await service.load(...loadable(model, 'echo'));
    await service.apply(schedule(tenantOf('gate')), PROFILE);
    await until(serves('gate'));
  });

  test('a batch that fails is answered with why; batch after batch has the device replaced, then the model left out', async () => {
    await service.apply(schedule(tenantOf('gate')), PROFILE);
    await until(serves('gate'));
    await inject({ fail: 'out of memory on the device', input: 'in' });
    expect(await infer('gate')).toMatchObject({
      status: 503,
      error: 'the model failed on this frame: out of memory on the device',
    });
    expect((await infer('other')).status).toBe(200);
    const stop = camera('gate', 25);
    await until(() => changes.some(({ kind }) => kind === 'modelQuarantined'), 20_000);
    await stop();
    expect(changes.filter(({ kind }) => kind === 'deviceLost').length).toBeGreaterThan(0);
    await until(serves('other'));
  });

  test('a model whose file is gone when the device is replaced is left out with why', async () => {
    await service.apply(schedule(tenantOf('gate')), PROFILE);
    await until(serves('gate'));
    await rm(join(workspace.root, 'echo.onnx'));
    process.kill(service.device.pid, 'SIGKILL');
    await until(() => changes.some(({ kind }) => kind === 'modelQuarantined'));
    await until(serves('other'));
    expect(await infer('gate')).toMatchObject({
      status: 503,
      error: expect.stringMatching(/"echo" could not be loaded again: .*echo\.onnx/),
    });
  });
});

test('ONNX Runtime tells nobody what it runs', async () => {
  const environment = await readFile(`/proc/${service.device.pid}/environ`, 'utf8');
  expect(environment.split('\0')).toContain('ORT_DISABLE_TELEMETRY=1');
});

describe('a device that is slower than measured for a while', () => {
  /** As measured, with some room. */
  const NORMAL = { nsPerElement: 3500, input: 'in' };
  const SLOW = { nsPerElement: 14_000, input: 'in' };

  /** Waits for a second and a half in which all is answered and hardly anything computed smaller: the machine may stall runs by itself. */
  const calm = (): Promise<number> =>
    until(async () => {
      const cameras = [camera('flexible', 15), camera('firm', 100)];
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const answers = (await Promise.all(cameras.map((stop) => stop()))).flat();
      return answers.every(({ status }) => status === 200) && answers.filter(isDegraded).length < 0.2 * answers.length;
    }, 60_000);

  test('frames of tenants who allow it are computed at a smaller shape, and say so; the others never; both recover', async () => {
    const firm = tenantOf('firm', { streams: 1, periodUs: 100_000 });
    const flexible = tenantOf('flexible', { minShape: SHAPES[1] });
    await service.apply(schedule(flexible, firm), PROFILE);
    await inject(NORMAL);
    await until(serves('firm'));
    await calm();

    await inject(SLOW);
    const strained = [camera('flexible', 15), camera('firm', 100)] as const;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const [flexibles, firms] = [await strained[0](), await strained[1]()];
    const degraded = flexibles.filter(isDegraded);
    expect(degraded.length).toBeGreaterThan(0.2 * flexibles.length);
    for (const { parameters, outputs } of degraded) {
      expect(parameters).toMatchObject({ scale_height: 0.5, scale_width: 0.5 });
      expect(outputs![0]!.shape).toEqual([1, 3, 8, 8]);
    }
    for (const { parameters } of firms) expect(parameters?.['computed_shape']).toBeUndefined();
    expect(changes).toContainEqual({ kind: 'degraded', tenant: 'default/flexible', shape: [3, 8, 8] });
    expect(service.tenants.at('default.flexible')!.degradation(performance.now())).toMatchObject({ shape: [3, 8, 8] });
    expect(service.tenants.at('default.firm')!.degradation(performance.now())).toBeUndefined();

    await inject(NORMAL);
    await calm();
  }, 150_000);

  test('a tenant that wants no late answers is told at once instead', async () => {
    await service.apply(schedule(tenantOf('gate', { lateFrames: 'Drop' })), PROFILE);
    await inject({ nsPerElement: 30_000, input: 'in' });
    const stop = camera('gate', 15);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const answers = await stop();
    const dropped = answers.filter(({ status }) => status === 503);
    expect(dropped.length).toBeGreaterThan(0);
    for (const { error } of dropped) expect(error).toMatch(/could not meet its deadline any more/);
    expect(service.tenants.at('default.gate')!.outcomes.dropped).toBe(dropped.length);
  });
});

describe('why a promised frame was late', () => {
  const late = async (): Promise<LateFrame[]> =>
    ((await (await fetch(`${url}/late?tenant=default/gate`)).json()) as { frames: LateFrame[] }).frames;

  test('is told: a run beyond its WCET, one that it waited for, and a device that was lost with it', async () => {
    await service.apply(lightly(), PROFILE);
    await until(serves('gate'));
    const before = (await late()).length;
    const countsOf = async (): Promise<Map<unknown, number>> =>
      new Map((await devices.metrics.lateFrames.get()).values.map(({ value, labels }) => [labels['cause'], value]));
    const countsBefore = await countsOf();
    // 768 elements: 300 ms a run, of which 6 ms are expected.
    await inject({ nsPerElement: 390_000 });
    const [first, second] = await Promise.all([
      infer('gate'),
      new Promise((r) => setTimeout(r, 30)).then(() => infer('gate')),
    ]);
    await inject({});
    expect(
      [first.status, second.status].some((status) => status !== 200 || first.parameters?.['deadline_met'] === false),
    ).toBe(true);
    const frames = await late();
    const overruns = frames.slice(0, frames.length - before);
    expect(overruns.length).toBeGreaterThan(0);
    for (const { cause, runs, category } of overruns) {
      expect([cause, category]).toEqual(['Overrun', 'echo@3x16x16']);
      expect(runs[0]!.us).toBeGreaterThan(10 * runs[0]!.wcetUs);
    }
    await until(serves('gate'));
    await new Promise((resolve) => setTimeout(resolve, 200)); // the next frame is within the rate, and so promised
    await inject({ crash: 'SIGKILL' });
    await infer('gate');
    await inject({});
    await until(async () => (await late())[0]?.cause === 'DeviceLost', 10_000);
    const [{ spentUs, code }] = (await late()) as [LateFrame];
    expect(code).toMatch(/^Device/);
    expect(spentUs.run).toBeUndefined();
    const counted = [...(await countsOf())].filter(([cause, count]) => count > (countsBefore.get(cause) ?? 0));
    expect(counted.map(([cause]) => cause).sort()).toEqual(['DeviceLost', 'Overrun']);
  });

  /** Longer than the deadline, and shorter than whoever stands still is given up. */
  const HELD_MS = 350;
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  /** Holds up the thread that takes frames and answers them. */
  const block = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, HELD_MS);
  async function stopped(pids: readonly number[], meanwhile: () => Promise<unknown>): Promise<void> {
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    const answered = meanwhile();
    await sleep(HELD_MS);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    await answered;
  }
  /** A frame as bytes, whose body is sent when its head has been looked at. */
  async function sendBinary(between: () => void): Promise<void> {
    const input = { name: 'in', shape: [1, 3, 16, 16], datatype: 'FP32', parameters: { binary_data_size: 4 * 768 } };
    const head = Buffer.from(JSON.stringify({ inputs: [input] }));
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write(
      `POST /v2/models/default.gate/infer HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nInference-Header-Content-Length: ${head.length}\r\nContent-Length: ${head.length + 4 * 768}\r\n\r\n`,
    );
    await once(socket, 'data');
    socket.write(Buffer.concat([head, Buffer.alloc(4 * 768)]));
    between();
    await once(socket, 'data');
    socket.destroy();
  }

  async function sendImage(): Promise<void> {
    const background = { r: 1, g: 2, b: 3 };
    const body = await sharp({ create: { width: 16, height: 16, channels: 3, background } })
      .jpeg()
      .toBuffer();
    const headers = { 'content-type': 'image/jpeg' };
    await fetch(`${url}/v2/models/default.gate/infer`, { method: 'POST', headers, body });
  }

  test.each<[cause: LateFrame['cause'], what: string, make: () => Promise<unknown>]>([
    ['DeviceLost', 'a device that stands still', () => stopped([service.device.pid], () => infer('gate'))],
    [
      'Decoding',
      'decoders that have no time for it',
      async () => stopped(await childrenOf(process.pid, 'ingest/decode/process'), sendImage),
    ],
    ['Receiving', 'an agent that does not get to read it', () => sendBinary(block)],
    [
      'Answering',
      'an agent that does not get to answer it',
      async () => {
        await inject({ nsPerElement: 28_000 }); // 22 ms a run
        for (let tries = 0; tries < 10; tries++) {
          const before = service.runs.count;
          const answered = infer('gate');
          await until(() => service.inFlight > 0);
          await sleep(5);
          const goesOn = service.runs.count === before;
          if (goesOn) block();
          await answered;
          if (goesOn) return;
          await sleep(200); // it was answered before anybody looked
        }
        throw new Error('no frame was on the device when it was looked');
      },
    ],
  ])('is told: %s, of %s', async (cause, _what, make) => {
    // A run may take 30 ms.
    const slow = PROFILE.categories!.map((each) => ({ ...each, batches: [{ size: 1, wcetUs: 30_000 }] }));
    await service.apply(lightly(), { categories: slow });
    await until(serves('gate'));
    await sleep(200); // the next frame is within the rate, and so promised
    const before = (await late()).length;
    await make();
    const frames = await late();
    expect(frames.length).toBe(before + 1);
    expect(frames[0]).toMatchObject({ cause, tenant: 'default/gate' });
    expect(frames[0]!.latencyUs).toBeGreaterThan(frames[0]!.deadlineUs);
  });
});
