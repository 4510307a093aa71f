import type { ImageForm } from '../../api/frames.js';

/** Sizes that images are decoded at to learn what a frame and what its pixels take. */
const SIZES = [
  [320, 240],
  [800, 600],
] as const;

export interface Picture {
  readonly form: ImageForm;
  readonly pixels: number;
  readonly body: Buffer;
}

let made: Promise<readonly Picture[]> | undefined;

/** Images of each form, small and large, with as much detail as those of a noisy camera. */
export const pictures = (): Promise<readonly Picture[]> => (made ??= draw());

async function draw(): Promise<Picture[]> {
  const { default: sharp } = await import('sharp');
  const all: Picture[] = [];
  for (const [width, height] of SIZES) {
    const noise = { type: 'gaussian' as const, mean: 128, sigma: 30 };
    const raw = await sharp({ create: { width, height, channels: 3, background: '#777', noise } })
      .blur(2)
      .raw()
      .toBuffer();
    const picture = (): ReturnType<typeof sharp> => sharp(raw, { raw: { width, height, channels: 3 } });
    const png = { compressionLevel: 1 };
    const bodies: [ImageForm, Promise<Buffer>][] = [
      ['JPEG', picture().jpeg({ quality: 85 }).toBuffer()],
      ['ProgressiveJPEG', picture().jpeg({ quality: 85, progressive: true }).toBuffer()],
      ['PNG', picture().png(png).toBuffer()],
      [
        'InterlacedPNG',
        picture()
          .png({ ...png, progressive: true })
          .toBuffer(),
      ],
      ['PNG16', picture().toColourspace('rgb16').png(png).toBuffer()],
    ];
    for (const [form, body] of bodies) all.push({ form, pixels: width * height, body: await body });
  }
  return all;
}
