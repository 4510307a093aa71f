import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { keep, kept } from '../agent/disk/kept-file.js';
import { until } from './support/api-server.js';
import { childrenOf, deeprt, inferJson } from './support/cli.js';
import type { RunningAgent, Schedule } from './support/cluster.js';
import { GROUP, TestCluster } from './support/cluster.js';
import type { Faults } from './support/faulty-device.js';
import { identityNetwork } from './support/onnx.js';
import { Stalls, wallMs } from './support/stalls.js';
import { echoNetwork } from './support/workspace.js';

/** Real agents with real ONNX Runtime on a real API server, each with its node's own rights and the operator with its own. */

let cluster: TestCluster;
let agents: RunningAgent[];
beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.deploy();
  const network = echoNetwork();
  await writeFile(join(cluster.api.dir, 'echo.onnx'), network);
  await cluster.model('echo', createHash('sha256').update(network).digest('hex'), { source: 'file:echo.onnx' });
  for (const node of ['edge-1', 'edge-2']) await cluster.node(node);
  const rights = await cluster.file(
    'operator',
    await cluster.api.kubeconfigFor(await cluster.token('deeprt-operator')),
  );
  await cluster.operator('--kubeconfig', rights);
  agents = [await cluster.agent('edge-1'), await cluster.agent('edge-2')];
}, 120_000);
afterAll(() => cluster.stop());
afterEach(() =>
  until(async () => {
    const broken = await cluster.brokenPromises();
    if (broken.length > 0) throw new Error(broken.join('; '));
    return true;
  }, 'all promises to hold'),
);

/** The processes that an agent's devices run in, the first device's first. */
const devicesOf = ({ pid }: RunningAgent): Promise<number[]> => childrenOf(pid, 'agent/device/thread/process');

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

const profiled = (node: string, device = 0): Promise<void> =>
  until(async () => {
    const { body } = await cluster.api.request<{ status?: { categories?: object[] } }>(
      'GET',
      `${GROUP}/gpuprofiles/${node}-${device}`,
    );
    return (body.status?.categories ?? []).length > 0;
  }, `${node} to be profiled`);

const served = (name: string, withinMs?: number): Promise<void[]> =>
  Promise.all(
    (['Admitted', 'Programmed', 'Ready'] as const).map(async (type) => {
      await cluster.condition(name, type, 'True', undefined, withinMs);
    }),
  );

/** Sends frames as a camera does: on its own clock, whether or not answers come back. */
async function camera(
  url: string,
  tenant: string,
  frames: number,
  periodMs: number,
): Promise<{ answered: number; late: number; refused: number; failed: string[] }> {
  const result = { answered: 0, late: 0, refused: 0, failed: [] as string[] };
  const sent: Promise<void>[] = [];
  const stalls = new Stalls();
  for (let i = 0; i < frames; i++) {
    const sentMs = wallMs();
    sent.push(
      inferJson(url, tenant, {}).then(
        async (response) => {
          const body = (await response.json()) as { parameters?: { deadline_met?: boolean }; error?: string };
          if (response.status === 429) result.refused++;
          else if (response.status !== 200) result.failed.push(`${response.status} ${body.error ?? ''}`);
          else {
            result.answered++;
            if (body.parameters?.deadline_met === false && !stalls.since(sentMs)) result.late++;
          }
        },
        (error: unknown) => void result.failed.push(String(error)),
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, periodMs));
  }
  await Promise.all(sent);
  await stalls.stop();
  return result;
}

