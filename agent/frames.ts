import type { ResourceOf } from '../api/manifests.js';
import type { Layout } from '../api/names.js';

/** What the elements of a frame may be, and what they come in. Runtimes without Float16Array have float16 as Uint16Array. */
export const ELEMENT_ARRAYS = {
  float16: (globalThis as unknown as { Float16Array?: typeof Uint16Array }).Float16Array ?? Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

export type ElementType = keyof typeof ELEMENT_ARRAYS;

/** Frees outputs at once: left to the garbage collector, megabytes a second of them would make for long pauses. */
export function freeOutputs(outputs: readonly OutputTensor[]): void {
  for (const { data } of outputs) if (!(data instanceof Texts) && !data.buffer.detached) data.buffer.transfer(0);
}

/** One of the tensors that a frame is made of. `dims` are the frame's axes in the network's order. */
export interface ExpectedInput {
  readonly name: string;
  readonly dims: readonly number[];
  readonly elementType: ElementType;
}

/** What an output's elements come in. */
export type OutputArray = NodeJS.TypedArray<ArrayBuffer> | Texts;

/** Elements that are strings, as far as they can stand in for an array of numbers. */
export class Texts {
  readonly values: readonly string[];

  constructor(values: readonly string[]) {
    this.values = values;
  }

  get length(): number {
    return this.values.length;
  }

  get byteLength(): number {
    return this.values.reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  }

  subarray(from: number, to: number): Texts {
    return new Texts(this.values.slice(from, to));
  }
}

export interface OutputTensor {
  readonly name: string;
  readonly type: string;
  /** Of the batch; the first axis counts frames. */
  readonly dims: readonly number[];
  readonly data: OutputArray;
}

const elementsOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** Bytes of one frame's tensor. */
export const frameBytes = (dims: readonly number[], elementType: ElementType): number =>
  elementsOf(dims) * ELEMENT_ARRAYS[elementType].BYTES_PER_ELEMENT;

/** Bytes of all tensors of a frame, which lie one after the other. */
export const inputBytes = (inputs: readonly ExpectedInput[]): number =>
  inputs.reduce((sum, { dims, elementType }) => sum + frameBytes(dims, elementType), 0);

/** Numbers that a frame's tensors have together. */
export const inputElements = (inputs: readonly ExpectedInput[]): number =>
  inputs.reduce((sum, { dims }) => sum + elementsOf(dims), 0);

/** A frame's axes in the network's own order; only those of images have more than one. */
export function networkDims(shape: readonly number[], layout: Layout): number[] {
  const [channels, height, width] = shape as [number, number, number];
  return shape.length !== 3 || layout === 'NCHW' ? [...shape] : [height, width, channels];
}

/** The opposite. */
export function shapeOfDims(dims: readonly number[], layout: Layout): number[] {
  return dims.length !== 3 || layout === 'NCHW' ? [...dims] : [dims[2]!, dims[0]!, dims[1]!];
}

/** A model whose manifest leaves nothing to its network. */
export type CompleteModel = Omit<Model, 'spec'> & {
  readonly spec: Omit<Model['spec'], 'input' | 'shapes' | 'otherInputs'> & {
    readonly input: { readonly name: string; readonly elementType: ElementType; readonly layout: Layout };
    readonly shapes: number[][];
    readonly otherInputs: { readonly name: string; readonly elementType: ElementType; readonly shape: number[] }[];
  };
  /** By name, the axes of each output for one frame, where the network declares them; -1: free. */
  readonly outputAxes: ReadonlyMap<string, readonly number[]>;
};

type Model = ResourceOf<'InferenceModel'>;

/** The tensors that a frame of this shape is made of; the one that the shape is of first. */
export function inputsOf({ spec: { input, otherInputs } }: CompleteModel, shape: readonly number[]): ExpectedInput[] {
  const { name, elementType, layout } = input;
  const others = otherInputs.map(({ shape: dims, ...other }) => ({ ...other, dims }));
  return [{ name, elementType, dims: networkDims(shape, layout) }, ...others];
}
