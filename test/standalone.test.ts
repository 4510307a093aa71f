import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { seededRandom } from '../sched/arrivals.js';
import { until } from './support/api-server.js';
import type { Running } from './support/cli.js';
import { background, childrenOf, deeprt, inferJson, standalone, standaloneAnew, start } from './support/cli.js';
import { identityNetwork, operatorNetwork, scalingNetwork, valueInfo } from './support/onnx.js';
import { Stalls, wallMs } from './support/stalls.js';
import type { Workspace } from './support/workspace.js';
import { echoNetwork, modelManifest, newWorkspace, tenantManifest } from './support/workspace.js';

/** `deeprt standalone` as a process, over real files. */

/** KILLS=50 makes a minute of it. */
const KILLS = Number(process.env['KILLS'] ?? 8);

let workspace: Workspace;
let running: Running | undefined;

beforeEach(async () => {
  workspace = await newWorkspace();
});
afterEach(async () => {
  await running?.kill('SIGKILL');
  running = undefined;
  await workspace.dispose();
});

const status = async (tenant: string): Promise<number> => (await inferJson(running!.url, tenant, {})).status;
const verdictOf = (tenant: string, since = 0) =>
  running!.logged((line) => line['tenant'] === `default/${tenant}`, since);

describe('models that cannot be used concern their own tenants only', () => {
  test('each failure is a clear reason, and the good tenant is served', async () => {
    const echo = await workspace.model('echo', echoNetwork());
    const networks: [string, object, RegExp][] = [
      ['missing', modelManifest('missing', 'a'.repeat(64)), /there is no file .*missing\.onnx \(spec\.source\)/],
      [
        'altered',
        {
          ...(await workspace.model('altered', echoNetwork())),
          spec: { ...(echo as { spec: object }).spec, source: 'file:../altered.onnx', sha256: 'b'.repeat(64) },
        },
        /has sha256 [0-9a-f]{64}, but spec\.sha256 says bbbb/,
      ],
      ['text', await workspace.model('text', new TextEncoder().encode('not a network')), /its file is no ONNX network/],
      [
        'bytes',
        await workspace.model('bytes', identityNetwork('uint8', ['n', 3, 8, 8]), {
          input: { name: 'in', elementType: 'float32' },
        }),
        /its input "in" is of type uint8, not float32 \(spec\.input\.elementType\)/,
      ],
      [
        'flat',
        await workspace.model('flat', identityNetwork('float32', ['n', 192])),
        /its input "in" is \[n, 192\]: frames of 3x8x8 \(spec\.shapes\) do not fit/,
      ],
      [
        'named',
        await workspace.model('named', echoNetwork(), { input: { name: 'x' } }),
        /it has no input "x" \(spec\.input\.name\)/,
      ],
      [
        'large',
        await workspace.model('large', identityNetwork('float32', ['n', 3, 16, 16])),
        /its input "in" is \[n, 3, 16, 16\]: frames of 3x8x8 in NCHW do not fit; correct spec\.shapes/,
      ],
    ];
    await workspace.write('models.yaml', echo, ...networks.map(([, model]) => model));
    await workspace.write(
      'tenants.yaml',
      tenantManifest('good'),
      ...networks.map(([name]) => tenantManifest(`on-${name}`, { modelRef: { name } })),
    );
    running = await standalone(workspace);
    expect(await status('good')).toBe(200);
    for (const [name, , message] of networks) {
      expect(await verdictOf(`on-${name}`)).toMatchObject({
        admitted: false,
        reason: 'ModelUnavailable',
        message: expect.stringMatching(message) as unknown,
      });
      expect(await status(`on-${name}`)).toBe(404);
    }
  });
});

