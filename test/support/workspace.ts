import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { identityNetwork } from './onnx.js';

/** A folder of manifests and models of its own, removed afterwards. */
export interface Workspace {
  readonly root: string;
  /** Where manifests go. */
  readonly dir: string;
  readonly state: string;
  write(file: string, ...objects: object[]): Promise<void>;
  writeText(file: string, text: string): Promise<void>;
  remove(file: string): Promise<void>;
  /** Stores a network and returns its InferenceModel. */
  model(name: string, network: Uint8Array, spec?: object): Promise<object>;
  dispose(): Promise<void>;
}

export async function newWorkspace(): Promise<Workspace> {
  const root = await mkdtemp(join(tmpdir(), 'deeprt-test-'));
  const dir = join(root, 'manifests');
  await mkdir(dir);
  const writeText = (file: string, text: string): Promise<void> => writeFile(join(dir, file), text);
  return {
    root,
    dir,
    state: join(root, 'state'),
    write: (file, ...objects) => writeText(file, objects.map((object) => stringify(object)).join('---\n')),
    writeText,
    remove: (file) => rm(join(dir, file)),
    async model(name, network, spec = {}) {
      await writeFile(join(root, `${name}.onnx`), network);
      return modelManifest(name, createHash('sha256').update(network).digest('hex'), spec);
    },
    dispose: () => rm(root, { recursive: true, force: true }),
  };
}

export function modelManifest(name: string, sha256: string, spec: object = {}): object {
  return {
    apiVersion: 'deeprt.dev/v1alpha1',
    kind: 'InferenceModel',
    metadata: { name },
    spec: {
      source: `file:../${name}.onnx`,
      sha256,
      input: { name: 'in' },
      shapes: [[3, 8, 8]],
      maxBatchSize: 4,
      ...spec,
    },
  };
}

export function tenantManifest(name: string, spec: object = {}): object {
  const { framesPerSecond = 20 } = spec as { readonly framesPerSecond?: number };
  return {
    apiVersion: 'deeprt.dev/v1alpha1',
    kind: 'InferenceTenant',
    metadata: { name },
    spec: {
      modelRef: { name: 'echo' },
      inputShape: [3, 8, 8],
      framesPerSecond,
      jitter: `${Math.max(0, Math.min(50, Math.floor(1000 / framesPerSecond)))}ms`,
      deadline: '400ms',
      ...spec,
    },
  };
}

/** An `echo` model whose answers are the frames themselves. */
export const echoNetwork = (): Uint8Array => identityNetwork('float32', ['n', 3, 8, 8]);
