import { createHash } from 'node:crypto';
import { cpus, release } from 'node:os';
import { createHistogram } from 'node:perf_hooks';
import sharp from 'sharp';
import type { ResourceOf } from '../../api/manifests.js';
import type { Agent } from '../agent.js';
import { networkDims } from '../agent.js';
import { nowUs } from '../clock.js';
import type { DeviceOptions } from '../device/messages.js';
import { runtimeVersion } from '../device/runtime-version.js';
import { decodeImage, imageInput, writePixels } from '../ingest/image.js';

export type Profile = ResourceOf<'GPUProfile'>;
export type ProfiledCategory = NonNullable<NonNullable<Profile['status']>['categories']>[number];

/** WCET = margin × p99, measured while the agent's own ingest runs beside it. */
export const MARGIN = 1.2;
const RUNS = 100;
const LEAST_RUNS = 30;
const MOST_MS_PER_SIZE = 2000;
const WARM_UPS = 3;
const RESIZED_BATCH = 4;
/** Frames per second that ingest takes in while the device is measured. */
export const INGEST_FPS = 40;
const INGEST_WARM_UPS = 20;
const WAKE_SAMPLES = 200;

/** Called as profiling goes on: what is measured and the share that is done. */
export type Progress = (what: string, share: number) => void;

/** Batch sizes that are measured: every small one, then ever coarser, the largest always. */
export function batchGrid(maxBatchSize: number): number[] {
  const sizes = new Set([maxBatchSize]);
  for (let step = 1, size = 1; size < maxBatchSize; size += step) {
    if (size >= 4 * step && size % (2 * step) === 0) step *= 2;
    sizes.add(size);
  }
  return [...sizes].sort((a, b) => a - b);
}

/**
 * Sizes up to the one with the least time per frame: larger ones are faster in several runs, so the dispatcher should
 * not run them at once.
 */
export function worthwhile(batches: ProfiledCategory['batches']): ProfiledCategory['batches'] {
  const best = batches.reduce((a, b) => (b.wcetUs / b.size < a.wcetUs / a.size ? b : a));
  return batches.filter(({ size }) => size <= best.size);
}

/** Every (model, shape) of the catalogue. */
export function catalogue(
  models: Iterable<ResourceOf<'InferenceModel'>>,
): { model: ResourceOf<'InferenceModel'>; shape: readonly number[] }[] {
  return [...models].flatMap((model) => model.spec.shapes.map((shape) => ({ model, shape })));
}

export function deviceDescription({
  provider,
  threads,
}: DeviceOptions): NonNullable<NonNullable<Profile['status']>['device']> {
  return {
    name: cpus()[0]?.model ?? 'unknown processor',
    executionProvider: provider,
    driverVersion: release(),
    runtimeVersion,
    threads,
  };
}

/** Digest of what a measurement depends on besides the device: the network, how it is fed, how it is measured. */
export function fingerprint({ spec }: ResourceOf<'InferenceModel'>): string {
  const { sha256, input, maxBatchSize } = spec;
  return createHash('sha256')
    .update(
      JSON.stringify([sha256, input.name, input.layout, input.elementType, maxBatchSize, MARGIN, RUNS, 'resized']),
    )
    .digest('hex')
    .slice(0, 16);
}

/** Measures E(n) of one category, alone on the device but beside a running ingest (`IngestLoad`). */
export async function measureCategory(
  agent: Agent,
  model: ResourceOf<'InferenceModel'>,
  shape: readonly number[],
  progress: (share: number) => void,
): Promise<ProfiledCategory> {
  const dims = networkDims(shape, model.spec.input.layout ?? 'NCHW');
  const input = { model: model.metadata.name, dims };
  const sizes = batchGrid(model.spec.maxBatchSize ?? 8);
  const batches: ProfiledCategory['batches'] = [];
  let baseBytes = 0;
  let rssBytes = 0;
  for (const [done, size] of sizes.entries()) {
    progress(done / sizes.length);
    for (let i = 0; i < WARM_UPS; i++) {
      const { outputs, rssBytes: bytes } = await agent.device.measure({ input, batch: size });
      if (baseBytes === 0) baseBytes = bytes;
      rssBytes = Math.max(rssBytes, bytes);
      const wrong = outputs.find(({ dims: out }) => out[0] !== size);
      if (wrong !== undefined)
        throw new Error(
          `model "${model.metadata.name}": output "${wrong.name}" of a batch of ${size} has shape [${wrong.dims.join(', ')}]; its first axis must be the batch`,
        );
      agent.describeOutputs(model.metadata.name, shape, outputs);
    }
    const histogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 });
    const untilMs = Date.now() + MOST_MS_PER_SIZE;
    let runs = 0;
    for (; runs < RUNS && (runs < LEAST_RUNS || Date.now() < untilMs); runs++)
      histogram.record(Math.max(1, (await agent.device.measure({ input, batch: size })).us));
    const p99Us = histogram.percentile(99);
    batches.push({ size, p50Us: histogram.percentile(50), p99Us, wcetUs: Math.ceil(p99Us * MARGIN), runs });
  }
  progress(1);
  return {
    model: model.metadata.name,
    sha256: model.spec.sha256,
    fingerprint: fingerprint(model),
    shape: [...shape],
    memoryBytes: Math.max(0, rssBytes - baseBytes),
    resizeUs: await measureResize(agent, model, shape),
    batches: worthwhile(batches),
  };
}

