import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Logger } from '../cli/log.js';
import type { DevicePromise } from '../cli/planner.js';
import { Standalone } from '../cli/standalone.js';
import { WcetTable } from '../sched/wcet.js';
import { Cameras } from './support/cameras.js';
import { inferJson } from './support/cli.js';
import type { Faults } from './support/faulty-device.js';
import { faultyDevice } from './support/faulty-device.js';
import { lendStages } from './support/figures.js';
import { heavyNetwork, identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace, tenantManifest } from './support/workspace.js';

/** Memory and several devices, with real ONNX Runtime processes whose speed and health tests set. */

const MIB = 1024 ** 2;
let workspace: Workspace;
let standalone: Standalone | undefined;
const cameras = new Cameras();
let lines: { message: string; fields: Record<string, unknown> }[] = [];

const faultsOf = (device: number): string => join(workspace.root, `faults-${device}.json`);
const inject = (device: number, faults: Faults): Promise<void> => writeFile(faultsOf(device), JSON.stringify(faults));

async function start(devices: number, memoryBytes?: number): Promise<Standalone> {
  const log = (fields: Record<string, unknown>, message: string): void => void lines.push({ fields, message });
  const options = {
    dir: workspace.dir,
    stateDir: workspace.state,
    devices: Array.from({ length: devices }, (_, i) => ({
      provider: 'cpu' as const,
      threads: 1,
      preload: faultyDevice(faultsOf(i)),
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
    })),
    listen: { listen: { host: '127.0.0.1', port: 0 } },
    node: 'edge',
    log: { info: log, warn: log, error: log } as unknown as Logger,
  };
  for (let i = 0; i < devices; i++) await inject(i, initial.get(i) ?? {});
  await lendStages(workspace.state, options.node, devices);
  standalone = await Standalone.start(options);
  return standalone;
}

/** What devices are like when they start. */
const initial = new Map<number, Faults>();

