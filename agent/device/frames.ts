import type { ElementType } from './messages.js';

const BYTES: Readonly<Record<ElementType, number>> = { float32: 4, uint8: 1 };

/** Bytes of one frame. */
export function frameBytes(dims: readonly number[], elementType: ElementType): number {
  return dims.reduce((product, dim) => product * dim, 1) * BYTES[elementType];
}

/** A frame's axes in the network's own order. */
export function networkDims(shape: readonly number[], layout: 'NCHW' | 'NHWC'): number[] {
  const [channels, height, width] = shape as [number, number, number];
  return layout === 'NCHW' ? [channels, height, width] : [height, width, channels];
}
