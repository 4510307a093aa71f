import type { onnx } from 'onnx-proto';
import proto from 'onnx-proto';

/**
 * The networks of the paper's evaluation (section 6), with seeded weights: they take as long as trained ones. Input `x` is float32
 * [n, 3, h, w] with h and w a multiple of 32; output `scores` is float32 [n, 1000].
 */
export const NETWORKS = { 'resnet-50': resnet50, 'vgg-16': vgg16, 'mobilenet-v2': mobilenetV2 } as const;

const { FLOAT, INT64 } = proto.onnx.TensorProto.DataType;
const { INT, INTS, STRING } = proto.onnx.AttributeProto.AttributeType;
const CLASSES = 1000;
/** What a residual branch ends in is scaled down, so that sums over many of them stay small. */
const RESIDUAL_GAIN = 0.2;

const ints = (name: string, values: readonly number[]): onnx.IAttributeProto => ({
  name,
  type: INTS,
  ints: [...values],
});
const int = (name: string, value: number): onnx.IAttributeProto => ({ name, type: INT, i: value });

interface ConvOptions {
  readonly kernel?: number;
  readonly stride?: number;
  readonly groups?: number;
  readonly gain?: number;
}

/** Writes a network layer by layer; each returns the name of its output. */
class Builder {
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
    const fanIn = (inputs / groups) * kernel * kernel;
    const weights = this.#random([outputs, inputs / groups, kernel, kernel], gain * Math.sqrt(6 / fanIn));
    const pad = kernel >> 1;
    return this.#node(
      'Conv',
      [x, weights, this.#random([outputs], 0.01)],
      [
        ints('kernel_shape', [kernel, kernel]),
        ints('strides', [stride, stride]),
        ints('pads', [pad, pad, pad, pad]),
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

/** He et al. 2015: stages of 3, 4, 6 and 3 bottlenecks. */
function resnet50(): Uint8Array {
  const b = new Builder(50);
  let x = b.maxPool(b.relu(b.conv('x', 3, 64, { kernel: 7, stride: 2 })), 3, 1);
  let channels = 64;
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    const width = 64 << stage;
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const shortcut = block === 0 ? b.conv(x, channels, 4 * width, { kernel: 1, stride }) : x;
      const narrow = b.relu(b.conv(x, channels, width, { kernel: 1 }));
      const middle = b.relu(b.conv(narrow, width, width, { stride }));
      x = b.relu(b.add(shortcut, b.conv(middle, width, 4 * width, { kernel: 1, gain: RESIDUAL_GAIN })));
      channels = 4 * width;
    }
  }
  return b.finish('resnet-50', b.dense(b.pool(x), channels, CLASSES));
}

/** Simonyan and Zisserman 2014, configuration D. */
function vgg16(): Uint8Array {
  const b = new Builder(16);
  let x = 'x';
  let channels = 3;
  for (const [width, layers] of [
    [64, 2],
    [128, 2],
    [256, 3],
    [512, 3],
    [512, 3],
  ] as const) {
    for (let layer = 0; layer < layers; layer++) {
      x = b.relu(b.conv(x, channels, width, {}));
      channels = width;
    }
    x = b.maxPool(x, 2);
  }
  const hidden = b.relu(b.dense(b.to7x7(x, channels), channels * 49, 4096));
  return b.finish('vgg-16', b.dense(b.relu(b.dense(hidden, 4096, 4096)), 4096, CLASSES));
}

/** Sandler et al. 2018, table 2: expansion, channels, repetitions, stride. */
function mobilenetV2(): Uint8Array {
  const b = new Builder(2);
  let x = b.relu6(b.conv('x', 3, 32, { stride: 2 }));
  let channels = 32;
  for (const [expansion, width, repetitions, firstStride] of [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ] as const)
    for (let i = 0; i < repetitions; i++) {
      const stride = i === 0 ? firstStride : 1;
      const wide = expansion * channels;
      const expanded = expansion === 1 ? x : b.relu6(b.conv(x, channels, wide, { kernel: 1 }));
      const depthwise = b.relu6(b.conv(expanded, wide, wide, { stride, groups: wide }));
      const same = stride === 1 && channels === width;
      const narrow = b.conv(depthwise, wide, width, { kernel: 1, ...(same ? { gain: RESIDUAL_GAIN } : {}) });
      x = same ? b.add(x, narrow) : narrow;
      channels = width;
    }
  const last = b.relu6(b.conv(x, channels, 1280, { kernel: 1 }));
  return b.finish('mobilenet-v2', b.dense(b.pool(last), 1280, CLASSES));
}
