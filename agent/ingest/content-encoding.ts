import type { IncomingMessage } from 'node:http';
import type { Readable, Transform } from 'node:stream';
import { createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { BadRequest } from './protocol/bad-request.js';

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  deflate: () => createInflate(),
  zstd: () => createZstdDecompress(),
};

/** How a body is compressed; undefined: it is not. */
function encodingOf({ headers }: IncomingMessage): string | undefined {
  const encoding = headers['content-encoding']?.trim().toLowerCase();
  return encoding === undefined || encoding === '' || encoding === 'identity' ? undefined : encoding;
}

/** Whether a body is larger than its sender announces. What that takes of the stages was not measured: such frames are spare ones. */
export const isCompressed = (req: IncomingMessage): boolean => encodingOf(req) !== undefined;

/**
 * A body as it was before it was compressed (RFC 9110, 8.4). It is for the reader to stop where it becomes too large.
 *
 * @throws BadRequest (415, RFC 9110, 15.5.16) for an encoding that is not offered
 */
export function contentOf(req: IncomingMessage): Readable {
  const encoding = encodingOf(req);
  if (encoding === undefined) return req;
  const decoder = Object.hasOwn(DECODERS, encoding) ? DECODERS[encoding] : undefined;
  if (decoder === undefined)
    throw new BadRequest(
      `content-encoding ${encoding.slice(0, 64)} is not known; send the body as it is, or as gzip, deflate or zstd`,
      415,
      'UnknownContentEncoding',
      { 'Accept-Encoding': 'gzip, deflate, zstd' },
    );
  return req.pipe(decoder());
}
