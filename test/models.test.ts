import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import proto from 'onnx-proto';
import sharp from 'sharp';
import type { Running } from './support/cli.js';
import { standalone } from './support/cli.js';
import { grpcClient } from './support/grpc.js';
import type { Axis } from './support/onnx.js';
import { operatorNetwork, valueInfo } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace, tenantManifest } from './support/workspace.js';

/** Networks as people have them, with manifests that say nothing of their inputs, on a real device. */

const { FLOAT, UINT8, FLOAT16, INT64, BOOL, STRING, DOUBLE } = proto.onnx.TensorProto.DataType;
const IDENTITY = [{ opType: 'Identity', input: ['x'], output: ['y'] }];
const TABLE = {
  name: 'names',
  dataType: STRING,
  dims: [3],
  stringData: ['cat', 'dog', 'café'].map((text) => Buffer.from(text)),
};

const same = (type: number, shape: readonly Axis[]): Uint8Array =>
  operatorNetwork([valueInfo('x', type, shape)], [valueInfo('y', type, shape)], IDENTITY);

const NETWORKS: Readonly<Record<string, Uint8Array>> = {
  halves: same(FLOAT16, ['n', 4]),
  longs: same(INT64, ['n', 3]),
  flags: same(BOOL, ['n', 2]),
  doubles: same(DOUBLE, ['n', 2]),
  'no-batch': same(FLOAT, [3, 8, 8]),
  one: same(FLOAT, [1, 3, 8, 8]),
  picture: same(UINT8, ['n', 8, 8, 3]),
  'half-picture': same(FLOAT16, ['n', 3, 8, 8]),
  names: operatorNetwork(
    [valueInfo('x', INT64, ['n', 2])],
    [valueInfo('y', STRING, ['n', 2])],
    [{ opType: 'Gather', input: ['names', 'x'], output: ['y'] }],
    [TABLE],
  ),
  product: operatorNetwork(
    [valueInfo('scale', FLOAT, ['n', 1]), valueInfo('x', FLOAT, ['n', 4])],
    [valueInfo('y', FLOAT, ['n', 4])],
    [{ opType: 'Mul', input: ['x', 'scale'], output: ['y'] }],
  ),
  'colon:names': operatorNetwork(
    [valueInfo('serving_default_in:0', FLOAT, ['n', 2])],
    [valueInfo('StatefulPartitionedCall:0', FLOAT, ['n', 2])],
    [{ opType: 'Identity', input: ['serving_default_in:0'], output: ['StatefulPartitionedCall:0'] }],
  ),
  'newer-set': operatorNetwork([valueInfo('x', FLOAT, ['n', 2])], [valueInfo('y', FLOAT, ['n', 2])], IDENTITY, [], {
    opsetImport: [{ domain: '', version: 99 }],
  }),
  'newer-file': operatorNetwork([valueInfo('x', FLOAT, ['n', 2])], [valueInfo('y', FLOAT, ['n', 2])], IDENTITY, [], {
    irVersion: 99,
  }),
};
const SHAPES: Readonly<Record<string, readonly number[]>> = {
  halves: [4],
  longs: [3],
  product: [4],
  'no-batch': [3, 8, 8],
  one: [3, 8, 8],
  picture: [3, 8, 8],
  'half-picture': [3, 8, 8],
};
/** Of which the manifest says what the network leaves open. */
const SPECS: Readonly<Record<string, object>> = {
  product: { input: { name: 'x' } },
  'no-batch': { shapes: [[3, 8, 8]] },
};
const nameOf = (name: string): string => name.replace(':', '-');

let workspace: Workspace;
let agent: Running;

