import { createWriteStream } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Allowed } from './sources.js';

const LARGEST_DOWNLOAD_BYTES = 16 * 1024 ** 3;
/** A server that sends nothing for so long is given up. */
const SILENCE_MS = 30_000;
const MOST_REDIRECTS = 5;

/** A URL as it may be shown: without a user's name and password, and without a query, which may be a signature. */
export function withoutSecrets(source: string): string {
  const url = new URL(source);
  url.username = url.password = url.search = '';
  return url.href;
}

/**
 * Fetches a URL into a file.
 *
 * @param allowed says where it may come from, after each redirect too
 * @throws Error saying why it cannot be had
 */
export async function fetchInto(file: string, source: string, allowed: Allowed, stop: AbortSignal): Promise<void> {
  const silent = new AbortController();
  const heard = setTimeout(() => silent.abort(new Error(`nothing came for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  try {
    const { body, announced } = await request(source, allowed, AbortSignal.any([stop, silent.signal]));
    const { bavail, bsize } = await statfs(dirname(file));
    const most = Math.min(LARGEST_DOWNLOAD_BYTES, bavail * bsize);
    const tooLarge = (bytes: number): Error =>
      new Error(`it has ${bytes} bytes or more, and ${most} are the most that fit here`);
    if (announced !== undefined && announced > most) throw tooLarge(announced);
    let received = 0;
    const bounded = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        heard.refresh();
        received += chunk.length;
        next(received > most ? tooLarge(received) : null, chunk);
      },
    });
    await pipeline(Readable.fromWeb(body), bounded, createWriteStream(file));
    if (announced !== undefined && received !== announced)
      throw new Error(`${received} bytes came, and ${announced} were announced`);
  } catch (error) {
    const { message, cause } = error as Error & { readonly cause?: { readonly message?: string } };
    throw new Error(cause?.message === undefined ? message : `${message}: ${cause.message}`, { cause: error });
  } finally {
    clearTimeout(heard);
  }
}

async function request(
  source: string,
  allowed: Allowed,
  signal: AbortSignal,
): Promise<{ body: Parameters<typeof Readable.fromWeb>[0]; announced: number | undefined }> {
  let url = new URL(source);
  const { origin } = url;
  const [user, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    allowed(url.href);
    url.username = url.password = '';
    // Whom it redirects to is another one, and is told nothing.
    const headers = url.origin === origin && (user !== '' || password !== '') ? { authorization } : {};
    const response = await fetch(url, { headers, signal, redirect: 'manual' });
    const { status, body } = response;
    const location = response.headers.get('location');
    if (status >= 300 && status < 400 && location !== null) {
      await body?.cancel();
      url = new URL(location, url);
      continue;
    }
    if (!response.ok || body === null) throw new Error(`HTTP ${status}`);
    const plain = response.headers.get('content-encoding') === null;
    const length = response.headers.get('content-length');
    return { body: body as never, announced: plain && length !== null ? Number(length) : undefined };
  }
  throw new Error(`it was redirected more than ${MOST_REDIRECTS} times`);
}
