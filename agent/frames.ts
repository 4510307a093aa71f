import type { Layout } from '../api/names.js';

/** What the elements of a frame may be. */
export type ElementType = 'float32' | 'uint8';

/** What the tenant's input must look like. `dims` are one frame's axes in the network's order. */
export interface ExpectedInput {
  readonly name: string;
  readonly dims: readonly number[];
  readonly elementType: ElementType;
}

/** What an output's elements come in. */
export type OutputArray = NodeJS.TypedArray<ArrayBuffer>;

export interface OutputTensor {
  readonly name: string;
  readonly type: string;
  /** Of the batch; the first axis counts frames. */
  readonly dims: readonly number[];
  readonly data: OutputArray;
}

const BYTES: Readonly<Record<ElementType, number>> = { float32: 4, uint8: 1 };

/** Bytes of one frame. */
export function frameBytes(dims: readonly number[], elementType: ElementType): number {
  return dims.reduce((product, dim) => product * dim, 1) * BYTES[elementType];
}

/** A frame's axes in the network's own order. */
export function networkDims(shape: readonly number[], layout: Layout): number[] {
  const [channels, height, width] = shape as [number, number, number];
  return layout === 'NCHW' ? [channels, height, width] : [height, width, channels];
}