beforeAll(async () => {
  workspace = await newWorkspace();
  const objects: object[] = [];
  for (const [name, network] of Object.entries(NETWORKS)) {
    const { spec, ...model } = (await workspace.model(nameOf(name), network)) as { spec: object };
    const { input: _, shapes: __, ...rest } = spec as { input: object; shapes: object };
    objects.push({ ...model, spec: { ...rest, ...SPECS[name] } });
    const terms = { framesPerSecond: 20, streams: 4, jitter: '10ms', deadline: '2s' };
    objects.push(
      tenantManifest(nameOf(name), { ...terms, modelRef: { name: nameOf(name) }, inputShape: SHAPES[name] ?? [2] }),
    );
  }
  await workspace.write('all.yaml', ...objects);
  agent = await standalone(workspace, '--grpc', '127.0.0.1:0');
});
afterAll(async () => {
  await agent.kill('SIGKILL');
  await workspace.dispose();
});

type Tensor = { name: string; shape: number[]; datatype: string; data?: unknown; parameters?: object };

async function post(
  name: string,
  body: string | Uint8Array,
  headers: object,
): Promise<{ status: number; text: string; bytes: Buffer }> {
  const url = `${agent.url}/v2/models/default.${name}/infer`;
  const response = await fetch(url, { method: 'POST', headers: { ...headers }, body: body as string });
  const bytes = Buffer.from(await response.arrayBuffer());
  const json = Number(response.headers.get('inference-header-content-length') ?? bytes.length);
  return { status: response.status, text: bytes.toString('utf8', 0, json), bytes: bytes.subarray(json) };
}

/** The answer's first output as its text has it. */
async function infer(name: string, ...inputs: Tensor[]): Promise<string> {
  const { text } = await post(name, JSON.stringify({ inputs }).replace(/"(-?\d+)n"/g, '$1'), {
    'content-type': 'application/json',
  });
  return /"data":(\[.*?\])/.exec(text)?.[1] ?? text;
}

const tensor = (datatype: string, shape: number[], data: unknown, name = 'x'): Tensor => ({
  name,
  datatype,
  shape,
  data,
});

