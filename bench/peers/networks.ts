import { fileURLToPath } from 'node:url';
import ort from 'onnxruntime-node';
import { readCatalogue } from '../../cli/directory.js';
import { EXAMPLES, exampleFile } from '../../hack/example-manifests.js';
import { median } from '../figure.js';
import type { Network } from './systems.js';

/** The examples' networks, each with the time of a single frame on one thread. */
export async function networks(names: Iterable<string>): Promise<Map<string, Network & { readonly singleUs: number }>> {
  const { models } = await readCatalogue(EXAMPLES);
  const found = new Map<string, Network & { readonly singleUs: number }>();
  for (const name of new Set(names)) {
    const { spec } = models.get(name)!;
    const path = fileURLToPath(exampleFile(spec.source));
    const dims = spec.shapes!.at(-1)!;
    const session = await ort.InferenceSession.create(path, { intraOpNumThreads: 1 });
    const frame = new ort.Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(0.1), [1, ...dims]);
    const times: number[] = [];
    let outputAxes = 0;
    for (let i = 0; i < 60; i++) {
      const startMs = performance.now();
      const answer = await session.run({ [session.inputNames[0]!]: frame });
      if (i >= 10) times.push((performance.now() - startMs) * 1000);
      outputAxes = answer[session.outputNames[0]!]!.dims.length - 1;
    }
    await session.release();
    found.set(name, {
      name,
      path,
      sha256: spec.sha256,
      input: session.inputNames[0]!,
      output: session.outputNames[0]!,
      outputAxes,
      dims,
      maxBatch: spec.maxBatchSize ?? 8,
      singleUs: median(times),
    });
  }
  return found;
}
