import type { onnx } from 'onnx-proto';
import proto from 'onnx-proto';

const { FLOAT, INT64 } = proto.onnx.TensorProto.DataType;
const { INT, INTS, STRING } = proto.onnx.AttributeProto.AttributeType;
/** How many scores a network has. */
export const CLASSES = 1000;

const ints = (name: string, values: readonly number[]): onnx.IAttributeProto => ({
  name,
  type: INTS,
  ints: [...values],
});
const int = (name: string, value: number): onnx.IAttributeProto => ({ name, type: INT, i: value });

interface ConvOptions {
  /** Height and width, or both. */
  readonly kernel?: number | readonly [height: number, width: number];
  readonly stride?: number;
  readonly groups?: number;
  readonly gain?: number;
}

/** Writes a network layer by layer; each returns the name of its output. Input `x` is float32 [n, 3, h, w], output `scores` [n, 1000]. */
export class Builder {
  readonly #nodes: onnx.INodeProto[] = [];
  readonly #weights: onnx.ITensorProto[] = [];
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A convolution with bias, padded so that only the stride makes it smaller. */
  conv(
    x: string,
    inputs: number,
    outputs: number,
    { kernel = 3, stride = 1, groups = 1, gain = 1 }: ConvOptions,
  ): string {
    const [high, wide] = typeof kernel === 'number' ? [kernel, kernel] : kernel;
    const fanIn = (inputs / groups) * high * wide;
    const weights = this.#random([outputs, inputs / groups, high, wide], gain * Math.sqrt(6 / fanIn));
    const [top, left] = [high >> 1, wide >> 1];
    return this.#node(
      'Conv',
      [x, weights, this.#random([outputs], 0.01)],
      [
        ints('kernel_shape', [high, wide]),
        ints('strides', [stride, stride]),
        ints('pads', [top, left, top, left]),
        int('group', groups),
      ],
    );
  }

  relu(x: string): string {
    return this.#node('Relu', [x]);
  }

  relu6(x: string): string {
    return this.#node('Clip', [
      x,
      this.#constant(FLOAT, [], Float32Array.of(0)),
      this.#constant(FLOAT, [], Float32Array.of(6)),
    ]);
  }

  add(a: string, b: string): string {
    return this.#node('Add', [a, b]);
  }

  maxPool(x: string, kernel: number, pad = 0): string {
    return this.#node(
      'MaxPool',
      [x],
      [ints('kernel_shape', [kernel, kernel]), ints('strides', [2, 2]), ints('pads', [pad, pad, pad, pad])],
    );
  }

  /** The mean of each 3x3 neighbourhood. */
  smooth(x: string): string {
    return this.#node('AveragePool', [x], [ints('kernel_shape', [3, 3]), ints('pads', [1, 1, 1, 1])]);
  }

  concat(branches: readonly string[]): string {
    return this.#node('Concat', branches, [int('axis', 1)]);
  }

  /** Averages over each channel. */
  pool(x: string): string {
    return this.#node('Flatten', [this.#node('GlobalAveragePool', [x])]);
  }

  /** Brings each channel to 7x7, whatever it was, and flattens. */
  to7x7(x: string, channels: number): string {
    const sizes = this.#constant(INT64, [2], BigInt64Array.of(7n, 7n));
    const shape = this.#node('Shape', [x]);
    const batch = this.#node('Slice', [shape, this.#index(0), this.#index(2)]);
    const all = this.#node('Concat', [batch, sizes], [int('axis', 0)]);
    const mode = { name: 'mode', type: STRING, s: new TextEncoder().encode('linear') };
    const resized = this.#node('Resize', [x, '', '', all], [mode]);
    return this.#node('Reshape', [resized, this.#constant(INT64, [2], BigInt64Array.of(-1n, BigInt(channels * 49)))]);
  }

  dense(x: string, inputs: number, outputs: number): string {
    const weights = this.#random([inputs, outputs], Math.sqrt(6 / inputs));
    return this.#node('Gemm', [x, weights, this.#random([outputs], 0.01)]);
  }

  finish(name: string, output: string): Uint8Array {
    this.#nodes.push({ opType: 'Identity', input: [output], output: ['scores'] });
    const value = (what: string, dims: readonly (number | string)[]): onnx.IValueInfoProto => ({
      name: what,
      type: {
        tensorType: {
          elemType: FLOAT,
          shape: { dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
        },
      },
    });
    return proto.onnx.ModelProto.encode({
      irVersion: 8,
      opsetImport: [{ domain: '', version: 13 }],
      producerName: 'deeprt-bench',
      graph: {
        name,
        input: [value('x', ['n', 3, 'h', 'w'])],
        output: [value('scores', ['n', CLASSES])],
        node: this.#nodes,
        initializer: this.#weights,
      },
    }).finish();
  }

  #node(opType: string, input: readonly string[], attribute: onnx.IAttributeProto[] = []): string {
    const name = `${opType}${this.#nodes.length}`;
    this.#nodes.push({ opType, name, input: [...input], output: [name], attribute });
    return name;
  }

  #index(value: number): string {
    return this.#constant(INT64, [1], BigInt64Array.of(BigInt(value)));
  }

  #constant(dataType: number, dims: readonly number[], values: Float32Array | BigInt64Array): string {
    const name = `w${this.#weights.length}`;
    const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.#weights.push({ name, dataType, dims: [...dims], rawData });
    return name;
  }

  /** Uniform within ±bound (xorshift32). */
  #random(dims: readonly number[], bound: number): string {
    const values = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
    let state = this.#state;
    for (let i = 0; i < values.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      values[i] = (state / 2 ** 31) * bound;
    }
    this.#state = state;
    return this.#constant(FLOAT, dims, values);
  }
}
