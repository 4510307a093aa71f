import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import ort from 'onnxruntime-node';
import type { Layout } from '../../../api/names.js';
import type { ElementType } from '../../frames.js';
import type { SessionSettings } from '../providers/providers.js';
import { sessionOptions } from '../providers/providers.js';

/** Field numbers of onnx.proto3 (ONNX IR version 8, operator set 18). */
const IR_VERSION = 8;
const OPSET = 18;
const FLOAT = 1;
const UINT8 = 2;
const INT64 = 7;
const ATTRIBUTE = { int: 2, string: 3, ints: 7 } as const;

const spatialAxes = (layout: Layout): [number, number] => (layout === 'NCHW' ? [2, 3] : [1, 2]);

/**
 * A network that resizes batches: linear.
 *
 * @param antialias averaging where it shrinks, so that nothing small is skipped over
 */
export function resizeNetwork(elementType: ElementType, layout: Layout, antialias: boolean): Uint8Array {
  const type = elementType === 'float32' ? FLOAT : UINT8;
  return message((model) => {
    int(model, 1, IR_VERSION);
    part(model, 7, (graph) => {
      part(graph, 1, (node) => {
        for (const input of ['x', '', '', 'sizes']) text(node, 1, input);
        text(node, 2, 'y');
        text(node, 4, 'Resize');
        attribute(node, 'mode', ATTRIBUTE.string, (value) => text(value, 4, 'linear'));
        attribute(node, 'antialias', ATTRIBUTE.int, (value) => int(value, 3, antialias ? 1 : 0));
        attribute(node, 'axes', ATTRIBUTE.ints, (value) => spatialAxes(layout).forEach((axis) => int(value, 8, axis)));
      });
      text(graph, 2, 'resize');
      tensor(graph, 11, 'x', type, ['n', 'a', 'b', 'c']);
      tensor(graph, 11, 'sizes', INT64, [2]);
      tensor(graph, 12, 'y', type, ['n', 'p', 'q', 'r']);
    });
    part(model, 8, (opset) => {
      text(opset, 1, '');
      int(opset, 2, OPSET);
    });
  });
}

/** Makes batches of a smaller shape, on the device itself. */
export class Resizer {
  readonly #session: ort.InferenceSession;
  readonly #axes: [number, number];

  private constructor(session: ort.InferenceSession, layout: Layout) {
    this.#session = session;
    this.#axes = spatialAxes(layout);
  }

  static async open(elementType: ElementType, layout: Layout, settings: SessionSettings): Promise<Resizer> {
    // The WebGPU provider's Resize does not know antialiasing.
    const network = resizeNetwork(elementType, layout, settings.provider !== 'webgpu');
    const session = await ort.InferenceSession.create(network, sessionOptions(settings));
    return new Resizer(session, layout);
  }

  /** @param dims of one frame, in the network's own order */
  async run(batch: ort.Tensor, dims: readonly number[]): Promise<ort.Tensor> {
    const sizes = BigInt64Array.from(this.#axes, (axis) => BigInt(dims[axis - 1]!));
    const { y } = await this.#session.run({ x: batch, sizes: new ort.Tensor('int64', sizes, [2]) });
    return y!;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

/**
 * Makes a grey frame half as large: the least that shows whether a provider works.
 *
 * @throws Error when it does not
 */
export async function halve(resizer: Resizer): Promise<void> {
  const grey = new Float32Array(3 * 8 * 8).fill(0.5);
  const output = await resizer.run(new ort.Tensor('float32', grey, [1, 3, 8, 8]), [3, 4, 4]);
  const values = (await output.getData()) as Float32Array;
  if (values.length !== 48 || values.some((value) => Math.abs(value - 0.5) > 1e-3))
    throw new Error('it computes wrong results');
}

type Fill = (writer: BinaryWriter) => void;

function message(fill: Fill): Uint8Array {
  const writer = new BinaryWriter();
  fill(writer);
  return writer.finish();
}

function part(writer: BinaryWriter, field: number, fill: Fill): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  fill(writer);
  writer.join();
}

const text = (writer: BinaryWriter, field: number, value: string): void =>
  void writer.tag(field, WireType.LengthDelimited).string(value);
const int = (writer: BinaryWriter, field: number, value: number): void =>
  void writer.tag(field, WireType.Varint).int64(value);

function attribute(node: BinaryWriter, name: string, type: number, value: Fill): void {
  part(node, 5, (writer) => {
    text(writer, 1, name);
    value(writer);
    int(writer, 20, type);
  });
}

function tensor(
  graph: BinaryWriter,
  field: number,
  name: string,
  type: number,
  dims: readonly (number | string)[],
): void {
  part(graph, field, (value) => {
    text(value, 1, name);
    part(value, 2, (typed) =>
      part(typed, 1, (described) => {
        int(described, 1, type);
        part(described, 2, (shape) => {
          for (const dim of dims)
            part(shape, 1, (axis) => (typeof dim === 'number' ? int(axis, 1, dim) : text(axis, 2, dim)));
        });
      }),
    );
  });
}
