import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { shapeText } from '../../api/names.js';
import type { LoadedModel } from '../../agent/device/messages.js';
import { readCatalogue } from '../../cli/directory.js';
import { EXAMPLES, exampleFile } from '../../hack/example-manifests.js';
import { NETWORKS } from '../networks/networks.js';

/** A network at one shape. */
export interface Subject {
  readonly network: string;
  readonly shape: string;
  readonly model: LoadedModel;
}

const SIZES = [224, 96];
/** Of the demo's networks, at which their manifests name one shape only; all take any width. */
const NARROWER = 0.5;

/** The paper's networks, written into the folder, and the demo's: each at two shapes; `only` some, where it names any. */
export async function subjects(folder: string, only: readonly string[]): Promise<Subject[]> {
  const wanted = (network: string): boolean => only.length === 0 || only.includes(network);
  const found: Subject[] = [];
  const add = (network: string, path: string, dims: readonly number[]): void => {
    const inputs = [{ name: 'x', elementType: 'float32', dims }] as const;
    const model = { name: network, path, inputs, layout: 'NCHW', resizes: false } as const;
    found.push({ network, shape: shapeText(dims), model });
  };
  for (const [network, write] of Object.entries(NETWORKS)) {
    if (!wanted(network)) continue;
    const path = join(folder, `${network}.onnx`);
    writeFileSync(path, write());
    for (const size of SIZES) add(network, path, [3, size, size]);
  }
  const { models } = await readCatalogue(EXAMPLES);
  for (const [network, { spec }] of models) {
    if (!wanted(network)) continue;
    const path = fileURLToPath(exampleFile(spec.source));
    const [largest, smaller = [...largest!.slice(0, -1), NARROWER * largest!.at(-1)!]] = spec.shapes!;
    for (const dims of [largest!, smaller]) add(network, path, dims);
  }
  return found;
}