/** Per frame, to make it from a frame of the model's largest shape: p99 of some batches, with the WCET's margin. */
async function measureResize(
  agent: Agent,
  { metadata, spec }: ResourceOf<'InferenceModel'>,
  shape: readonly number[],
): Promise<number> {
  const largest = spec.shapes[0]!;
  if (largest.join() === shape.join() || largest[0] !== shape[0]) return 0;
  const layout = spec.input.layout ?? 'NCHW';
  const batch = Math.min(RESIZED_BATCH, spec.maxBatchSize ?? 8);
  const input = { model: metadata.name, dims: networkDims(shape, layout) };
  const histogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 });
  for (let i = 0; i < LEAST_RUNS; i++) {
    const { us } = await agent.device.measure({ input, batch, from: networkDims(largest, layout) });
    if (i >= WARM_UPS) histogram.record(Math.max(1, us));
  }
  return Math.ceil((histogram.percentile(99) * MARGIN) / batch);
}

/** Runs each measured size once, so that no tenant's frame pays for first-time set-up. */
export async function warmUp(
  agent: Agent,
  model: ResourceOf<'InferenceModel'>,
  category: ProfiledCategory,
): Promise<void> {
  const input = { model: category.model, dims: networkDims(category.shape, model.spec.input.layout ?? 'NCHW') };
  const largest = Math.max(...category.batches.map(({ size }) => size));
  for (const size of batchGrid(largest))
    agent.describeOutputs(category.model, category.shape, (await agent.device.measure({ input, batch: size })).outputs);
}

/** What an agent spends on frames besides running them, in microseconds. */
export interface Overheads {
  /** Per job: the dispatcher's wake-up and bookkeeping. */
  readonly dispatchOverheadUs: number;
  /** Per frame: from arrival to window, and from result to answer. */
  readonly ingestUs: number;
}

/** Keeps the agent's ingest busy with camera-sized JPEG frames, and measures what it takes. */
export class IngestLoad {
  readonly #times = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
  readonly #model: ResourceOf<'InferenceModel'>;
  #running = true;
  #ended: Promise<void> = Promise.resolve();

  constructor(model: ResourceOf<'InferenceModel'>) {
    this.#model = model;
  }

  async start(): Promise<void> {
    const noise = {
      create: {
        width: 640,
        height: 480,
        channels: 3 as const,
        background: '#777',
        noise: { type: 'gaussian' as const, mean: 128, sigma: 30 },
      },
    };
    const jpeg = await sharp(noise).blur(3).jpeg({ quality: 85 }).toBuffer();
    const shape = this.#model.spec.shapes.find(([channels]) => channels === 1 || channels === 3);
    if (shape === undefined) return;
    const input = imageInput(this.#model, shape);
    const slot = new Uint8Array(shape.reduce((product, dim) => product * dim, 1) * 4);
    for (let i = 0; i < INGEST_WARM_UPS; i++) writePixels(await decodeImage(jpeg, input), input, slot);
    this.#ended = (async () => {
      while (this.#running) {
        const startUs = nowUs();
        writePixels(await decodeImage(jpeg, input), input, slot);
        this.#times.record(Math.max(1, nowUs() - startUs));
        await new Promise((resolve) => setTimeout(resolve, 1000 / INGEST_FPS));
      }
    })();
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#ended;
  }

  /**
   * p99 of what was seen, with the same margin as the WCET, and the time to answer.
   *
   * @param channelUs a message's way to the device and back
   */
  ingestUs(channelUs: number): number {
    return Math.ceil(((this.#times.count === 0 ? 0 : this.#times.percentile(99)) + channelUs) * MARGIN) + 1000;
  }
}

/** p99 of a message's way to the device's thread and back, in microseconds. */
export async function measureChannel(agent: Agent): Promise<number> {
  const times = createHistogram({ lowest: 1, highest: 10_000_000, figures: 3 });
  for (let i = 0; i < WAKE_SAMPLES; i++) {
    times.record(Math.max(1, await agent.device.roundTrip()));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return times.percentile(99);
}

/** p99 of the dispatcher's wake-ups and of one turn of its loop, with the WCET's margin. */
export async function measureDispatchOverhead(agent: Agent): Promise<number> {
  const lateness = createHistogram({ lowest: 1, highest: 10_000_000, figures: 3 });
  for (let i = 0; i < WAKE_SAMPLES; i++)
    lateness.record(Math.max(1, await agent.device.wakeLateness(1000 + (i % 10) * 200)));
  return Math.ceil(lateness.percentile(99) * MARGIN) + 100;
}