describe('the folder is followed', () => {
  test('tenants come, change, wait and go; a file that breaks keeps its last good content', async () => {
    await workspace.write('models.yaml', await workspace.model('echo', echoNetwork()));
    await workspace.write('a.yaml', tenantManifest('a'));
    running = await standalone(workspace);
    expect(await status('a')).toBe(200);

    await workspace.write('b.yaml', tenantManifest('b'));
    expect(await verdictOf('b')).toMatchObject({ admitted: true });
    expect(await status('b')).toBe(200);

    let seen = running.log().length;
    await workspace.writeText('a.yaml', 'kind: [');
    expect((await running.logged(({ msg }) => msg.startsWith('manifest refused'), seen))['problem']).toMatch(
      /a\.yaml:1: not YAML/,
    );
    await setTimeout(100);
    expect(await status('a')).toBe(200);

    // A changed request that cannot fit: the one before goes on.
    seen = running.log().length;
    await workspace.write(
      'a.yaml',
      tenantManifest('a', { streams: 10_000, framesPerSecond: 1000, jitter: '1ms', deadline: '20ms' }),
    );
    const kept = await verdictOf('a', seen);
    expect(kept).toMatchObject({
      admitted: false,
      message: expect.stringMatching(/the one before goes on/) as unknown,
    });
    expect(await status('a')).toBe(200);

    seen = running.log().length;
    await workspace.write('a.yaml', tenantManifest('a', { deadline: '300ms' }));
    await running.logged((line) => line['tenant'] === 'default/a' && line['reason'] === 'Admitted', seen);
    const answer = (await (await inferJson(running.url, 'a', {})).json()) as { parameters: { deadline_us: number } };
    expect(answer.parameters.deadline_us).toBe(300_000);

    await workspace.remove('b.yaml');
    await running.logged(({ msg, tenant }) => msg === 'tenant withdrawn' && tenant === 'default/b');
    expect(await status('b')).toBe(404);
    expect(await status('a')).toBe(200);
  });

  test('a change while the machine is being measured, before the folder is watched, is found', async () => {
    await workspace.write('models.yaml', await workspace.model('echo', echoNetwork()));
    await workspace.write('a.yaml', tenantManifest('a'));
    const starting = standaloneAnew(workspace);
    for (let waits = 0; waits < 1000 && !existsSync(workspace.state); waits++) await setTimeout(5); // made when the folder has been read
    await workspace.write('b.yaml', tenantManifest('b'));
    running = await starting;
    expect(await verdictOf('b')).toMatchObject({ admitted: true });
  });

  test('a model that comes later is measured, and its tenant admitted', async () => {
    await workspace.write('a.yaml', tenantManifest('a'));
    running = await standalone(workspace);
    expect(await verdictOf('a')).toMatchObject({ admitted: false, reason: 'ModelNotFound' });
    const seen = running.log().length;
    await workspace.write('models.yaml', await workspace.model('echo', echoNetwork()));
    expect(await verdictOf('a', seen)).toMatchObject({ admitted: true });
    expect(await status('a')).toBe(200);
  });
});

