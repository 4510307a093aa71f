import sharp from 'sharp';
import type { ResourceOf } from '../../api/manifests.js';

/** Larger images are refused before they are decoded. */
const MOST_PIXELS = 64 * 1024 * 1024;

sharp.concurrency(1);
sharp.cache(false);

/** What a model makes of an encoded image: its input tensor's layout and the affine map of each channel. */
export interface ImageInput {
  readonly shape: readonly number[];
  readonly layout: 'NCHW' | 'NHWC';
  readonly elementType: 'float32' | 'uint8';
  /** Per channel of the input, which channel of an RGB pixel it takes. */
  readonly channels: readonly number[];
  /** Per channel of the input, its value for each of a pixel's 256 values. */
  readonly values: readonly Float32Array[];
}

export function imageInput({ spec }: ResourceOf<'InferenceModel'>, shape: readonly number[]): ImageInput {
  const count = shape[0]!;
  const { scale = 1, mean, std, colorOrder = 'RGB' } = spec.preprocessing ?? {};
  const order = count === 3 && colorOrder === 'BGR' ? [2, 1, 0] : Array.from({ length: count }, (_, i) => i);
  return {
    shape,
    layout: spec.input.layout ?? 'NCHW',
    elementType: spec.input.elementType ?? 'float32',
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

/**
 * Decodes JPEG or PNG to interleaved 8-bit pixels of the input's height and width (stretched, as detectors expect).
 * The work happens in libuv's pool.
 *
 * @throws BadImage when the bytes are no such image
 */
export async function decodeImage(body: Buffer, input: ImageInput): Promise<Buffer> {
  const [channels, height, width] = input.shape as [number, number, number];
  if (channels !== 1 && channels !== 3)
    throw new BadImage(`the model takes ${channels} channels; send a tensor, not an image`);
  const image = sharp(body, { limitInputPixels: MOST_PIXELS, failOn: 'error', pages: 1 })
    .resize(width, height, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: true })
    .removeAlpha();
  try {
    return await (channels === 1 ? image.greyscale() : image.toColourspace('srgb')).raw().toBuffer();
  } catch (error) {
    throw new BadImage(`the body is not an image that can be decoded: ${(error as Error).message.split('\n')[0]!}`);
  }
}

/** Writes decoded pixels into a frame's slot as the network takes them. */
export function writePixels(pixels: Uint8Array, input: ImageInput, slot: Uint8Array): void {
  const [count, height, width] = input.shape as [number, number, number];
  const out =
    input.elementType === 'float32' ? new Float32Array(slot.buffer, slot.byteOffset, slot.byteLength / 4) : slot;
  const area = height * width;
  for (let channel = 0; channel < count; channel++) {
    const values = input.values[channel]!;
    const [start, step] = input.layout === 'NCHW' ? [channel * area, 1] : [channel, count];
    for (let from = input.channels[channel]!, to = start; from < pixels.length; from += count, to += step)
      out[to] = values[pixels[from]!]!;
  }
}

/** Lets at most `width` tasks run at once, the urgent ones first: decoding must not take all cores from the device. */
export class Gate {
  #free: number;
  readonly #urgent: (() => void)[] = [];
  readonly #others: (() => void)[] = [];

  constructor(width: number) {
    this.#free = width;
  }

  async run<T>(urgent: boolean, task: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => (urgent ? this.#urgent : this.#others).push(resolve));
    else this.#free--;
    try {
      return await task();
    } finally {
      const next = this.#urgent.shift() ?? this.#others.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
