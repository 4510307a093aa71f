/**
 * Loaded into a device's process before anything else (`DeviceOptions.preload`): makes real ONNX Runtime sessions slow,
 * hang, fail or crash, as the file named in its URL says at each run.
 */
import { readFileSync } from 'node:fs';
import ort from 'onnxruntime-node';

export interface Faults {
  /** Only sessions whose first input has this name; all where absent. */
  readonly input?: string;
  /** Each run takes this many times as long. */
  readonly slow?: number;
  /** Each run takes this much longer for every element of its input, in nanoseconds. */
  readonly nsPerElement?: number;
  /** Each run takes this much longer for every so many elements of its input begun, as a GPU's waves of blocks do. */
  readonly waves?: { readonly elements: number; readonly ms: number; readonly fixedMs: number };
  /** After so many runs, each takes this many times as much longer. */
  readonly tires?: { readonly afterRuns: number; readonly factor: number };
  readonly fail?: string;
  readonly hang?: boolean;
  /** A signal, as native code that goes wrong raises it. */
  readonly crash?: NodeJS.Signals;
  /** The device's process cannot even start. */
  readonly absent?: boolean;
}

/** What to preload for faults that this file describes. */
export const faultyDevice = (faults: string): string => `${import.meta.url}?${encodeURIComponent(faults)}`;

const file = decodeURIComponent(new URL(import.meta.url).search.slice(1));
const { prototype } = ort.InferenceSession as unknown as {
  prototype: { run: (this: ort.InferenceSession, ...rest: unknown[]) => Promise<unknown> };
};
const { run } = prototype;
let runs = 0;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

if (file !== '' && (JSON.parse(readFileSync(file, 'utf8')) as Faults).absent === true)
  throw new Error('no such device');
if (file !== '')
  prototype.run = async function (...rest) {
    const faults = JSON.parse(readFileSync(file, 'utf8')) as Faults;
    if (faults.input !== undefined && this.inputNames[0] !== faults.input) return run.apply(this, rest);
    if (faults.fail !== undefined) throw new Error(faults.fail);
    if (faults.hang === true) Atomics.wait(sleeper, 0, 0);
    if (faults.crash !== undefined) process.kill(process.pid, faults.crash);
    const sinceMs = performance.now();
    const outputs = await run.apply(this, rest);
    const tookMs = performance.now() - sinceMs;
    const [input] = Object.values(rest[0] as Record<string, ort.Tensor>);
    const { waves, tires } = faults;
    const tired = tires !== undefined && ++runs > tires.afterRuns ? tires.factor : 1;
    const inWaves = waves === undefined ? 0 : waves.fixedMs + Math.ceil(input!.size / waves.elements) * waves.ms;
    const perElement = ((faults.nsPerElement ?? 0) * input!.size) / 1e6;
    const extraMs = tookMs * ((faults.slow ?? 1) - 1) + tired * (perElement + inWaves);
    if (extraMs > 0) Atomics.wait(sleeper, 0, 0, extraMs);
    return outputs;
  };