describe('a restart', () => {
  test('keeps what was promised and measured, although the order of the files would decide otherwise', async () => {
    await workspace.write('models.yaml', await workspace.model('echo', echoNetwork()));
    running = await standalone(workspace);
    await running.kill('SIGTERM');
    // Two tenants that each want most of what this machine can do.
    await workspace.write('z.yaml', tenantManifest('first', { streams: 10_000, jitter: '1ms' }));
    const profile = join(workspace.state, 'profiles', `${hostname().toLowerCase()}-0.yaml`);
    const { stdout } = await deeprt('plan', '-f', workspace.dir, '--profile', profile, '-o', 'json');
    const most = (JSON.parse(stdout) as { tenants: { offer: { streams: number } }[] }).tenants[0]!.offer.streams;
    const spec = { streams: Math.ceil(most * 0.6), jitter: '1ms' };

    await workspace.write('z.yaml', tenantManifest('first', spec));
    running = await standalone(workspace);
    expect(await verdictOf('first')).toMatchObject({ admitted: true });
    await running.kill('SIGKILL'); // a crash, not a farewell

    await workspace.write('a.yaml', tenantManifest('second', spec));
    running = await standalone(workspace);
    expect(running.log()).toContainEqual(expect.objectContaining({ msg: 'profile ready', measured: false }));
    expect(await verdictOf('first')).toMatchObject({ admitted: true });
    expect(await verdictOf('second')).toMatchObject({ admitted: false });
    expect([await status('first'), await status('second')]).toEqual([200, 200]); // whoever is not admitted is served in spare time
  });

  test('a stored profile of a changed network is measured anew', async () => {
    await workspace.write('models.yaml', await workspace.model('echo', echoNetwork()));
    await workspace.write('a.yaml', tenantManifest('a'));
    running = await standalone(workspace);
    await running.kill('SIGTERM');
    await workspace.write('models.yaml', await workspace.model('echo', identityNetwork('float32', ['batch', 3, 8, 8])));
    running = await standalone(workspace);
    expect(running.log()).toContainEqual(expect.objectContaining({ msg: 'profile ready', measured: true }));
  });
});

describe('a newer version of a model that is served', () => {
  const SHAPE = ['n', 3, 8, 8];
  let timers: NodeJS.Timeout[] = [];
  let stalls: Stalls;
  beforeEach(() => {
    stalls = new Stalls();
  });
  afterEach(async () => {
    for (const timer of timers) clearInterval(timer);
    timers = [];
    await stalls.stop();
  });

  interface Sent {
    readonly status: number;
    readonly value: number;
    readonly inTime: boolean;
  }

  /** Sends frames of ones until stopped; one that is late beside a stall of the machine counts as in time. */
  function camera(tenant: string, periodMs: number): () => Promise<Sent[]> {
    const sent: Promise<Sent>[] = [];
    const send = async (): Promise<Sent> => {
      const sentMs = wallMs();
      const response = await inferJson(running!.url, tenant, { data: Array(192).fill(1) });
      const body = (await response.json()) as {
        outputs?: { data: number[] }[];
        parameters?: { deadline_met: boolean };
      };
      return {
        status: response.status,
        value: body.outputs?.[0]!.data[0] ?? NaN,
        inTime: body.parameters?.deadline_met === true || stalls.since(sentMs),
      };
    };
    const timer = setInterval(() => sent.push(send()), periodMs);
    timers.push(timer);
    return () => {
      clearInterval(timer);
      return Promise.all(sent);
    };
  }
  const serving = (since: number): Promise<object> =>
    running!.logged(({ msg }) => msg.includes('newer version of the model serves'), since, 60_000);

  beforeEach(async () => {
    await workspace.write('other.yaml', await workspace.model('other', identityNetwork('float32', SHAPE)));
    await workspace.write('model.yaml', await workspace.model('net', scalingNetwork(2, SHAPE)));
    const terms = { deadline: '500ms', framesPerSecond: 20, jitter: '40ms', streams: 2 };
    await workspace.write(
      'tenants.yaml',
      tenantManifest('own', { modelRef: { name: 'net' }, ...terms }),
      tenantManifest('neighbour', { modelRef: { name: 'other' }, ...terms }),
    );
    running = await standalone(workspace);
  });

  test('takes its place when it is measured, and no frame is lost', async () => {
    const stops = [camera('own', 50), camera('neighbour', 50)];
    const since = running!.log().length;
    await workspace.write('model.yaml', await workspace.model('net', scalingNetwork(3, SHAPE)));
    await serving(since);
    await setTimeout(1000);
    const [own, neighbour] = await Promise.all(stops.map((stop) => stop()));
    expect([...own!, ...neighbour!].filter(({ status, inTime }) => status !== 200 || !inTime)).toEqual([]);
    const values = own!.map(({ value }) => value);
    expect([values[0], values.at(-1)]).toEqual([2, 3]);
    expect(values).toEqual(values.toSorted());
  }, 90_000);

  test('that is far slower costs its own tenants their promise, and the neighbour nothing', async () => {
    const stops = [camera('own', 50), camera('neighbour', 50)];
    const since = running!.log().length;
    await workspace.write(
      'model.yaml',
      await workspace.model('net', scalingNetwork(3, SHAPE, 800), { maxBatchSize: 1 }),
    );
    await running!.logged(({ tenant, admitted }) => tenant === 'default/own' && admitted === false, since, 90_000);
    await setTimeout(1000);
    const [own, neighbour] = await Promise.all(stops.map((stop) => stop()));
    const late = neighbour!.filter(({ status, inTime }) => status !== 200 || !inTime);
    expect(late.length).toBeLessThanOrEqual(Math.max(2, 0.01 * neighbour!.length));
    expect(own!.filter(({ value }) => value === 2).length).toBeGreaterThan(0.5 * own!.length);
  }, 120_000);

  test('that cannot be loaded is told of, and the one before goes on', async () => {
    const since = running!.log().length;
    const shape = ['n', 3, 8, 8];
    const [input, output] = ['in', 'out'].map((name) => valueInfo(name, 1, shape));
    const nodes = [{ opType: 'NoSuchOperator', input: ['in'], output: ['out'] }];
    await workspace.write('model.yaml', await workspace.model('net', operatorNetwork([input!], [output!], nodes)));
    const told = await running!.logged(
      ({ msg, model }) => msg === 'model cannot be measured' && model === 'net',
      since,
      60_000,
    );
    expect(told['error']).toMatch(/NoSuchOperator/);
    await setTimeout(500);
    const stop = camera('own', 50);
    await setTimeout(1000);
    expect((await stop()).every(({ status, value }) => status === 200 && value === 2)).toBe(true);
  }, 90_000);
});

