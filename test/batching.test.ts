import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import proto from 'onnx-proto';
import type { Running } from './support/cli.js';
import { standalone } from './support/cli.js';
import { castingNetwork, heavyNetwork, identityNetwork, mixingNetwork, rowsNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { echoNetwork, newWorkspace, tenantManifest } from './support/workspace.js';

/** Each frame is answered as it would be alone, whatever its network does with batches and whatever it puts out. */
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

const ELEMENTS = 3 * 8 * 8;

async function infer(
  tenant: string,
  data: readonly number[],
): Promise<{ status: number; code?: string; parameters?: object; shape: number[]; datatype: string; data: unknown[] }> {
  const response = await fetch(`${running!.url}/v2/models/default.${tenant}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [{ name: 'in', datatype: 'FP32', shape: [1, 3, 8, 8], data }] }),
  });
  const body = (await response.json()) as {
    code?: string;
    parameters?: object;
    outputs?: { shape: number[]; datatype: string; data: unknown[] }[];
  };
  const { code, parameters } = body;
  return {
    status: response.status,
    ...(code && { code }),
    ...(parameters && { parameters }),
    ...(body.outputs?.[0] ?? { shape: [], datatype: '', data: [] }),
  };
}

const frame = (seed: number): number[] => Array.from({ length: ELEMENTS }, (_, i) => ((i * 7 + seed * 13) % 11) - 5);

describe('a network that mixes the frames of a batch', () => {
  test('runs one frame at a time, and so do those that put out no row a frame or take no batch', async () => {
    await workspace.write(
      'models.yaml',
      await workspace.model('echo', echoNetwork()),
      await workspace.model('mixing', mixingNetwork(['n', 3, 8, 8])),
      await workspace.model('rows', rowsNetwork(['n', 3, 8, 8])),
      await workspace.model('single', identityNetwork('float32', [1, 3, 8, 8])),
    );
    const names = ['echo', 'mixing', 'rows', 'single'];
    await workspace.write(
      'tenants.yaml',
      ...names.map((name) => tenantManifest(name, { modelRef: { name }, streams: 8, deadline: '2s' })),
    );
    running = await standalone(workspace);
    const seeds = Array.from({ length: 8 }, (_, i) => i + 1);
    for (const name of names) {
      const answers = await Promise.all(seeds.map((seed) => infer(name, frame(seed))));
      for (const [i, { status, shape, data }] of answers.entries()) {
        const sent = frame(seeds[i]!);
        expect(status).toBe(200);
        if (name === 'mixing') expect(data.every((value) => value === 0)).toBe(true);
        else if (name === 'rows') expect(shape).toEqual([sent.filter((value) => value !== 0).length, 4]);
        else expect(data).toEqual(sent);
      }
    }
  });
});

describe('a frame that the network fails on', () => {
  test('costs nobody else in its batch an answer; whoever sends such frames again and again is kept apart', async () => {
    // Fails where the largest value of the batch is 64 or more.
    await workspace.write('model.yaml', await workspace.model('lookup', heavyNetwork(4 * 64, ['n', 3, 8, 8])));
    const terms = { modelRef: { name: 'lookup' }, streams: 8, deadline: '2s' };
    await workspace.write('tenants.yaml', tenantManifest('good', terms), tenantManifest('bad', terms));
    running = await standalone(workspace);
    const poison = Array<number>(ELEMENTS).fill(100);
    const apart = ({ msg, tenant }: { msg: string; tenant?: unknown }): boolean =>
      msg.includes('apart from others') && tenant === 'default/bad';
    for (let round = 0; round < 30 && !running.log().some(apart); round++) {
      const bad = Array.from({ length: 3 }, () => infer('bad', poison));
      const good = Array.from({ length: 8 }, (_, i) => infer('good', frame(i)));
      for (const [i, answer] of (await Promise.all(good)).entries())
        expect(answer).toMatchObject({ status: 200, data: frame(i) });
      for (const answer of await Promise.all(bad)) expect(answer).toMatchObject({ status: 503, code: 'ModelFailed' });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(running.log().some(apart)).toBe(true);
    // Its good frames are answered, one by one and without a promise; the others' go on as before.
    for (let round = 0; round < 5; round++) {
      const frames = Array.from({ length: 6 }, (_, i) => infer(i < 3 ? 'bad' : 'good', frame(i)));
      for (const [i, answer] of (await Promise.all(frames)).entries()) {
        expect(answer).toMatchObject({ status: 200, data: frame(i), parameters: { promised: i >= 3 } });
        if (i < 3) expect(answer.parameters).toMatchObject({ batch_size: 1 });
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
});

describe('outputs of every element type', () => {
  test('are answered, or refused when the model is measured, and end nobody’s agent', async () => {
    const types = Object.entries(proto.onnx.TensorProto.DataType).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number' && entry[0] !== 'UNDEFINED',
    );
    const models = await Promise.all(
      types.map(([name, type]) =>
        workspace.model(name.toLowerCase(), castingNetwork(type, ['n', 3, 8, 8]), { maxBatchSize: 2 }),
      ),
    );
    await workspace.write('models.yaml', await workspace.model('echo', echoNetwork()), ...models);
    await workspace.write(
      'tenants.yaml',
      tenantManifest('steady'),
      ...types.map(([name]) =>
        tenantManifest(name.toLowerCase(), {
          modelRef: { name: name.toLowerCase() },
          framesPerSecond: 1,
          deadline: '2s',
        }),
      ),
    );
    running = await standalone(workspace);
    const ones = Array.from({ length: ELEMENTS }, (_, i) => i % 2);
    const answered: string[] = [];
    for (const [name] of types) {
      const { status, data } = await infer(name.toLowerCase(), ones);
      if (status === 200) {
        answered.push(name);
        expect(data.map(Number)).toEqual(ones);
      } else
        expect(await running.logged((line) => line['tenant'] === `default/${name.toLowerCase()}`)).toMatchObject({
          reason: 'ModelUnavailable',
        });
      expect((await infer('steady', ones)).status).toBe(200);
    }
    expect(answered).toEqual(
      expect.arrayContaining(['FLOAT', 'UINT8', 'INT8', 'INT32', 'INT64', 'BOOL', 'FLOAT16', 'DOUBLE', 'STRING']),
    );
  }, 150_000);
});