describe('every element type', () => {
  test.each<[string, string, string]>([
    ['halves', 'FP16', '[0.5,-2,65504,1]'],
    ['longs', 'INT64', '[9007199254740993,-9007199254740993,7]'],
    ['flags', 'BOOL', '[true,false]'],
    ['doubles', 'FP64', '[0.1,1e+300]'],
  ])('%s are answered as they came', async (name, datatype, text) => {
    const data: unknown = JSON.parse(text.replace(/\d{15,}/g, '"$&n"').replace(/-"/g, '"-'));
    expect(await infer(name, tensor(datatype, [1, (data as unknown[]).length], data))).toBe(text);
  });

  test('texts are answered as JSON, and as BYTES where binary form is asked for', async () => {
    expect(await infer('names', tensor('INT64', [1, 2], [2, 0]))).toBe('["café","cat"]');
    const request = { inputs: [tensor('INT64', [1, 2], [2, 0])], parameters: { binary_data_output: true } };
    const { bytes } = await post('names', JSON.stringify(request), { 'content-type': 'application/json' });
    expect(bytes).toEqual(
      Buffer.concat([Buffer.from([5, 0, 0, 0]), Buffer.from('café'), Buffer.from([3, 0, 0, 0]), Buffer.from('cat')]),
    );
  });
});

describe('frames of several tensors', () => {
  const scale = tensor('FP32', [1, 1], [3], 'scale');
  const x = tensor('FP32', [1, 4], [1, 2, 3, 4]);

  test('come in any order, in JSON, in binary form, and mixed', async () => {
    expect(await infer('product', scale, x)).toBe('[3,6,9,12]');
    expect(await infer('product', x, scale)).toBe('[3,6,9,12]');
    const binary = { ...x, data: undefined, parameters: { binary_data_size: 16 } };
    const head = Buffer.from(JSON.stringify({ inputs: [scale, binary] }));
    const body = Buffer.concat([head, Buffer.from(new Float32Array([5, 6, 7, 8]).buffer)]);
    const { text } = await post('product', body, { 'inference-header-content-length': `${head.length}` });
    expect(text).toContain('"data":[15,18,21,24]');
  });

  test('are described, and a missing or unknown one is named', async () => {
    const metadata = (await (await fetch(`${agent.url}/v2/models/default.product`)).json()) as object;
    expect(metadata).toMatchObject({
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [1, 4] },
        { name: 'scale', datatype: 'FP32', shape: [1, 1] },
      ],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 4] }],
    });
    expect(await infer('product', x)).toContain('exactly 2 tensors are expected (\\"x\\", \\"scale\\"), not 1');
    expect(await infer('product', x, { ...scale, name: 'zoom' })).toContain(
      'inputs[1].name: must be \\"x\\", \\"scale\\"',
    );
    expect(await infer('product', x, x)).toContain('there is no tensor \\"scale\\"');
  });

  test('are no images', async () => {
    const { status, text } = await post('product', Buffer.from('image'), { 'content-type': 'image/jpeg' });
    expect([status, text]).toEqual([415, expect.stringContaining('send tensors for')]);
  });

  test('go over gRPC, raw and as typed contents, in the order that their sender gives them', async () => {
    const line = await agent.logged((each) => typeof each['grpc'] === 'string');
    const client = grpcClient(String(line['grpc']));
    const call = (model: string, request: object): Promise<{ raw_output_contents: Buffer[] }> =>
      client.call('ModelInfer', { model_name: `default.${model}`, ...request });
    const bytes = (values: ArrayLike<number>): Buffer => Buffer.from(Float32Array.from(values).buffer);
    const heads = [scale, x].map(({ data: _, ...head }) => head);
    try {
      const raw = await call('product', { inputs: heads, raw_input_contents: [bytes([2]), bytes([1, 2, 3, 4])] });
      expect(raw.raw_output_contents).toEqual([bytes([2, 4, 6, 8])]);
      const typed = [scale, x].map(({ data, ...head }) => ({ ...head, contents: { fp32_contents: data } }));
      expect((await call('product', { inputs: typed })).raw_output_contents).toEqual([bytes([3, 6, 9, 12])]);
      const long = {
        name: 'x',
        datatype: 'INT64',
        shape: [1, 3],
        contents: { int64_contents: ['9007199254740993', '-1', '0'] },
      };
      const [answer] = (await call('longs', { inputs: [long] })).raw_output_contents;
      expect(answer!.readBigInt64LE()).toBe(9007199254740993n);
      await expect(call('product', { inputs: heads, raw_input_contents: [bytes([2])] })).rejects.toThrow(
        /raw_input_contents: 2 are expected, one for each input, not 1/,
      );
    } finally {
      client.close();
    }
  });
});

describe('networks of all kinds', () => {
  test('that take one frame at a time, with a batch axis and without, are run so', async () => {
    const data = Array.from({ length: 192 }, (_, i) => i);
    for (const name of ['one', 'no-batch'])
      expect(JSON.parse(await infer(name, tensor('FP32', [1, 3, 8, 8], data)))).toEqual(data);
  });

  test('whose channels come last take images so, and so do those of half precision', async () => {
    const red = await sharp({ create: { width: 8, height: 8, channels: 3, background: { r: 255, g: 0, b: 0 } } })
      .png()
      .toBuffer();
    for (const [name, first] of [
      ['picture', '[255,0,0,255,0'],
      ['half-picture', '[255,255,255'],
    ] as const) {
      const { text } = await post(name, red, { 'content-type': 'image/png' });
      expect(text).toContain(`"data":${first}`);
    }
  });

  test('with any names', async () => {
    const x = tensor('FP32', [1, 2], [1, 2], 'serving_default_in:0');
    expect(await infer('colon-names', x)).toBe('[1,2]');
  });

  test.each([
    [
      'newer-set',
      /it is of operator set 99 of ai\.onnx, and this ONNX Runtime has those up to \d+; export it with opset_version=/,
    ],
    ['newer-file', /it is of ONNX IR version 99, and this ONNX Runtime reads those up to \d+/],
  ])('%s: refused, with what to do', async (name, message) => {
    const line = await agent.logged((each) => each['tenant'] === `default/${name}`);
    expect([line['reason'], line['message']]).toEqual(['ModelUnavailable', expect.stringMatching(message)]);
  });
});