test('a device killed again and again while it starts, loads and is measured ends nobody’s agent', async () => {
  await workspace.write('model.yaml', await workspace.model('echo', echoNetwork()));
  await workspace.write('tenant.yaml', tenantManifest('gate'));
  const { dir, state } = workspace;
  const random = seededRandom(5);
  const process = background('standalone', '-f', dir, '--state', state, '--listen', '127.0.0.1:0');
  try {
    for (let kills = 0; kills < KILLS;) {
      await setTimeout(100 + 1200 * random());
      if (process.ended()) break;
      for (const device of await childrenOf(process.pid, 'device/thread/process')) {
        global.process.kill(device, 'SIGKILL');
        kills++;
      }
    }
    const { url } = await process.logged(({ msg }) => msg === 'listening', 0, 60_000);
    running = { ...process, url: url as string };
    expect(await status('gate')).toBe(200);
  } finally {
    await process.kill('SIGKILL');
  }
}, 120_000);

test('a state folder that cannot be written to is told before anything is measured', async () => {
  await workspace.write('model.yaml', await workspace.model('echo', echoNetwork()));
  const file = join(workspace.root, 'file');
  await writeFile(file, '');
  const { code, stderr } = await deeprt('standalone', '-f', workspace.dir, '--state', join(file, 'state'));
  expect(code).toBe(2);
  expect(stderr).toMatch(/--state .*state cannot be written to: .*; give a folder that this user may write to/);
});

