import type { onnx } from 'onnx-proto';
import proto from 'onnx-proto';

/** Small networks written on the spot, for what the real ones cannot show. */

const { FLOAT, UINT8, INT64 } = proto.onnx.TensorProto.DataType;
const { INT: INT_ATTRIBUTE, INTS: INTS_ATTRIBUTE } = proto.onnx.AttributeProto.AttributeType;

export type Axis = number | string;

export function valueInfo(name: string, elemType: number, shape: readonly Axis[]): onnx.IValueInfoProto {
  const dim = shape.map((axis) => (typeof axis === 'number' ? { dimValue: axis } : { dimParam: axis }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

/** A model's file; other versions and the like in `more`. */
export function model(graph: onnx.IGraphProto, more: onnx.IModelProto = {}): Uint8Array {
  return proto.onnx.ModelProto.encode(
    proto.onnx.ModelProto.create({
      irVersion: 8,
      opsetImport: [{ domain: '', version: 13 }],
      producerName: 'deeprt-test',
      graph,
      ...more,
    }),
  ).finish();
}

/** out = in, whole frames: any element type and input shape. */
export function identityNetwork(elementType: 'float32' | 'uint8', shape: readonly Axis[], input = 'in'): Uint8Array {
  const type = elementType === 'float32' ? FLOAT : UINT8;
  return model({
    name: 'identity',
    input: [valueInfo(input, type, shape)],
    output: [valueInfo('out', type, shape)],
    node: [{ opType: 'Identity', input: [input], output: ['out'] }],
  });
}

/** One operator's network, with whatever inputs and outputs. */
export function operatorNetwork(
  inputs: readonly onnx.IValueInfoProto[],
  outputs: readonly onnx.IValueInfoProto[],
  node: readonly onnx.INodeProto[],
  initializer: readonly onnx.ITensorProto[] = [],
  more: onnx.IModelProto = {},
): Uint8Array {
  const graph = { name: 'g', input: [...inputs], output: [...outputs], node: [...node], initializer: [...initializer] };
  return model(graph, more);
}

/** out = in less what the frames of the batch have in common: alone nothing, in a batch a mixture. */
export function mixingNetwork(shape: readonly Axis[]): Uint8Array {
  return model({
    name: 'mixing',
    input: [valueInfo('in', FLOAT, shape)],
    output: [valueInfo('out', FLOAT, shape)],
    node: [
      {
        opType: 'ReduceMean',
        input: ['in'],
        output: ['common'],
        attribute: [{ name: 'axes', type: INTS_ATTRIBUTE, ints: [0] }],
      },
      { opType: 'Sub', input: ['in', 'common'], output: ['out'] },
    ],
  });
}

/** out = one row of indices for each value of a frame that is not zero, as detectors give out what they found. */
export function rowsNetwork(shape: readonly Axis[]): Uint8Array {
  return model({
    name: 'rows',
    input: [valueInfo('in', FLOAT, shape)],
    output: [valueInfo('out', INT64, ['found', 4])],
    node: [
      { opType: 'NonZero', input: ['in'], output: ['places'] },
      { opType: 'Transpose', input: ['places'], output: ['out'] },
    ],
  });
}

/** out = in as another element type. */
export function castingNetwork(to: number, shape: readonly Axis[]): Uint8Array {
  return model({
    name: 'casting',
    input: [valueInfo('in', FLOAT, shape)],
    output: [valueInfo('out', to, shape)],
    node: [{ opType: 'Cast', input: ['in'], output: ['out'], attribute: [{ name: 'to', type: INT_ATTRIBUTE, i: to }] }],
  });
}

/** out = in, and weights of so many bytes that every run needs. */
export function heavyNetwork(weightBytes: number, shape: readonly Axis[]): Uint8Array {
  return model({
    name: 'heavy',
    input: [valueInfo('in', FLOAT, shape)],
    output: [valueInfo('out', FLOAT, shape)],
    node: [
      { opType: 'ReduceMax', input: ['in'], output: ['largest'] },
      {
        opType: 'Cast',
        input: ['largest'],
        output: ['index'],
        attribute: [{ name: 'to', type: INT_ATTRIBUTE, i: INT64 }],
      },
      { opType: 'Gather', input: ['weights', 'index'], output: ['zero'] },
      { opType: 'Add', input: ['in', 'zero'], output: ['out'] },
    ],
    initializer: [{ name: 'weights', dataType: FLOAT, dims: [weightBytes / 4], rawData: new Uint8Array(weightBytes) }],
  });
}

/** out = the first row of each frame's first channel: next to no work, so that everything else shows. */
export function firstRowNetwork(shape: readonly [Axis, number, number, number]): Uint8Array {
  const constant = (name: string, values: readonly number[]): onnx.ITensorProto => ({
    name,
    dataType: INT64,
    dims: [values.length],
    int64Data: [...values],
  });
  return model({
    name: 'first-row',
    input: [valueInfo('in', UINT8, shape)],
    output: [valueInfo('out', UINT8, [shape[0], 1, 1, shape[3]])],
    node: [{ opType: 'Slice', input: ['in', 'starts', 'ends', 'axes'], output: ['out'] }],
    initializer: [constant('starts', [0, 0]), constant('ends', [1, 1]), constant('axes', [1, 2])],
  });
}

/** out = in times weights that are in a file beside the network's. */
export function externalNetwork(location: string): Uint8Array {
  return model({
    name: 'external',
    input: [valueInfo('in', FLOAT, ['n', 3, 8, 8])],
    output: [valueInfo('out', FLOAT, ['n', 3, 8, 8])],
    node: [{ opType: 'Mul', input: ['in', 'weights'], output: ['out'] }],
    initializer: [
      {
        name: 'weights',
        dataType: FLOAT,
        dims: [1, 3, 8, 8],
        externalData: [{ key: 'location', value: location }],
        dataLocation: proto.onnx.TensorProto.DataLocation.EXTERNAL,
      },
    ],
  });
}

/** out = in times a factor, after multiplying matrices of so many rows and columns, five times a run. */
export function scalingNetwork(factor: number, shape: readonly Axis[], rows = 1): Uint8Array {
  const float = (name: string, dims: readonly number[], values: readonly number[]): onnx.ITensorProto => ({
    name,
    dataType: FLOAT,
    dims: [...dims],
    floatData: [...values],
  });
  const products = Array.from({ length: 5 }, (_, i) => ({
    opType: 'MatMul',
    input: [`m${i}`, 'matrix'],
    output: [`m${i + 1}`],
  }));
  return model({
    name: 'scaling',
    input: [valueInfo('in', FLOAT, shape)],
    output: [valueInfo('out', FLOAT, shape)],
    node: [
      // What is multiplied comes from the input, or it would be computed once and for all.
      {
        opType: 'ReduceMean',
        input: ['in'],
        output: ['mean'],
        attribute: [{ name: 'keepdims', type: INT_ATTRIBUTE, i: 0 }],
      },
      { opType: 'Mul', input: ['mean', 'matrix'], output: ['m0'] },
      ...products,
      {
        opType: 'ReduceMean',
        input: ['m5'],
        output: ['last'],
        attribute: [{ name: 'keepdims', type: INT_ATTRIBUTE, i: 0 }],
      },
      { opType: 'Mul', input: ['last', 'nothing'], output: ['zero'] },
      { opType: 'Mul', input: ['in', 'factor'], output: ['scaled'] },
      { opType: 'Add', input: ['scaled', 'zero'], output: ['out'] },
    ],
    initializer: [
      float('factor', [], [factor]),
      float('nothing', [], [0]),
      float('matrix', [rows, rows], Array<number>(rows * rows).fill(1 / rows)),
    ],
  });
}
