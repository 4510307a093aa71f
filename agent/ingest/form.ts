import type { IncomingMessage } from 'node:http';
import type { Request } from 'express';
import type { FrameHead } from '../../api/frames.js';
import { inputElements } from '../frames.js';
import { MOST_PIXELS } from '../image-input.js';
import type { ServedTenant } from '../serving/tenant.js';
import type { Body } from './body.js';
import { imageHead } from './decode/image-head.js';
import { BadRequest } from './protocol/bad-request.js';
import { LARGEST_HEADER_BYTES } from './protocol/request.js';

export const LARGEST_IMAGE_BYTES = 16 * 1024 * 1024;
const LARGEST_TENSOR_BYTES = 256 * 1024 * 1024;
/** A JSON number of a tensor takes at most this many characters on average; longer bodies are refused. */
const JSON_BYTES_PER_ELEMENT = 24;

/** How a frame's body comes. */
export type Form = 'Tensor' | 'JSON' | 'JPEG' | 'PNG';

/** Content types of images, and what cameras call them besides. */
const IMAGES: Readonly<Record<string, Form>> = {
  'image/jpeg': 'JPEG',
  'image/jpg': 'JPEG',
  'image/pjpeg': 'JPEG',
  'image/png': 'PNG',
  'image/x-png': 'PNG',
};

/** Whether a request goes on and on: a camera's MJPEG stream. */
export const isStream = ({ headers }: IncomingMessage): boolean =>
  headers['content-type']?.trim().toLowerCase().startsWith('multipart/x-mixed-replace') === true;

/** @throws BadRequest (415) when it is none of those that are offered */
export function formOf(req: Request): Form {
  const form = formOfType(req.headers['content-type'] ?? 'application/json');
  if (form !== undefined) return form;
  return req.headers['inference-header-content-length'] === undefined ? 'JSON' : 'Tensor';
}

/** The form of an image; undefined for what is none. @throws BadRequest (415) for images of other kinds */
export function formOfType(contentType: string): Form | undefined {
  const type = contentType.split(';')[0]!.trim().toLowerCase();
  const image = Object.hasOwn(IMAGES, type) ? IMAGES[type] : undefined;
  if (image !== undefined) return image;
  if (type.startsWith('image/') || type.startsWith('video/') || type.startsWith('multipart/'))
    throw new BadRequest(
      `content-type ${type.slice(0, 64)} is not known; send image/jpeg, image/png or a tensor`,
      415,
      'UnknownContentType',
      { Accept: 'image/jpeg, image/png, application/json, application/octet-stream' },
    );
  return undefined;
}

/** The most bytes that a frame of a tenant may take. @throws BadRequest (415) where its model takes no images */
export function largestBody(form: Form, { terms }: ServedTenant): number {
  if (form === 'JPEG' || form === 'PNG') {
    if (terms.image !== undefined) return LARGEST_IMAGE_BYTES;
    const takes = terms.inputs.map(({ name }) => `"${name}"`).join(', ');
    throw new BadRequest(
      `images do not make frames of this model; send tensors for ${takes}`,
      415,
      'UnknownContentType',
    );
  }
  const most = LARGEST_HEADER_BYTES + JSON_BYTES_PER_ELEMENT * inputElements(terms.inputs);
  return Math.min(LARGEST_TENSOR_BYTES, most);
}

/**
 * What a body is, by its head.
 *
 * @throws BadImage, BadRequest (413) when it is an image with more pixels than are ever decoded
 */
export function headOf({ chunks, bytes }: Body, form: Form): FrameHead {
  if (form === 'Tensor' || form === 'JSON') return { form, bytes };
  const { form: kind, width, height } = imageHeadOf(chunks, form);
  const pixels = width * height;
  if (pixels <= MOST_PIXELS) return { form: kind, bytes, pixels };
  const message = `the image has ${width}x${height} pixels; at most ${MOST_PIXELS} are decoded`;
  throw new BadRequest(message, 413, 'ImageTooLarge');
}

/** Usually in the first chunk, but it may be long. */
function imageHeadOf(chunks: readonly Buffer[], form: 'JPEG' | 'PNG'): ReturnType<typeof imageHead> {
  try {
    return imageHead(chunks[0] ?? Buffer.alloc(0), form);
  } catch (error) {
    if (chunks.length < 2) throw error;
    return imageHead(Buffer.concat(chunks), form);
  }
}
