import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import type { ResourceOf } from '../../api/manifests.js';

const LARGEST_DOWNLOAD_BYTES = 16 * 1024 ** 3;
/** A server that sends nothing for so long is given up. */
const SILENCE_MS = 30_000;

/** Downloads that are under way, by the file they make: devices that want the same model wait for one. */
const downloading = new Map<string, Promise<void>>();

/**
 * The ONNX file of a model on this machine, its digest checked. Files from http(s) are kept under `stateDir/models`
 * by their digest and fetched once.
 *
 * @param baseDir what a relative `file:` URI starts from
 */
export async function modelFile(
  model: ResourceOf<'InferenceModel'>,
  baseDir: string,
  stateDir: string,
): Promise<string> {
  const { source, sha256 } = model.spec;
  const wrong = (what: string, cause?: unknown): Error =>
    new Error(`model "${model.metadata.name}": ${what}`, cause === undefined ? {} : { cause });
  const path = source.startsWith('file:')
    ? localPath(source, baseDir)
    : await download(source, sha256, stateDir, wrong);
  try {
    if (!(await stat(path)).isFile()) throw wrong(`${path} is not a file (spec.source)`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw wrong(`there is no file ${path} (spec.source)`, error);
    throw error;
  }
  const found = await digest(path);
  if (found !== sha256)
    throw wrong(`${path} has sha256 ${found}, but spec.sha256 says ${sha256}; it is not the file that was meant`);
  return path;
}

function localPath(source: string, baseDir: string): string {
  return source.startsWith('file://')
    ? fileURLToPath(source)
    : resolve(baseDir, decodeURI(source.slice('file:'.length)));
}

async function download(
  source: string,
  sha256: string,
  stateDir: string,
  wrong: (what: string, cause?: unknown) => Error,
): Promise<string> {
  const path = join(stateDir, 'models', `${sha256}.onnx`);
  if (
    await stat(path).then(
      () => true,
      () => false,
    )
  )
    return path;
  const known = downloading.get(path);
  const mine = known ?? fetchTo(path, source, sha256).finally(() => downloading.delete(path));
  if (known === undefined) downloading.set(path, mine);
  try {
    await mine;
  } catch (error) {
    const { message, cause } = error as Error & { readonly cause?: { readonly message?: string } };
    const why = cause?.message === undefined ? message : `${message}: ${cause.message}`;
    throw wrong(`cannot fetch ${withoutSecrets(source)} (spec.source): ${why}`, error);
  }
  return path;
}

/** A URL as it may be shown: without a user's name and password, and without a query, which may be a signature. */
function withoutSecrets(source: string): string {
  const url = new URL(source);
  url.username = url.password = url.search = '';
  return url.href;
}

async function fetchTo(path: string, source: string, sha256: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.part`;
  const silent = new AbortController();
  const heard = setTimeout(() => silent.abort(new Error(`nothing came for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  try {
    const url = new URL(source);
    const [user, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
    url.username = url.password = '';
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    const headers = user === '' && password === '' ? {} : { authorization };
    const response = await fetch(url, { headers, signal: silent.signal });
    if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
    let received = 0;
    const bounded = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        heard.refresh();
        received += chunk.length;
        next(
          received > LARGEST_DOWNLOAD_BYTES ? new Error(`larger than ${LARGEST_DOWNLOAD_BYTES} bytes`) : null,
          chunk,
        );
      },
    });
    await pipeline(Readable.fromWeb(response.body), bounded, createWriteStream(partial));
    const found = await digest(partial);
    if (found !== sha256) throw new Error(`sha256 is ${found}, but spec.sha256 says ${sha256}`);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    clearTimeout(heard);
  }
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
