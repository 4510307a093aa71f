import sharp from 'sharp';

/** A JPEG with as much detail as that of a noisy camera. */
export async function jpegOf(width: number, height: number): Promise<Buffer> {
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 30 };
  const create = { width, height, channels: 3 as const, background: '#777', noise };
  return sharp(await sharp({ create }).blur(3).png({ compressionLevel: 1 }).toBuffer())
    .jpeg({ quality: 80 })
    .toBuffer();
}
