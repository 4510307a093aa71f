import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, constants, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { runtimeVersion } from './runtime.js';

const run = promisify(execFile);

/** The wheel that carries the libraries for an ONNX Runtime version: any Python's would do, one is pinned. */
const WHEELS: Readonly<
  Record<string, { readonly python: string; readonly platform: string; readonly sha256: string }>
> = {
  '1.30.0/x64': {
    python: '3.12',
    platform: 'manylinux_2_28_x86_64',
    sha256: '6acc0f4b3d5ac5f2984432faa59dd8fcce6775f8b43a7140afa0f322c7a703b1',
  },
};
const LIBRARIES = ['shared', 'cuda', 'tensorrt'].map((name) => `libonnxruntime_providers_${name}.so`);
/** Takes the named members out of a wheel, without their folders. */
const UNPACK = `import sys, zipfile, shutil, os
wheel, target, *names = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in names:
        part = os.path.join(target, name + '.part')
        with archive.open('onnxruntime/capi/' + name) as source, open(part, 'wb') as sink:
            shutil.copyfileobj(source, sink)
        os.replace(part, os.path.join(target, name))`;

/**
 * Installs ONNX Runtime's CUDA and TensorRT provider libraries beside onnxruntime-node. They come in the Python wheel
 * onnxruntime-gpu of the same version, from whatever package index pip is set up to trust, and are checked against a
 * recorded digest.
 *
 * @returns the files installed
 * @throws Error saying what is missing or wrong
 */
export async function installCuda(): Promise<string[]> {
  const key = `${runtimeVersion}/${process.arch}`;
  const wheel = WHEELS[key];
  if (process.platform !== 'linux' || wheel === undefined)
    throw new Error(
      `no CUDA libraries are recorded for ONNX Runtime ${runtimeVersion} on ${process.platform}/${process.arch}; there are ${Object.keys(WHEELS).join(', ')}`,
    );
  const target = join(
    dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')),
    'bin/napi-v6/linux',
    process.arch,
  );
  await access(target, constants.W_OK).catch(() => {
    throw new Error(
      `${target} cannot be written to; run this as the user that installed deeprt, or while building its image`,
    );
  });
  const work = await mkdtemp(join(tmpdir(), 'deeprt-cuda-'));
  try {
    const what = ['--no-deps', '--only-binary=:all:', '--python-version', wheel.python, '--platform', wheel.platform];
    await run('python3', ['-m', 'pip', 'download', `onnxruntime-gpu==${runtimeVersion}`, ...what, '-d', work]).catch(
      (error: Error & { stderr?: string }) => {
        throw new Error(
          `python3 -m pip could not download onnxruntime-gpu ${runtimeVersion}: ${error.stderr ?? error.message}`,
        );
      },
    );
    const [file] = await readdir(work);
    const digest = createHash('sha256');
    await pipeline(createReadStream(join(work, file!)), digest);
    const found = digest.digest('hex');
    if (found !== wheel.sha256)
      throw new Error(`${file!} has sha256 ${found}, not ${wheel.sha256} as recorded; nothing was installed`);
    await run('python3', ['-c', UNPACK, join(work, file!), target, ...LIBRARIES]);
    return LIBRARIES.map((name) => join(target, name));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
