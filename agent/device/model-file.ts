import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import type { ResourceOf } from '../../api/manifests.js';

const LARGEST_DOWNLOAD_BYTES = 16 * 1024 ** 3;
const DOWNLOAD_TIMEOUT_MS = 600_000;

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
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${process.pid}.part`;
  try {
    const response = await fetch(source, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
    if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
    let received = 0;
    const bounded = new Transform({
      transform(chunk: Buffer, _encoding, next) {
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
    throw wrong(`cannot fetch ${source} (spec.source): ${(error as Error).message}`, error);
  }
  return path;
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
