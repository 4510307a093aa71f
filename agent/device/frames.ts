import type { ElementType } from './messages.js';

const BYTES: Readonly<Record<ElementType, number>> = { float32: 4, uint8: 1 };

/** Bytes of one frame. */
export function frameBytes(dims: readonly number[], elementType: ElementType): number {
  return dims.reduce((product, dim) => product * dim, 1) * BYTES[elementType];
}
