/**
 * Draws the example frames: text at a known place on a synthetic street scene, as JPEG, with the ground truth beside
 * them. Run by hand when the frames should change: node dist/hack/draw-frames.js
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import sharp from 'sharp';

/** What is written where in a frame; pixels of the frame as stored. */
export interface Truth {
  readonly file: string;
  readonly text: string;
  readonly box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** Degrees that the frame was turned by. */
  readonly turned: 0 | 180;
}

const fontfile = createRequire(import.meta.url).resolve('dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf');
const folder = new URL('../../examples/frames/', import.meta.url);

/** Text as a picture of this height in pixels, cut to its ink. */
async function lettering(text: string, height: number): Promise<{ picture: Buffer; width: number; height: number }> {
  const { data, info } = await sharp({ text: { text, fontfile, font: 'DejaVu Sans Bold', dpi: 300, rgba: true } })
    .trim()
    .resize({ height, width: 170 * Math.ceil(height / 30), fit: 'inside' })
    .png()
    .toBuffer({ resolveWithObject: true });
  return { picture: data, width: info.width, height: info.height };
}

/** A camera's view: sky, wall, road, and a sign with the text. */
async function scene(file: string, text: string, left: number, top: number, size: number): Promise<Truth> {
  const { picture, width, height } = await lettering(text, size);
  const pad = size / 2;
  const background = `<svg xmlns="http://www.w3.org/2000/svg" width="640" height="480">
    <defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="#9ab"/><stop offset="1" stop-color="#678"/></linearGradient></defs>
    <rect width="640" height="330" fill="url(#sky)"/><rect y="330" width="640" height="150" fill="#555"/>
    <rect x="${left - pad}" y="${top - pad}" width="${width + 2 * pad}" height="${height + 2 * pad}" rx="6" fill="#eee" stroke="#333" stroke-width="3"/></svg>`;
  await sharp(Buffer.from(background))
    .composite([{ input: picture, left, top }])
    .jpeg({ quality: 85 })
    .toFile(new URL(file, folder).pathname);
  return { file, text, box: { left, top, width, height }, turned: 0 };
}

/** A line of text as a reader sees it, cut out; optionally upside down. */
async function line(file: string, text: string, turned: 0 | 180): Promise<Truth> {
  const { picture, width, height } = await lettering(text, 30);
  const frame = await sharp({ create: { width: 192, height: 48, channels: 3, background: '#eee' } })
    .composite([{ input: picture, left: 10, top: Math.round((48 - height) / 2) }])
    .png()
    .toBuffer();
  await sharp(frame).rotate(turned).jpeg({ quality: 90 }).toFile(new URL(file, folder).pathname);
  return { file, text, box: { left: 10, top: Math.round((48 - height) / 2), width, height }, turned };
}

const truths = [
  await scene('entrance-1.jpg', 'GATE 7', 180, 180, 64),
  await scene('entrance-2.jpg', 'EXIT', 330, 90, 80),
  await scene('entrance-3.jpg', 'DOCK 42', 90, 260, 60),
  await scene('parking-1.jpg', 'LEVEL 3', 150, 120, 56),
  await scene('parking-2.jpg', 'FULL', 260, 220, 72),
  await line('plates-1.jpg', 'KX42 DP', 0),
  await line('plates-2.jpg', 'EDGE 21', 0),
  await line('signs-1.jpg', 'ONE WAY', 0),
  await line('signs-2.jpg', 'ONE WAY', 180),
];
writeFileSync(new URL('truth.json', folder), `${JSON.stringify(truths, null, 2)}\n`);
