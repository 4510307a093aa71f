/**
 * `make gpu`: all that there is to measure on a machine with a GPU. Says what the machine can do, profiles the paper's networks
 * and the demo's on each provider that works into bench/profiles/, compares what they put out with the CPU's, and runs the demo.
 * `make gpu ONLY="cuda resnet-50"` does so for some providers and networks; ONLY="cpu mobilenet-v2" tries it out without a GPU.
 */
import { shapeText } from '../api/names.js';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import type { ResourceOf } from '../api/manifests.js';
import { NETWORKS } from '../bench/networks/networks.js';
import { readCatalogue } from '../cli/directory.js';
import type { Health } from '../cli/doctor.js';
import { table } from '../cli/table.js';
import { DEEPRT, EXAMPLES, modelManifests } from './example-manifests.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const PROFILES = fileURLToPath(new URL('../../bench/profiles', import.meta.url));
const GPU_PROVIDERS = ['cuda', 'tensorrt', 'webgpu'];
const DEMO = 'demo';
/** Height and width of the networks' inputs, the largest first. */
const SIZES = [224, 160, 96];
const MOST = 64;
/** Larger batches take seconds there. */
const MOST_ON_CPU = 8;
/** Largest difference of any score from the CPU's, as a part of the largest score; TensorFloat-32 has ten bits of mantissa. */
const TOLERANCE = 1e-2;

function deeprt(...args: string[]): string {
  return execFileSync(process.execPath, [DEEPRT, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The network's file, and its InferenceModel. */
function network(work: string, name: keyof typeof NETWORKS, maxBatchSize: number): { path: string; manifest: string } {
  const path = join(work, `${name}.onnx`);
  const bytes = NETWORKS[name]();
  writeFileSync(path, bytes);
  const manifest = stringify({
    apiVersion: 'deeprt.dev/v1alpha1',
    kind: 'InferenceModel',
    metadata: { name },
    spec: {
      source: `file:${path}`,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      input: { name: 'x' },
      shapes: SIZES.map((size) => [3, size, size]),
      maxBatchSize,
    },
  });
  return { path, manifest };
}

/** The examples' networks at their own shapes that are no larger than 224x224, and there as well where they take squares. */
async function demoNetworks(maxBatchSize: number): Promise<string> {
  const catalogue = await readCatalogue(EXAMPLES);
  const models = new Map(
    [...catalogue.models].map(([name, model]) => {
      const smaller = model.spec.shapes!.filter((shape) => shape[1]! * shape[2]! < 224 * 224);
      const square = smaller.some((shape) => shape[1] === shape[2]);
      const shapes = [...(square ? [[3, 224, 224]] : []), ...smaller];
      return [name, { ...model, spec: { ...model.spec, shapes, maxBatchSize } }];
    }),
  );
  return modelManifests({ ...catalogue, models });
}

function outputs(provider: string, path: string): number[] {
  const args = [join(here, '../bench/network-outputs.js'), provider, path, '224', '224'];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 26 })) as number[];
}

function difference(found: readonly number[], wanted: readonly number[]): number {
  const largest = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((value, i) => Math.abs(value - found[i]!))) / largest;
}

function profileTable({ status }: ResourceOf<'GPUProfile'>): string {
  const mebibytes = (bytes = 0): string => (bytes / 1024 ** 2).toFixed(0);
  const rows = (status?.categories ?? []).map(({ model, shape, batches }) => {
    const [first, last] = [batches[0]!, batches.at(-1)!];
    const weights = status?.models?.find(({ name }) => name === model)?.memoryBytes;
    return [
      ...[model, shapeText(shape), (first.wcetUs / 1000).toFixed(2), String(last.size)],
      ...[(last.wcetUs / 1000 / last.size).toFixed(2), mebibytes(weights), mebibytes(last.memoryBytes)],
    ];
  });
  return table(['NETWORK', 'SHAPE', 'WCET OF 1 MS', 'BATCH', 'WCET MS PER FRAME', 'WEIGHTS MI', 'WORKSPACE MI'], rows);
}

async function main(work: string): Promise<boolean> {
  const only = process.argv.slice(2);
  const names = (Object.keys(NETWORKS) as (keyof typeof NETWORKS)[]).filter(
    (name) => !only.some((each) => each in NETWORKS || each === DEMO) || only.includes(name),
  );
  const withDemo = !only.some((each) => each in NETWORKS) || only.includes(DEMO);
  console.log(deeprt('doctor'));
  const health = JSON.parse(deeprt('doctor', '-o', 'json')) as Health;
  const works = health.providers.filter(({ failure }) => failure === undefined).map(({ provider }) => provider);
  const asked = only.filter((each) => [...GPU_PROVIDERS, 'cpu'].includes(each));
  const providers = works.filter((provider) => (asked.length === 0 ? GPU_PROVIDERS : asked).includes(provider));
  if (providers.length === 0) {
    console.error(`none of the providers ${(asked.length === 0 ? GPU_PROVIDERS : asked).join(', ')} works here`);
    return false;
  }
  const most = providers.includes('cpu') ? MOST_ON_CPU : MOST;
  const networks = names.map((name) => ({ name, ...network(work, name, most) }));
  const manifests = [...networks.map(({ manifest }) => manifest), ...(withDemo ? [await demoNetworks(most)] : [])];
  writeFileSync(join(work, 'models.yaml'), manifests.join('---\n'));
  mkdirSync(PROFILES, { recursive: true });
  let good = true;
  const wanted = new Map(networks.map(({ name, path }) => [name, outputs('cpu', path)]));
  for (const provider of providers) {
    console.log(`\n== ${provider}`);
    const part = join(work, `${provider}.yaml`);
    deeprt('profile', '-f', join(work, 'models.yaml'), '-o', part, '--provider', provider, '--devices', '0');
    const profile = parse(readFileSync(part, 'utf8')) as ResourceOf<'GPUProfile'>;
    const device = profile.status!.device!.name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
    const file = join(PROFILES, `${device}-${provider}.yaml`);
    writeFileSync(file, readFileSync(part));
    console.log(`${profileTable(profile)}\nunsteadiness ${profile.status!.unsteadiness ?? 0}, recorded in ${file}`);
    for (const { name, path } of networks) {
      const off = difference(outputs(provider, path), wanted.get(name)!);
      good &&= off <= TOLERANCE;
      console.log(
        `${off <= TOLERANCE ? 'ok  ' : 'FAIL'}  ${name} differs from the CPU's outputs by ${off.toExponential(1)} of the largest at most`,
      );
    }
    if (!withDemo) continue;
    const { status } = spawnSync(process.execPath, [join(here, 'demo/main.js'), provider], { stdio: 'inherit' });
    good &&= status === 0;
  }
  return good;
}

const work = mkdtempSync(join(tmpdir(), 'deeprt-gpu-'));
try {
  process.exitCode = (await main(work)) ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