test('SIGTERM answers what was accepted, reports and ends with code 0', async () => {
  // Slow enough for frames to be under way still when the signal comes.
  const slow = scalingNetwork(2, ['n', 3, 8, 8], 400);
  await workspace.write('models.yaml', await workspace.model('echo', slow, { maxBatchSize: 1 }));
  await workspace.write(
    'a.yaml',
    tenantManifest('a', { streams: 3, framesPerSecond: 1, jitter: '100ms', deadline: '900ms' }),
    tenantManifest('no', { deadline: '1ms', beyondPromise: 'Refuse' }),
  );
  running = await standalone(workspace, '--report', 'json');
  const answers = [1, 2, 3].map(() => status('a'));
  const sums = /^deeprt_(?:queue_depth|frames_total)\{.*\} (\d+)$/gm;
  await until(async () => {
    const metrics = await (await fetch(`${running!.url}/metrics`)).text();
    return [...metrics.matchAll(sums)].reduce((sum, [, count]) => sum + Number(count), 0) === 3;
  }, 'the frames to be accepted');
  const ended = running.kill('SIGTERM');
  expect(await Promise.all(answers)).toEqual([200, 200, 200]);
  const { code, stdout } = await ended;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    tenants: [
      { name: 'a', admitted: true, frames: { onTime: 3 }, misses: 0, deadlineMs: 900 },
      { name: 'no', admitted: false, reason: 'DeadlineShorterThanWCET' },
    ],
  });
});

test('deeprt load counts every frame it sent', async () => {
  await workspace.write('models.yaml', await workspace.model('echo', echoNetwork()));
  await workspace.write(
    'a.yaml',
    tenantManifest('a', { streams: 2 }),
    tenantManifest('no', { deadline: '1ms', beyondPromise: 'Refuse' }),
  );
  running = await standalone(workspace);
  const { code, stdout } = await deeprt(
    'load',
    '-f',
    workspace.dir,
    '--target',
    running.url,
    '--duration',
    '2s',
    '-o',
    'json',
  );
  expect(code).toBe(0);
  interface Counts {
    name: string;
    served: boolean;
    sent: number;
    answered: number;
    refused: number;
    dropped: number;
    failed: number;
    timedOut: number;
  }
  const [a, no] = (JSON.parse(stdout) as { tenants: [Counts, Counts] }).tenants;
  expect(no).toMatchObject({ name: 'no', served: false, sent: 0 });
  expect(a.sent).toBe(80);
  expect(a.answered + a.refused + a.dropped + a.failed + a.timedOut).toBe(a.sent);
  expect(a.failed).toBe(0);
  expect(a.answered).toBeGreaterThan(a.sent / 2);
});

