import sharp from 'sharp';
import { ELEMENT_ARRAYS } from '../../frames.js';
import type { ImageInput } from '../../image-input.js';
import { BadImage, MOST_PIXELS } from '../../image-input.js';

// A library that knows many formats has many ways to go wrong: only those that are offered.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({ operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer'] });
sharp.concurrency(1);
sharp.cache(false);

/**
 * Decodes JPEG or PNG to interleaved 8-bit pixels of the input's height and width: upright as EXIF says, in sRGB, without what is
 * transparent being told from what is not, 16-bit and CMYK images brought to 8-bit sRGB.
 *
 * @throws BadImage when the bytes are no such image
 */
export async function decodeImage(body: Buffer, input: ImageInput): Promise<Buffer> {
  const [channels, height, width] = input.shape as [number, number, number];
  if (channels !== 1 && channels !== 3)
    throw new BadImage(`the model takes ${channels} channels; send a tensor, not an image`);
  const { padding: grey = 0 } = input;
  const image = sharp(body, { limitInputPixels: MOST_PIXELS, failOn: 'error', pages: 1 })
    .autoOrient()
    .removeAlpha()
    .resize(width, height, {
      fit: input.padding === undefined ? 'fill' : 'contain',
      background: { r: grey, g: grey, b: grey },
      kernel: 'linear',
      fastShrinkOnLoad: true,
    });
  try {
    return await (channels === 1 ? image.greyscale() : image.toColourspace('srgb')).raw().toBuffer();
  } catch (error) {
    throw new BadImage(`the body is not an image that can be decoded: ${(error as Error).message.split('\n')[0]!}`);
  }
}

/** Writes decoded pixels into a frame's slot as the network takes them. */
export function writePixels(pixels: Uint8Array, input: ImageInput, slot: Uint8Array): void {
  const [count, height, width] = input.shape as [number, number, number];
  const Elements = ELEMENT_ARRAYS[input.elementType];
  const out = new Elements(slot.buffer as ArrayBuffer, slot.byteOffset, slot.byteLength / Elements.BYTES_PER_ELEMENT);
  const area = height * width;
  for (let channel = 0; channel < count; channel++) {
    const values = input.values[channel]!;
    const [start, step] = input.layout === 'NCHW' ? [channel * area, 1] : [channel, count];
    for (let from = input.channels[channel]!, to = start; from < pixels.length; from += count, to += step)
      out[to] = values[pixels[from]!]!;
  }
}

/** Lets the libraries set themselves up, so that no frame pays for it. */
export async function warmUp(): Promise<void> {
  const grey = sharp({ create: { width: 64, height: 64, channels: 3, background: '#777' } });
  const input = { shape: [3, 32, 32], layout: 'NCHW', elementType: 'uint8', channels: [], values: [] } as const;
  for (const body of [await grey.clone().png().toBuffer(), await grey.clone().jpeg().toBuffer()])
    await decodeImage(body, input);
}
