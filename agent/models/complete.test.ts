import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import proto from 'onnx-proto';
import type { ResourceOf } from '../../api/manifests.js';
import type { Axis } from '../../test/support/onnx.js';
import { operatorNetwork, valueInfo } from '../../test/support/onnx.js';
import { temporaryFolder } from '../../test/support/temporary.js';
import type { CompleteModel } from '../frames.js';
import { completeFrom } from './complete.js';

const { FLOAT, UINT8, FLOAT16, BFLOAT16, INT64, STRING } = proto.onnx.TensorProto.DataType;
const folder = temporaryFolder();

type Value = readonly [name: string, type: number, shape: readonly Axis[]];
const X: Value = ['x', FLOAT, ['n', 3, 8, 8]];
const Y: Value = ['y', FLOAT, ['n', 3, 8, 8]];
const RELU = { opType: 'Relu', input: ['x'], output: ['y'] };

function completed(
  inputs: readonly Value[],
  spec: object = {},
  outputs: readonly Value[] = [Y],
  node: object = RELU,
): CompleteModel {
  const values = (all: readonly Value[]): ReturnType<typeof valueInfo>[] => all.map((each) => valueInfo(...each));
  const path = join(folder(), 'model.onnx');
  writeFileSync(path, operatorNetwork(values(inputs), values(outputs), [node]));
  return completeFrom({ metadata: { name: 'm' }, spec } as ResourceOf<'InferenceModel'>, path);
}

describe('what a manifest leaves out is the network’s own', () => {
  test.each<[string, readonly Value[], object, object]>([
    [
      'all of it',
      [X],
      {},
      { input: { name: 'x', elementType: 'float32', layout: 'NCHW' }, shapes: [[3, 8, 8]], batching: 'Auto' },
    ],
    [
      'channels come last',
      [['x', UINT8, ['n', 8, 9, 3]]],
      {},
      { input: { name: 'x', elementType: 'uint8', layout: 'NHWC' }, shapes: [[3, 8, 9]] },
    ],
    ['one frame at a time', [['x', FLOAT16, [1, 3, 8, 8]]], {}, { shapes: [[3, 8, 8]], batching: 'None' }],
    ['no batch axis', [['x', FLOAT, [3, 8, 8]]], { shapes: [[3, 8, 8]] }, { shapes: [[3, 8, 8]], batching: 'None' }],
    ['rows of numbers', [['x', INT64, ['n', 16]]], {}, { input: { elementType: 'int64' }, shapes: [[16]] }],
    [
      'the one with four axes is the frame',
      [['size', FLOAT, ['n', 2]], X],
      {},
      { input: { name: 'x' }, otherInputs: [{ name: 'size', elementType: 'float32', shape: [2] }], batching: 'Auto' },
    ],
    [
      'free axes that the manifest knows',
      [X, ['roi', FLOAT, ['n', 'k', 4]]],
      { otherInputs: [{ name: 'roi', shape: [5, 4] }] },
      { otherInputs: [{ shape: [5, 4] }], batching: 'Auto' },
    ],
    [
      'something that all frames of a run would share',
      [X, ['threshold', FLOAT, []]],
      {},
      { otherInputs: [{ name: 'threshold', shape: [] }], batching: 'None' },
    ],
    ['batching was declined', [X], { batching: 'None' }, { batching: 'None' }],
  ])('%s', (_what, inputs, spec, expected) => {
    expect(completed(inputs, spec).spec).toMatchObject(expected);
  });

  test('of an output, axes that are called like the batch’s count frames, and other free ones differ', () => {
    const { outputAxes } = completed([X], {}, [
      ['y', FLOAT, ['n', 4]],
      ['rows', INT64, ['found', 6]],
    ]);
    expect([...outputAxes]).toEqual([
      ['y', [1, 4]],
      ['rows', [-1, 6]],
    ]);
  });
});

describe('what cannot be served says why, and what to do', () => {
  test.each<[string, readonly Value[], object, RegExp]>([
    [
      'batches of four',
      [['x', FLOAT, [4, 3, 8, 8]]],
      {},
      /model "m": its input "x" is \[4, 3, 8, 8\], batches of exactly 4; export it with a free batch axis/,
    ],
    ['free axes', [['x', FLOAT, ['n', 3, 'h', 'w']]], {}, /\[n, 3, h, w\], with free axes; say in spec\.shapes/],
    [
      'the other layout',
      [['x', FLOAT, ['n', 8, 8, 3]]],
      { input: { layout: 'NCHW' }, shapes: [[3, 8, 8]] },
      /do not fit; set spec\.input\.layout to NHWC/,
    ],
    ['another shape', [X], { shapes: [[3, 9, 9]] }, /frames of 3x9x9 in NCHW do not fit; correct spec\.shapes/],
    [
      'another type',
      [X],
      { input: { elementType: 'uint8' } },
      /is of type float32, not uint8 \(spec\.input\.elementType\)/,
    ],
    [
      'no such input',
      [X],
      { input: { name: 'z' } },
      /no input "z" \(spec\.input\.name\); the network takes "x" \(float32\[n, 3, 8, 8\]\)/,
    ],
    ['two images', [X, ['z', FLOAT, ['n', 3, 8, 8]]], {}, /spec\.input\.name must say which input frames are for/],
    ['texts', [['x', STRING, ['n', 3]]], {}, /is of type string, which frames cannot be/],
    [
      'another input with free axes',
      [X, ['roi', FLOAT, ['n', 'k', 4]]],
      {},
      /its input "roi" is float32\[n, k, 4\], with free axes; say its shape .* in spec\.otherInputs/,
    ],
    ['an input that is not there', [X], { otherInputs: [{ name: 'roi' }] }, /no input "roi" \(spec\.otherInputs\)/],
    [
      'several shapes of what cannot be made smaller',
      [['x', FLOAT16, ['n', 3, 'h', 'w']]],
      {
        shapes: [
          [3, 8, 8],
          [3, 4, 4],
        ],
      },
      /only images of float32 and uint8 can be offered in several/,
    ],
  ])('%s', (_what, inputs, spec, message) => {
    expect(() => completed(inputs, spec)).toThrow(message);
  });

  test('an output that the runtime does not hand out is named', () => {
    expect(() => completed([X], {}, [['y', BFLOAT16, ['n', 3, 8, 8]]])).toThrow(
      /its output "y" is of type bfloat16, .* Cast/,
    );
  });

  test('an operator of another runtime is named', () => {
    const plugin = { opType: 'EfficientNMS_TRT', domain: 'TRT', input: ['x'], output: ['y'] };
    expect(() => completed([X], {}, [Y], plugin)).toThrow(/the operator TRT\.EfficientNMS_TRT/);
  });

  test('a file that is no network', () => {
    const path = join(folder(), 'model.onnx');
    writeFileSync(path, 'not a network');
    expect(() => completeFrom({ metadata: { name: 'm' }, spec: {} } as ResourceOf<'InferenceModel'>, path)).toThrow(
      /model "m": /,
    );
  });
});