describe('an agent', () => {
  test('publishes its profile, owned by its Node, and says which models it has', async () => {
    await profiled('edge-1');
    const profile = await cluster.api.must<{ metadata: { ownerReferences: object[] }; status: object }>(
      'GET',
      `${GROUP}/gpuprofiles/edge-1-0`,
    );
    expect(profile.metadata.ownerReferences).toMatchObject([{ kind: 'Node', name: 'edge-1' }]);
    expect(profile.status).toMatchObject({
      device: { executionProvider: 'cpu' },
      models: [{ name: 'echo', ready: true }],
      categories: [{ model: 'echo', shape: [3, 8, 8] }],
      conditions: [{ type: 'Profiled', status: 'True' }],
    });
    await cluster.model('absent', 'd'.repeat(64), { source: 'file:absent.onnx' });
    await until(async () => {
      const { body } = await cluster.api.request<{ status?: { nodes?: { message?: string }[] } }>(
        'GET',
        `${GROUP}/inferencemodels/absent`,
      );
      return body.status?.nodes?.every(({ message }) => message?.includes('absent.onnx') === true) === true;
    }, 'the model to say where it cannot be loaded');
    await cluster.api.must('DELETE', `${GROUP}/inferencemodels/absent`);
  });

  test('measures again when somebody asks for that, and says so', async () => {
    const measuredAt = async (): Promise<string | undefined> =>
      (await cluster.api.must<{ status: { measuredAt?: string } }>('GET', `${GROUP}/gpuprofiles/edge-1-0`)).status
        .measuredAt;
    await profiled('edge-1');
    const before = await measuredAt();
    const { code, stdout } = await deeprt('reprofile', 'edge-1', '--kubeconfig', cluster.api.kubeconfig);
    expect([code, stdout]).toEqual([0, 'measured again: edge-1-0\n']);
    await until(async () => (await measuredAt()) !== before, 'the new profile');
    const { metadata } = await cluster.api.must<{ metadata: { annotations?: object } }>(
      'GET',
      `${GROUP}/gpuprofiles/edge-1-0`,
    );
    expect(metadata.annotations ?? {}).not.toHaveProperty(['deeprt.dev/measure-again']);
  }, 120_000);

  test('serves what it was programmed with, until it is withdrawn, and reports', async () => {
    await profiled('edge-2');
    await cluster.tenant('gate', { jitter: '50ms' });
    await served('gate');
    const { node } = (await cluster.getTenant('gate'))!.status!.placements![0]!;
    const agent = agents[['edge-1', 'edge-2'].indexOf(node)]!;
    expect(await camera(agent.url, 'gate', 100, 50)).toEqual({ answered: 100, late: 0, refused: 0, failed: [] });
    await until(async () => {
      const { status } = (await cluster.schedule(node))!;
      return (status?.tenants?.[0]?.framesPerSecond ?? 0) > 5;
    }, 'the live rate');
    const { status } = (await cluster.schedule(node))!;
    expect(status).toMatchObject({ endpoint: '192.0.2.1:8080', devices: [{ device: 0, misses: 0 }] });

    await cluster.deleteTenant('gate');
    await until(async () => (await cluster.getTenant('gate')) === undefined, 'the tenant to go');
    // When it is gone from the API no agent serves it any more.
    expect((await inferJson(agent.url, 'gate', {})).status).toBe(404);
  });

  test('writes at most one status in ten seconds while nothing changes', async () => {
    await cluster.tenant('steady', { jitter: '50ms' });
    await served('steady');
    const { node } = (await cluster.getTenant('steady'))!.status!.placements![0]!;
    const agent = agents[['edge-1', 'edge-2'].indexOf(node)]!;
    const versions = new Set<string>();
    const sending = camera(agent.url, 'steady', 240, 50);
    for (const deadline = Date.now() + 12_000; Date.now() < deadline;) {
      versions.add((await cluster.schedule(node))!.status!.reportedAt!);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await sending;
    expect(versions.size).toBeGreaterThan(1);
    expect(versions.size).toBeLessThanOrEqual(3);
    await cluster.deleteTenant('steady');
  }, 60_000);

  test('refuses a schedule that its own profile forbids, and goes on with the one before', async () => {
    await cluster.tenant('gate', { jitter: '50ms' });
    await served('gate');
    const { node } = (await cluster.getTenant('gate'))!.status!.placements![0]!;
    const agent = agents[['edge-1', 'edge-2'].indexOf(node)]!;
    const before = (await cluster.schedule(node))!;
    const devices = structuredClone(before.spec.devices!);
    devices[0]!.categories[0]!.tenants[0]!.streams = 9000;
    await cluster.api.must('PATCH', `${GROUP}/nodeschedules/${node}`, { spec: { devices } });
    await agent.logged(({ msg }) => msg.startsWith('schedule refused'));
    // The operator puts the record right again.
    await until(async () => {
      const { metadata, spec, status } = (await cluster.schedule(node))!;
      return (
        JSON.stringify(spec) === JSON.stringify(before.spec) &&
        status?.observedGeneration === metadata.generation &&
        status?.conditions?.find(({ type }) => type === 'Applied')?.status === 'True'
      );
    }, 'the record to be right again');
    expect(await camera(agent.url, 'gate', 20, 50)).toMatchObject({ answered: 20, failed: [] });
    await cluster.deleteTenant('gate');
  });

  test('may write what is its own node’s, and nothing else', async () => {
    const token = await cluster.token('deeprt-agent', 'edge-1');
    const unbound = await cluster.token('deeprt-agent');
    const report = { status: { endpoint: '192.0.2.66:1' } };
    const as = (who: string) => ({ token: who });
    const message = (answer: { body: unknown }): string => (answer.body as { message: string }).message;
    await until(async () => (await cluster.schedule('edge-2')) !== undefined, 'the other schedule');
    const own = await cluster.api.request('PATCH', `${GROUP}/nodeschedules/edge-1/status`, {}, as(token));
    expect(own.status).toBe(200);
    const others = await cluster.api.request('PATCH', `${GROUP}/nodeschedules/edge-2/status`, report, as(token));
    expect(others.status).toBe(422);
    expect(message(others)).toContain('the agent of node edge-1 may not write what belongs to node edge-2');
    const nobodys = await cluster.api.request('PATCH', `${GROUP}/nodeschedules/edge-1/status`, report, as(unbound));
    expect(message(nobodys)).toContain('token names no node');
    const profile = { apiVersion: 'deeprt.dev/v1alpha1', kind: 'GPUProfile', metadata: { name: 'edge-2-7' } };
    const foreign = await cluster.api.request(
      'POST',
      `${GROUP}/gpuprofiles`,
      { ...profile, spec: { nodeName: 'edge-2', device: 7 } },
      as(token),
    );
    expect(message(foreign)).toContain('may not write what belongs to node edge-2');
    const misnamed = await cluster.api.request(
      'POST',
      `${GROUP}/gpuprofiles`,
      { ...profile, spec: { nodeName: 'edge-1', device: 7 } },
      as(token),
    );
    expect(message(misnamed)).toContain('a GPUProfile like its node and device');
    for (const [method, path] of [
      ['PATCH', `${GROUP}/nodeschedules/edge-1`],
      ['DELETE', `${GROUP}/gpuprofiles/edge-1-0`],
      ['PATCH', `${GROUP}/inferencemodels/echo`],
      ['GET', `${GROUP}/inferencetenants`],
      ['GET', '/api/v1/secrets'],
      ['GET', '/api/v1/nodes'],
    ] as const)
      expect((await cluster.api.request(method, path, method === 'PATCH' ? {} : undefined, as(token))).status).toBe(
        403,
      );
  });
});

test('an agent takes over a measurement that was recorded on the same device, and serves by it', async () => {
  await profiled('edge-1');
  const recorded = await kept(join(agents[0]!.state, 'profiles', 'edge-1-0.yaml'));
  const state = join(cluster.api.dir, 'state-recorded');
  await keep(join(state, 'profiles', 'recorded-0.yaml'), recorded!.replaceAll('edge-1', 'recorded'));
  await cluster.node('recorded', { labels: { site: 'attic' } });
  const agent = await cluster.agent('recorded');
  expect(await agent.logged(({ msg }) => msg === 'profile ready')).toMatchObject({ measured: false, categories: 1 });
  await cluster.tenant('attic', { jitter: '50ms', placement: { nodeSelector: { site: 'attic' } } });
  await served('attic');
  expect(await camera(agent.url, 'attic', 20, 50)).toEqual({ answered: 20, late: 0, refused: 0, failed: [] });
  // An orderly end answers what was accepted and leaves nothing running.
  expect((await agent.kill('SIGTERM')).code).toBe(0);
  await cluster.api.must('DELETE', '/api/v1/nodes/recorded');
  await cluster.condition('attic', 'Admitted', 'False', 'NodeLost');
  await cluster.deleteTenant('attic');
});

describe('a device that goes wrong', () => {
  const shapes = [
    [3, 16, 16],
    [3, 8, 8],
  ];
  let agent: RunningAgent;
  const faults = (): string => join(cluster.api.dir, 'faults.json');
  const inject = (more: Faults): Promise<void> => writeFile(faults(), JSON.stringify({ input: 'in', ...more }));
  const eventsOf = async (name: string): Promise<string[]> =>
    (
      await cluster.api.must<{ items: { regarding: { name: string }; reason: string }[] }>(
        'GET',
        '/apis/events.k8s.io/v1/namespaces/default/events',
      )
    ).items
      .filter(({ regarding }) => regarding.name === name)
      .map(({ reason }) => reason);

  beforeAll(async () => {
    const network = identityNetwork('float32', ['n', 3, 'h', 'w']);
    await writeFile(join(cluster.api.dir, 'pair.onnx'), network);
    const sha256 = createHash('sha256').update(network).digest('hex');
    await cluster.model('pair', sha256, { source: 'file:pair.onnx', shapes, maxBatchSize: 2 });
    await inject({ nsPerElement: 25_000 });
    await cluster.node('frail', { labels: { site: 'frail' } });
    agent = await cluster.agent('frail', { faults: faults() });
    await cluster.tenant('soft', {
      modelRef: { name: 'pair' },
      inputShape: shapes[0],
      jitter: '50ms',
      deadline: '200ms',
      degradation: { minShape: shapes[1] },
      placement: { nodeSelector: { site: 'frail' } },
    });
    // It is measured first, which takes a slow machine a while.
    await served('soft', 90_000);
  }, 120_000);
  afterAll(async () => {
    await cluster.deleteTenant('soft');
    await agent.kill('SIGTERM');
    await cluster.api.must('DELETE', '/api/v1/nodes/frail');
    await cluster.api.must('DELETE', `${GROUP}/inferencemodels/pair`);
  });

  const frame = { shape: [1, 3, 16, 16], data: Array(3 * 16 * 16).fill(0.5) };

  test('while it is behind, tells that the tenant is degraded, since when and at which shape', async () => {
    // Slower than its frames come: no promise absorbs that.
    await inject({ nsPerElement: 110_000 });
    const timer = setInterval(() => void inferJson(agent.url, 'soft', frame).catch(() => undefined), 50);
    try {
      const { message } = await cluster.condition('soft', 'Degraded', 'True', 'Overrun', 60_000);
      expect(message).toMatch(/^frail computes at 3x8x8 since 20/);
      // Faster than measured, so that no noise of the machine keeps it behind.
      await inject({ nsPerElement: 8000 });
      await cluster.condition('soft', 'Degraded', 'False', 'FullShape', 60_000);
    } finally {
      clearInterval(timer);
    }
    await until(async () => (await eventsOf('soft')).includes('Overrun'), 'an Event that tells of it');
  }, 150_000);

  test('slower for good, has its profile measured again and published, with why', async () => {
    interface Profile {
      readonly status: {
        readonly categories: readonly { shape: number[]; batches: readonly { wcetUs: number }[] }[];
        readonly conditions: readonly { type: string; status: string; reason: string; message: string }[];
      };
    }
    const profile = (): Promise<Profile> => cluster.api.must<Profile>('GET', `${GROUP}/gpuprofiles/frail-0`);
    const wcetUs = ({ status }: Profile): number =>
      status.categories.find(({ shape }) => shape[1] === 16)!.batches[0]!.wcetUs;
    const before = wcetUs(await profile());
    // Far enough for any noise that the measurement may have caught.
    await inject({ nsPerElement: 55_000 });
    const timer = setInterval(() => void inferJson(agent.url, 'soft', frame).catch(() => undefined), 50);
    try {
      await until(async () => wcetUs(await profile()) > 1.3 * before, 'the profile to be corrected', undefined, 40_000);
      const { conditions } = (await profile()).status;
      expect(conditions.find(({ type }) => type === 'Stale')).toMatchObject({
        status: 'False',
        reason: 'Corrected',
        message: expect.stringMatching(/pair@3x16x16 takes \d\.\d+ times as long/),
      });
      await cluster.admitted('soft');
    } finally {
      clearInterval(timer);
    }
  }, 90_000);

  test('while it is being replaced, tells that the tenant is not ready, and then that it is again', async () => {
    const timer = setInterval(
      () =>
        void devicesOf(agent).then((pids) => {
          for (const pid of pids) end(pid);
        }),
      50,
    );
    try {
      await cluster.condition('soft', 'Ready', 'False', 'DeviceNotReady');
    } finally {
      clearInterval(timer);
    }
    await cluster.condition('soft', 'Ready', 'True');
    expect((await inferJson(agent.url, 'soft', frame)).status).toBe(200);
    await until(async () => (await eventsOf('soft')).includes('DeviceNotReady'), 'an Event that tells of it');
  });
});

describe('a node with two devices', () => {
  test('publishes a profile of each, serves by both, and one that fails takes only its own tenants with it', async () => {
    await cluster.node('twin', { labels: { site: 'twin' } });
    const agent = await cluster.agent('twin', { args: ['--provider', 'cpu', '--devices', '0,1'] });
    const names = ['left', 'right'];
    try {
      for (const device of [0, 1]) {
        await profiled('twin', device);
        const { spec } = await cluster.api.must<{ spec: object }>('GET', `${GROUP}/gpuprofiles/twin-${device}`);
        expect(spec).toEqual({ nodeName: 'twin', device });
      }
      for (const name of names)
        await cluster.tenant(name, {
          jitter: '50ms',
          placement: { nodeSelector: { site: 'twin' }, strategy: 'Spread' },
        });
      await until(async () => (await devicesServing('twin')).length === 2, 'both devices to serve');
      for (const name of names) await served(name);
      for (const name of names) expect((await inferJson(agent.url, name, {})).status).toBe(200);

      const placed = (await cluster.getTenant('left'))!.status!.placements![0]!.device;
      const [first] = await devicesOf(agent);
      const spared = names[placed === 0 ? 0 : 1]!;
      const hit = names[placed === 0 ? 1 : 0]!;
      const timer = setInterval(
        () =>
          void devicesOf(agent).then((pids) => {
            for (const pid of pids) if (pid !== first) end(pid);
          }),
        50,
      );
      try {
        const { message } = await cluster.condition(hit, 'Ready', 'False', 'DeviceNotReady');
        expect(message).toMatch(/^twin: device 1: /);
        expect((await inferJson(agent.url, spared, {})).status).toBe(200);
      } finally {
        clearInterval(timer);
      }
      await cluster.condition(hit, 'Ready', 'True');
      const { lastTransitionTime } = await cluster.condition(spared, 'Ready', 'True');
      const hitAt = (await cluster.condition(hit, 'Ready', 'True')).lastTransitionTime;
      expect(Date.parse(lastTransitionTime)).toBeLessThan(Date.parse(hitAt));
    } finally {
      for (const name of names) await cluster.deleteTenant(name);
      await agent.kill('SIGTERM');
      await cluster.api.must('DELETE', '/api/v1/nodes/twin');
    }
  }, 90_000);
});

/** The devices of a node that its schedule has tenants for. */
async function devicesServing(node: string): Promise<number[]> {
  const { spec } = (await cluster.schedule(node)) ?? {};
  return (spec?.devices ?? []).filter(({ categories }) => categories.length > 0).map(({ device }) => device);
}

describe('without the API server', () => {
  test('agents go on serving, also across a restart, and everything converges afterwards', async () => {
    for (const [i, name] of ['north', 'south'].entries())
      await cluster.tenant(name, {
        jitter: '50ms',
        placement: { strategy: i === 0 ? 'Pack' : 'Spread' },
      });
    await served('north');
    await served('south');
    const urlOf = async (name: string): Promise<string> => {
      const { node } = (await cluster.getTenant(name))!.status!.placements![0]!;
      return agents[['edge-1', 'edge-2'].indexOf(node)]!.url;
    };
    const [north, south] = [await urlOf('north'), await urlOf('south')];
    const frames = 28_000 / 60;
    const sending = Promise.all([camera(north, 'north', frames, 60), camera(south, 'south', frames, 60)]);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await cluster.api.down();
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    await cluster.api.up();
    for (const result of await sending) {
      expect(result).toMatchObject({ refused: 0, failed: [] });
      expect(result.late).toBe(0);
    }
    // New wishes are heard again, and the old promises are what they were.
    await cluster.tenant('after', { jitter: '50ms' });
    await served('after');
    await cluster.admitted('north', 'south');
    expect(await cluster.brokenPromises()).toEqual([]);

    // An agent that starts while the API server is away serves from its own disk.
    await cluster.api.down();
    const index = agents.findIndex(({ url }) => url === north);
    const { state } = agents[index]!;
    const killed = await agents[index]!.kill('SIGKILL');
    expect(killed.code).toBe(null);
    const stored = await readFile(join(state, 'nodes', `edge-${index + 1}.yaml`), 'utf8');
    expect(stored).toContain('north');
    const restarted = agents[index]!.again();
    const { url } = await restarted.logged(({ msg }) => msg === 'listening');
    await restarted.logged(({ msg }) => msg === 'serving by the schedule stored on this node');
    expect(await camera(url as string, 'north', 40, 60)).toEqual({ answered: 40, late: 0, refused: 0, failed: [] });
    await cluster.api.up();
    await until(async () => {
      const { status, metadata } = (await cluster.schedule(`edge-${index + 1}`)) as Schedule;
      return (
        status?.observedGeneration === metadata.generation && Date.now() - Date.parse(status?.reportedAt ?? '') < 10_000
      );
    }, 'the restarted agent to report');
    expect(await cluster.brokenPromises()).toEqual([]);
  }, 240_000);
});
