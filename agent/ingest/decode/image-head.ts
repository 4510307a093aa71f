import type { ImageForm } from '../../../api/frames.js';
import { BadImage } from '../../image-input.js';

/** What an encoded image says of itself before anything is decoded. */
export interface ImageHead {
  readonly form: ImageForm;
  readonly width: number;
  readonly height: number;
}

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
/** Of JPEG: frames with Huffman coding; those of progressive ones, and those with arithmetic coding or without loss, which nobody decodes. */
const START_OF_FRAME = new Set([0xc0, 0xc1, 0xc2]);
const PROGRESSIVE = 0xc2;
const UNKNOWN_FRAMES = new Set([0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf]);
const START_OF_SCAN = 0xda;

/**
 * Reads the head of a JPEG (ITU-T T.81, B.2) or PNG (RFC 2083, 4.1.1).
 *
 * @throws BadImage when the bytes are not what they are said to be
 */
export function imageHead(body: Buffer, encoding: 'JPEG' | 'PNG'): ImageHead {
  const head = encoding === 'PNG' ? pngHead(body) : jpegHead(body);
  if (head === undefined)
    throw new BadImage(`the body is not an image that can be decoded: it does not begin as a ${encoding} does`);
  if (head.width === 0 || head.height === 0) throw new BadImage(`the ${encoding} has no pixels`);
  return head;
}

function pngHead(body: Buffer): ImageHead | undefined {
  const isPng =
    body.length >= 33 && body.subarray(0, 8).equals(PNG_SIGNATURE) && body.toString('latin1', 12, 16) === 'IHDR';
  if (!isPng) return undefined;
  const [depth, interlace] = [body[24]!, body[28]!];
  const form = interlace !== 0 ? 'InterlacedPNG' : depth === 16 ? 'PNG16' : 'PNG';
  return { form, width: body.readUInt32BE(16), height: body.readUInt32BE(20) };
}

function jpegHead(body: Buffer): ImageHead | undefined {
  if (body.length < 4 || body.readUInt16BE(0) !== 0xffd8) return undefined;
  for (let at = 2; at + 9 < body.length;) {
    if (body[at] !== 0xff) return undefined;
    const marker = body[at + 1]!;
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
      at += marker === 0xff ? 1 : 2; // padding, or a marker without a segment
      continue;
    }
    if (START_OF_FRAME.has(marker))
      return {
        form: marker === PROGRESSIVE ? 'ProgressiveJPEG' : 'JPEG',
        height: body.readUInt16BE(at + 5),
        width: body.readUInt16BE(at + 7),
      };
    if (UNKNOWN_FRAMES.has(marker) || marker === START_OF_SCAN) return undefined;
    at += 2 + body.readUInt16BE(at + 2);
  }
  return undefined;
}