describe('commands without a device', () => {
  const profile = {
    apiVersion: 'deeprt.dev/v1alpha1',
    kind: 'GPUProfile',
    metadata: { name: 'edge-1-0' },
    spec: { nodeName: 'edge-1', device: 0 },
    status: {
      categories: [
        { model: 'echo', shape: [3, 8, 8], batches: [1, 2, 4].map((size) => ({ size, wcetUs: 1000 * size + 2000 })) },
      ],
    },
  };
  let file: string;
  const save = async (...tenants: object[]): Promise<void> => {
    file = join(workspace.root, 'profile.json');
    await writeFile(file, JSON.stringify(profile));
    await workspace.write('all.yaml', modelManifest('echo', 'a'.repeat(64)), ...tenants);
  };
  const plan = (...args: string[]) => deeprt('plan', '-f', workspace.dir, '--profile', file, ...args);

  test('plan prints the fixed JSON, and ends with 3 when not all are admitted', async () => {
    await save(tenantManifest('a', { jitter: '5ms' }), tenantManifest('b', { jitter: '5ms', streams: 100 }));
    const { code, stdout } = await plan('-o', 'json');
    expect(code).toBe(3);
    const { tenants } = JSON.parse(stdout) as { tenants: Record<string, unknown>[] };
    for (const tenant of tenants)
      expect(Object.keys(tenant).sort()).toEqual([
        'admitted',
        'message',
        'name',
        'namespace',
        'offer',
        'placements',
        'promised',
        'reason',
        'refusals',
        'utilization',
      ]);
    expect(tenants[0]).toMatchObject({
      namespace: 'default',
      name: 'a',
      admitted: true,
      reason: 'Admitted',
      offer: null,
      placements: [{ node: 'edge-1', device: 0, streams: 1, category: 'echo@3x8x8', promised: true }],
    });
    expect(tenants[1]).toMatchObject({
      admitted: false,
      reason: 'UtilizationExceeded',
      placements: [{ node: 'edge-1', promised: false }],
      offer: { streams: expect.any(Number) as unknown },
    });
    const placement = (tenants[0]!['placements'] as Record<string, number>[])[0]!;
    expect(placement['gapUs']).toBeGreaterThan(0);
    expect(placement['gapUs']).toBeLessThan(400_000);
    expect(placement['quota']).toBeGreaterThan(0);
  });

  test('plan ends with 0 when all are admitted, and explains itself in a table', async () => {
    await save(tenantManifest('a'));
    const { code, stdout } = await plan();
    expect(code).toBe(0);
    expect(stdout).toMatch(/default\/a +yes +Admitted +edge-1\/0/);
    expect(stdout).toMatch(/edge-1\/0: \d+\.\d% promised/);
  });

  test('simulate gives the same for the same seed, another for another, and no misses for what was admitted', async () => {
    await save(
      ...['a', 'b', 'c'].map((name) => tenantManifest(name, { streams: 3, jitter: '5ms', deadline: '100ms' })),
    );
    const run = async (seed: string): Promise<string> =>
      (
        await deeprt(
          'simulate',
          '-f',
          workspace.dir,
          '--profile',
          file,
          '--seed',
          seed,
          '--duration',
          '20s',
          '-o',
          'json',
        )
      ).stdout;
    const [first, again, other] = await Promise.all([run('1'), run('1'), run('2')]);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    const { tenants } = JSON.parse(first) as {
      tenants: { admitted: boolean; frames: number; misses: number; latencyMs: { max: number } }[];
    };
    for (const { admitted, frames, misses, latencyMs } of tenants) {
      expect(admitted).toBe(true);
      expect(frames).toBe(1200);
      expect(misses).toBe(0);
      expect(latencyMs.max).toBeLessThanOrEqual(100);
    }
  });

  test('simulate --fault injects overruns, drift and hangs; adaptation has fewer misses', async () => {
    await save(...['a', 'b'].map((name) => tenantManifest(name, { streams: 18, jitter: '5ms', deadline: '100ms' })));
    interface Simulated {
      readonly frames: number;
      readonly misses: number;
      readonly failed: number;
    }
    const run = async (...more: string[]): Promise<Simulated> => {
      const common = ['-f', workspace.dir, '--profile', file, '--duration', '20s', '-o', 'json'];
      const { stdout } = await deeprt('simulate', ...common, ...more);
      const { tenants } = JSON.parse(stdout) as { tenants: Simulated[] };
      const sum = (pick: (tenant: Simulated) => number): number => tenants.reduce((total, t) => total + pick(t), 0);
      return { frames: sum(({ frames }) => frames), misses: sum((t) => t.misses), failed: sum((t) => t.failed) };
    };
    const overrun = '--fault=overrun:factor=6,from=5s,for=2s';
    const [plain, adapted, drifted, hung] = await Promise.all([
      run(overrun, '--no-adaptation'),
      run(overrun),
      run('--fault=drift:factor=6,from=10s'),
      run('--fault=hang:from=3s', overrun),
    ]);
    expect(plain.misses).toBeGreaterThan(100);
    expect(adapted.misses).toBeLessThan(plain.misses);
    expect(drifted.misses).toBeGreaterThan(adapted.misses);
    expect(hung.failed).toBeGreaterThan(100);
    for (const { frames } of [plain, adapted, drifted, hung]) expect(frames).toBe(2 * 18 * 20 * 20);
  });

  test.each<[string, () => Promise<string[]>, RegExp]>([
    [
      'an unknown fault',
      async () => (await save(tenantManifest('a')), ['--fault', 'flood']),
      /a fault is overrun, drift, hang/,
    ],
    [
      'a field that a fault does not have',
      async () => (await save(tenantManifest('a')), ['--fault', 'drift:for=2s']),
      /drift knows from, factor, category, not "for"/,
    ],
  ])('simulate refuses %s', async (_what, args, message) => {
    const { code, stderr } = await deeprt('simulate', '-f', workspace.dir, '--profile', file, ...(await args()));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  test.each<[string, () => Promise<string[]>, RegExp]>([
    [
      'malformed YAML',
      async () => (await workspace.writeText('x.yaml', 'a: [1'), ['-f', workspace.dir]),
      /x\.yaml:\d+: not YAML/,
    ],
    [
      'an unknown kind',
      async () => (await workspace.write('x.yaml', { ...tenantManifest('a'), kind: 'Pod' }), ['-f', workspace.dir]),
      /kind: "Pod" is unknown/,
    ],
    [
      'two tenants of one name',
      async () => (
        await workspace.write('x.yaml', tenantManifest('twin'), tenantManifest('twin')),
        ['-f', workspace.dir]
      ),
      /InferenceTenant\/default\/twin: metadata\.name: already defined at .*x\.yaml:1/,
    ],
    [
      'a folder that is not there',
      () => Promise.resolve(['-f', join(workspace.root, 'nowhere')]),
      /cannot read .*nowhere/,
    ],
    [
      'a profile that is none',
      async () => (
        await workspace.writeText('x.yaml', ''),
        ['-f', workspace.dir, '--profile', join(workspace.root, 'no.yaml')]
      ),
      /cannot read .*no\.yaml/,
    ],
  ])('bad input ends with 2 and says what and where: %s', async (_what, prepare, message) => {
    await save(tenantManifest('a'));
    const { code, stderr, stdout } = await deeprt('plan', '--profile', file, ...(await prepare()));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
  });

  test('bad arguments end with 2, help with 0', async () => {
    expect(await deeprt('plan')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/required option/) as unknown,
    });
    expect(await deeprt('standalone', '-f', workspace.dir, '--duration', 'soon')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/is not a duration/) as unknown,
    });
    expect(await deeprt('frobnicate')).toMatchObject({ code: 2 });
    expect(await deeprt('standalone', '--help')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/SIGTERM/) as unknown,
    });
  });

  test('output that nobody reads to the end is no error', async () => {
    const { child, result } = start(['--help']);
    child.stdout!.destroy();
    await once(child, 'close');
    expect(result()).toMatchObject({ code: 0, stderr: '' });
  });

  test('standalone refuses to start on bad manifests, listing all of them', async () => {
    await workspace.write('x.yaml', tenantManifest('a', { streams: -1 }), tenantManifest('b', { deadlin: '1s' }));
    const { code, stderr } = await deeprt(
      'standalone',
      '-f',
      workspace.dir,
      '--state',
      workspace.state,
      '--listen',
      '127.0.0.1:0',
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/spec\.streams: -1 must be >= 1[^]*spec\.deadlin: unknown field/);
  });

  test('profile writes a profile that plan takes', async () => {
    await workspace.write('x.yaml', await workspace.model('echo', echoNetwork()), tenantManifest('a'));
    const out = join(workspace.root, 'measured.yaml');
    expect(await deeprt('profile', '-f', workspace.dir, '-o', out, '--node-name', 'here')).toMatchObject({ code: 0 });
    const { code, stdout } = await deeprt('plan', '-f', workspace.dir, '--profile', out, '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({ tenants: [{ admitted: true, placements: [{ node: 'here' }] }] });
    expect(code).toBe(0);
  });

  test('profile ends with 2 when a model cannot be had', async () => {
    await workspace.write('x.yaml', modelManifest('echo', 'a'.repeat(64)));
    expect(await deeprt('profile', '-f', workspace.dir, '-o', '-')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/there is no file/) as unknown,
    });
  });
});
