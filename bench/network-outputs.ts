/**
 * `node network-outputs.js PROVIDER MODEL.onnx HEIGHT WIDTH`: what a network of bench/networks/ puts out for two seeded frames,
 * as JSON; a process of its own per provider.
 */
import { Session } from '../agent/device/thread/sessions.js';
import type { Provider } from '../agent/device/providers/providers.js';
import { seededRandom } from '../sched/arrivals.js';

const [provider, path, height, width] = process.argv.slice(2) as [Provider, string, string, string];
const dims = [3, Number(height), Number(width)];
const model = { name: path, path, layout: 'NCHW', resizes: false } as const;
const session = await Session.open(
  { ...model, inputs: [{ name: 'x', elementType: 'float32', dims }] },
  { provider, threads: 2 },
);
const random = seededRandom(1);
const batch = session.pack(2, dims, (into) => {
  const pixels = new Float32Array(into.buffer, into.byteOffset, into.byteLength / 4);
  for (let i = 0; i < pixels.length; i++) pixels[i] = 2 * random() - 1;
});
const [scores] = await session.run(batch);
process.stdout.write(JSON.stringify([...(scores!.data as Float32Array)]), () => process.exit());