async function until(what: () => boolean, withinMs: number): Promise<void> {
  for (const sinceMs = performance.now(); !what();) {
    if (performance.now() - sinceMs > withinMs)
      throw new Error(
        `not within ${withinMs}ms: ${String(what)}; the log: ${JSON.stringify(lines.slice(-12), null, 1)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const verdict = (name: string): Standalone['decision']['verdicts'][number] =>
  standalone!.decision.verdicts.find((each) => each.name === name)!;
/** What each tenant was told, and what was measured for that. */
const told = (): string =>
  [
    ...standalone!.decision.verdicts.map(({ name, message }) => `${name}: ${message}`),
    ...standalone!.devices.units.map(({ keeper }) => JSON.stringify(keeper.profile!.status)),
  ].join('\n');
const devicesOf = (name: string): number[] => verdict(name).placements.map(({ device }) => device);
const said = (message: string): unknown[] =>
  lines.filter((line) => line.message === message).map(({ fields }) => fields['model']);

beforeEach(async () => {
  workspace = await newWorkspace();
  lines = [];
  initial.clear();
});
afterEach(() => cameras.stop());
afterEach(async () => {
  await standalone?.stop();
  standalone = undefined;
  await workspace.dispose();
});

describe('a device’s memory', () => {
  const WEIGHTS = 64 * MIB;
  /** Two of the models fit, three do not. */
  const MEMORY = 170 * MIB;
  const apply = async (...models: string[]): Promise<void> => {
    for (const model of ['a', 'b', 'c'])
      if (models.includes(model))
        await workspace.write(`${model}.yaml`, tenantManifest(`on-${model}`, { modelRef: { name: model } }));
      else await workspace.remove(`${model}.yaml`).catch(() => undefined);
    await standalone?.refresh();
  };

  test('refuses a model that does not fit beside those promised, and exchanges the least recently promised for one that comes', async () => {
    for (const name of ['a', 'b', 'c'])
      await workspace.write(
        `model-${name}.yaml`,
        await workspace.model(name, heavyNetwork(WEIGHTS, ['n', 3, 8, 8]), { maxBatchSize: 2 }),
      );
    await apply('a', 'b');
    const { url, devices } = await start(1, MEMORY);
    const { status } = devices.units[0]!.keeper.profile!;
    for (const { memoryBytes } of status!.models!) {
      expect(memoryBytes).toBeGreaterThanOrEqual(WEIGHTS);
      expect(memoryBytes).toBeLessThan(1.3 * WEIGHTS);
    }
    expect(status!.device!.memoryBytes).toBe(MEMORY);
    for (const { batches } of status!.categories!) expect(batches.at(-1)!.memoryBytes).toBeLessThan(0.3 * WEIGHTS);
    expect([verdict('on-a').admitted, verdict('on-b').admitted]).toEqual([true, true]);
    for (const name of ['a', 'b']) expect((await inferJson(url, `on-${name}`, {})).status).toBe(200);

    await apply('a', 'b', 'c');
    expect(verdict('on-c')).toMatchObject({ admitted: false, reason: 'InsufficientMemory' });
    expect(verdict('on-c').message).toMatch(
      /^edge: its model needs \d+Mi of device memory and \d+Mi are left beside what is promised; it may fit when other tenants leave/,
    );

    // `a` is the last that anybody was promised, though the first to be loaded.
    await apply('a');
    lines = [];
    await apply('a', 'c');
    expect(verdict('on-c').admitted).toBe(true);
    expect([said('model unloaded'), said('model loaded')]).toEqual([['b'], ['c']]);
    for (const name of ['a', 'c']) expect((await inferJson(url, `on-${name}`, {})).status).toBe(200);
    lines = [];
    await apply('c');
    await apply('b');
    expect([said('model unloaded'), said('model loaded')]).toEqual([['a'], ['b']]);
    expect((await inferJson(url, 'on-b', {})).status).toBe(200);

    // A model whose tenants go in the same breath as another's come.
    lines = [];
    await apply('a', 'c');
    expect([verdict('on-a').admitted, verdict('on-c').admitted]).toEqual([true, true]);
    expect([said('model unloaded'), said('model loaded')]).toEqual([['b'], ['a']]);
    for (const name of ['a', 'c']) expect((await inferJson(url, `on-${name}`, {})).status).toBe(200);
  });

  test('that holds no frame of a model makes that model unavailable, with why, and no other', async () => {
    await workspace.write('model-a.yaml', await workspace.model('a', heavyNetwork(WEIGHTS, ['n', 3, 8, 8])));
    await workspace.write('model-d.yaml', await workspace.model('d', heavyNetwork(2 * MEMORY, ['n', 3, 8, 8])));
    await workspace.write('d.yaml', tenantManifest('on-d', { modelRef: { name: 'd' } }));
    await apply('a');
    await start(1, MEMORY);
    expect(verdict('on-a').admitted).toBe(true);
    // A slow disk may take longer than a file is waited for.
    for (let i = 0; i < 60 && verdict('on-d').message.includes('is being fetched'); i++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      await standalone!.refresh();
    }
    expect(verdict('on-d').reason).toBe('ModelUnavailable');
    expect(verdict('on-d').message).toMatch(/model "d" needs 341Mi of the 170Mi of device memory/);
  });
});

describe('a profile', () => {
  const SHAPE = [3, 16, 16];
  const ELEMENTS = 3 * 16 * 16;
  const MOST = 16;
  beforeEach(async () => {
    const echo = identityNetwork('float32', ['n', 3, 'h', 'w']);
    await workspace.write('model.yaml', await workspace.model('echo', echo, { shapes: [SHAPE], maxBatchSize: MOST }));
  });

  test('shows where E(n) steps up', async () => {
    // 1 to 5 frames in one wave, 6 to 10 in two, 11 to 15 in three, 16 in four.
    initial.set(0, { input: 'in', waves: { elements: 5 * ELEMENTS, ms: 8, fixedMs: 6 } });
    const { devices } = await start(1);
    const { batches } = devices.units[0]!.keeper.profile!.status!.categories![0]!;
    const table = new WcetTable(batches.map(({ size, p50Us }) => ({ batch: size, wcetUs: p50Us! })));
    for (const last of [5, 10, 15]) {
      if (last >= batches.at(-1)!.size) continue;
      expect([last, table.at(last) < 6000 + 8000 * (last / 5) + 4000]).toEqual([last, true]);
      expect([last + 1, table.at(last + 1) > 6000 + 8000 * (last / 5 + 1)]).toEqual([last + 1, true]);
    }
    expect(batches.at(-1)!.size).toBeGreaterThanOrEqual(10);
  });

  test('of a device that gets slower meanwhile says how unsteady it is, and holds for the slower', async () => {
    // Sizes 1, 2, 3, 4, 6, 8, 12 and 16 are run 834 times and some, then looked at again.
    initial.set(0, { input: 'in', nsPerElement: 800, tires: { afterRuns: 845, factor: 1.5 } });
    const { devices } = await start(1);
    const { status } = devices.units[0]!.keeper.profile!;
    expect(status!.unsteadiness).toBeGreaterThan(0.25);
    expect(status!.unsteadiness).toBeLessThan(3);
    // On a machine that others use meanwhile as well, that comes first.
    const reason: unknown = expect.stringMatching(/^(Unsteady|Contended)$/);
    expect(status!.conditions).toEqual([expect.objectContaining({ type: 'Profiled', status: 'True', reason })]);
    for (const { size, wcetUs } of status!.categories![0]!.batches)
      expect(wcetUs).toBeGreaterThan(1.2 * size * 0.8 * ELEMENTS * 1.4);
    expect(status!.profilingSeconds).toBeGreaterThan(1);
  });
});

describe('two devices', () => {
  const SHAPE = [3, 16, 16];
  const PERIOD_MS = 66;
  const frame = { shape: [1, ...SHAPE], data: Array<number>(3 * 16 * 16).fill(0.5) };
  const answers = new Map<string, number[]>();

  function camera(tenant: string, periodMs = PERIOD_MS): void {
    answers.set(tenant, []);
    const send = async (): Promise<void> => {
      const response = await inferJson(standalone!.url, tenant, frame);
      answers.get(tenant)!.push(response.status);
      await response.arrayBuffer();
    };
    cameras.add(send, periodMs);
  }
  async function tenants(count: number, more: object = {}, maxBatchSize = 2): Promise<void> {
    await workspace.write(
      'model.yaml',
      await workspace.model('echo', identityNetwork('float32', ['n', 3, 'h', 'w']), {
        shapes: [SHAPE],
        maxBatchSize,
      }),
    );
    for (let i = 0; i < count; i++)
      await workspace.write(
        `t${i}.yaml`,
        tenantManifest(`t${i}`, {
          inputShape: SHAPE,
          framesPerSecond: 1000 / PERIOD_MS,
          jitter: '60ms',
          deadline: '400ms',
          ...more,
        }),
      );
  }
  const placed = ({ schedule }: DevicePromise): number =>
    schedule.categories.reduce((sum, { tenants: all }) => sum + all.length, 0);
  const admitted = (): string[] =>
    standalone!.decision.verdicts.filter((each) => each.admitted).map(({ name }) => name);

  test('of unequal speed: each is promised what it can do, tight deadlines go to the fast one, and all are met', async () => {
    // What receiving takes, of one loop for both devices, must not be what is short.
    await tenants(16, { framesPerSecond: 10, jitter: '20ms', deadline: '1s', frames: { encoding: 'JSON' } });
    // One frame alone takes the slow device longer than this, and the fast one much shorter.
    const tight = { modelRef: { name: 'large' }, inputShape: [3, 48, 48], framesPerSecond: 1, deadline: '400ms' };
    await workspace.write(
      'a-tight.yaml',
      tenantManifest('tight', { ...tight, jitter: '10ms', frames: { encoding: 'Tensor' } }),
    );
    const large = identityNetwork('float32', ['n', 3, 'h', 'w']);
    await workspace.write(
      'large.yaml',
      await workspace.model('large', large, { shapes: [[3, 48, 48]], maxBatchSize: 1 }),
    );
    initial.set(0, { input: 'in', nsPerElement: 60_000 });
    initial.set(1, { input: 'in', nsPerElement: 10_000 });
    const { devices, decision } = await start(2);
    expect(devicesOf('tight')).toEqual([1]);
    const [slow, fast] = [0, 1].map((index) => decision.devices.find(({ schedule }) => schedule.device === index)!);
    if (placed(slow!) === 0 || placed(fast!) <= placed(slow!)) throw new Error(told());
    for (const { utilization } of [slow!, fast!]) expect(utilization).toBeLessThan(1);
    expect(admitted().length).toBeLessThan(17);

    const served = admitted().filter((name) => name !== 'tight');
    for (const tenant of served) camera(tenant, 100);
    await new Promise((resolve) => setTimeout(resolve, 8000));
    await cameras.stop();
    await until(() => devices.inFlight === 0, 5000);
    const books = served.map((name) => devices.books().get(`default/${name}`)!);
    const sum = (pick: (book: (typeof books)[number]) => number): number =>
      books.reduce((all, each) => all + pick(each), 0);
    expect(sum(({ answered }) => answered)).toBeGreaterThan(served.length * 60);
    expect(sum(({ misses }) => misses)).toBeLessThan(0.02 * sum(({ answered }) => answered));
    const [first, second] = devices.units.map(({ service }) => service.books);
    expect(Math.min(first!.jobs, second!.jobs)).toBeGreaterThan(50);
  });

  test('answer what nobody was promised together, where the tenant may be split', async () => {
    await tenants(1, { streams: 201, placement: { allowSplit: true } });
    for (const device of [0, 1]) initial.set(device, { input: 'in', nsPerElement: 20_000 });
    const { url, devices } = await start(2);
    expect(verdict('t0')).toMatchObject({
      admitted: false,
      placements: [
        { device: 0, streams: 101, promised: false },
        { device: 1, streams: 100, promised: false },
      ],
    });
    const statuses = await Promise.all(
      Array.from({ length: 8 }, async () => (await inferJson(url, 't0', frame)).status),
    );
    expect(statuses).toEqual(Array(8).fill(200));
    for (const { service } of devices.units) expect(service.books.jobs).toBeGreaterThan(1);
    expect(devices.books().get('default/t0')!.spareFrames).toBe(8);
  });

  test('of which one vanishes: its tenants move where they fit or are told why, the other’s go on undisturbed, and all return with it', async () => {
    await tenants(10);
    for (const device of [0, 1]) initial.set(device, { input: 'in', nsPerElement: 12_000 });
    const { devices } = await start(2);
    const everybody = admitted();
    const stay = everybody.filter((name) => devicesOf(name).includes(0));
    const lose = everybody.filter((name) => devicesOf(name).includes(1));
    if (Math.min(stay.length, lose.length) < 2) throw new Error(told());
    for (const tenant of stay) camera(tenant);
    await new Promise((resolve) => setTimeout(resolve, 1000));

    await inject(1, { absent: true });
    const victim = devices.units[1]!.service;
    process.kill(victim.device.pid, 'SIGKILL');
    await until(() => !victim.ready, 2000);
    expect((await inferJson(standalone!.url, lose[0]!, frame)).status).toBe(503);
    expect((await fetch(`${standalone!.url}/readyz`)).status).toBe(200);
    await until(
      () =>
        lines.some(({ message }) => message === 'device gone; its tenants are moved where they fit, trying goes on'),
      30_000,
    );
    await until(() => lose.every((name) => !verdict(name).admitted || devicesOf(name).join() === '0'), 10_000);
    for (const name of lose.filter((each) => !verdict(each).admitted))
      expect(verdict(name).message).toMatch(/the device is gone: |utilization|would finish|receiving frames/);
    for (const name of stay) {
      expect(verdict(name).admitted).toBe(true);
      expect(answers.get(name)).not.toContain(503);
      expect(answers.get(name)!.filter((status) => status === 200).length).toBeGreaterThan(200);
      // Of what the machine's other work holds up, nothing is claimed.
      const { misses, answered } = devices.books().get(`default/${name}`)!;
      expect(misses).toBeLessThan(0.02 * answered);
    }

    await inject(1, initial.get(1)!);
    await until(() => victim.ready, 40_000);
    await until(() => everybody.every((name) => verdict(name).admitted), 10_000);
    for (const tenant of everybody) expect((await inferJson(standalone!.url, tenant, frame)).status).not.toBe(503);
  }, 150_000);

  test('of which one does not work at the start: the other serves', async () => {
    await tenants(2);
    initial.set(1, { absent: true });
    await start(2);
    expect(admitted()).toEqual(['t0', 't1']);
    expect([devicesOf('t0'), devicesOf('t1')]).toEqual([[0], [0]]);
    expect((await inferJson(standalone!.url, 't0', frame)).status).toBe(200);
  }, 90_000);
});
