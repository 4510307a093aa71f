import type { Layout } from '../api/names.js';
import type { CompleteModel, ElementType } from './frames.js';

/** What pixels may become. */
export type PixelType = Exclude<ElementType, 'int64' | 'uint64'>;

/** Larger images are refused before they are decoded. */
export const MOST_PIXELS = 64 * 1024 * 1024;

/** What a model makes of an encoded image: its input tensor's layout and the affine map of each channel. */
export interface ImageInput {
  readonly shape: readonly number[];
  readonly layout: Layout;
  readonly elementType: PixelType;
  /** Whether an image's proportion is kept, and the pixel value that fills what is left at its ends; undefined: it is stretched. */
  readonly padding?: number;
  /** Per channel of the input, which channel of an RGB pixel it takes. */
  readonly channels: readonly number[];
  /** Per channel of the input, its value for each of a pixel's 256 values. */
  readonly values: readonly Float32Array[];
}

/** How images become frames of this shape; undefined where they cannot: a frame is no image, or has other tensors beside it. */
export function imageInput({ spec }: CompleteModel, shape: readonly number[]): ImageInput | undefined {
  const { layout, elementType } = spec.input;
  if (shape.length !== 3 || spec.otherInputs.length > 0 || elementType === 'int64' || elementType === 'uint64')
    return undefined;
  const count = shape[0]!;
  const { scale = 1, mean, std, colorOrder = 'RGB', resize, padding = 114 } = spec.preprocessing ?? {};
  const order = count === 3 && colorOrder === 'BGR' ? [2, 1, 0] : Array.from({ length: count }, (_, i) => i);
  return {
    shape,
    layout,
    elementType,
    ...(resize === 'Letterbox' ? { padding } : {}),
    channels: order,
    values: order.map((_, channel) =>
      Float32Array.from(
        { length: 256 },
        (__, pixel) => (pixel * scale - (mean?.[channel] ?? 0)) / (std?.[channel] ?? 1),
      ),
    ),
  };
}

/** An image that cannot be used; the message is meant for its sender. */
export class BadImage extends Error {}
