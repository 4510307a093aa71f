import { createHash } from 'node:crypto';
import { createHistogram } from 'node:perf_hooks';
import { sameShape, shapeText } from '../../api/names.js';
import { WcetTable } from '../../sched/wcet.js';
import type { Measured } from '../device/messages.js';
import type { CompleteModel, ElementType } from '../frames.js';
import { ELEMENT_ARRAYS, frameBytes, inputBytes, inputsOf, networkDims } from '../frames.js';
import type { DeviceService } from '../serving/service.js';
import { batchGrid, nextStep, worthwhile } from './grid.js';
import type { ProfiledCategory } from './profile.js';
import { MARGIN } from './profile.js';

const RUNS = 100;
const LEAST_RUNS = 30;
const MOST_MS_PER_SIZE = 2000;
/** Even the slowest network is run this often, whatever the time allowed. */
const FEWEST_RUNS = 5;
/** One run in so many follows an idle time: a processor that was halted, or clocks that were down, make the first run slower. */
const IDLE_EVERY = 4;
const IDLE_US = 10_000;
const WARM_UPS = 3;
/** The device is steady once the medians of two blocks of runs differ by no more than this part. */
const STEADY = 0.03;
const STEADY_BLOCK = 5;
/** Clocks and temperatures that are not steady after this long do not become so soon. */
const MOST_STEADYING_MS = 3000;
/** So many sizes are measured at most to find where E(n) steps up. */
const MOST_STEPS = 8;
/** Runs of a second look. */
const SECOND_RUNS = 15;
const RESIZED_BATCH = 4;
/** Frames whose answers in a batch are compared with what they are alone. */
const COMPARED = 3;

/** The largest batch that may be run. */
export const mostTogether = ({ spec: { batching, maxBatchSize = 8 } }: CompleteModel): number =>
  batching === 'None' ? 1 : maxBatchSize;

/** Digest of what a measurement depends on besides the device: the network, how it is fed, how it is measured. */
export function fingerprint({ spec }: CompleteModel): string {
  const { sha256, input, otherInputs, maxBatchSize, batching } = spec;
  return createHash('sha256')
    .update(
      JSON.stringify([
        sha256,
        input.name,
        input.layout,
        input.elementType,
        maxBatchSize,
        MARGIN,
        RUNS,
        IDLE_US,
        'noise',
        'beside a busy decode worker',
        ...otherInputs.map(({ shape }) => shape),
        ...(batching === 'None' ? [batching] : []),
      ]),
    )
    .digest('hex')
    .slice(0, 16);
}

/** What measuring may take. */
export interface Allowance {
  /** For one batch size, in milliseconds; a size gets a few runs even so. */
  readonly msPerSize: number;
  /** Told after the first run of each size what the model takes beyond its weights; whether the device has room for it. */
  readonly hasRoom: (workspaceBytes: number) => Promise<boolean>;
  /** What the model takes now beyond its weights. */
  readonly workspaceBytes: () => Promise<number>;
}

/** Time for each of so many sizes, so that they all stay within the time for the whole. */
export const msPerSize = (sizes: number, totalMs: number): number =>
  Math.min(MOST_MS_PER_SIZE, Math.floor(totalMs / Math.max(1, sizes)));

type OutputsOf = Measured['outputs'];

/** Of texts, which have no size of their own, as much as of numbers. */
const outputBytes = ({ type, dims }: OutputsOf[number]): number =>
  frameBytes(dims, type in ELEMENT_ARRAYS ? (type as ElementType) : 'float32');

/** Measures E(n) of one category, alone on the device but beside a running ingest (`IngestLoad`). */
export async function measureCategory(
  service: DeviceService,
  model: CompleteModel,
  shape: readonly number[],
  allowance: Allowance,
  progress: (share: number) => void,
): Promise<ProfiledCategory> {
  const { name } = model.metadata;
  const input = { model: name, dims: networkDims(shape, model.spec.input.layout) };
  const resizeUs = await measureResize(service, model, shape);
  const batches: ProfiledCategory['batches'] = [];
  let outputs: OutputsOf = [];
  const measure = async (size: number): Promise<boolean> => {
    for (let i = 0; i < WARM_UPS; i++) {
      const run = await service.device.measure({ input, batch: size });
      if (size === 1) outputs = run.outputs;
    }
    const memoryBytes = Math.max(await allowance.workspaceBytes(), batches.at(-1)?.memoryBytes ?? 0);
    if (!(await allowance.hasRoom(memoryBytes))) return false;
    const run = async (idleUs = 0): Promise<number> =>
      Math.max(1, (await service.device.measure({ input, batch: size, idleUs })).us);
    const sinceMs = performance.now();
    if (batches.length === 0) await steady(() => run(), Math.min(MOST_STEADYING_MS, 2 * allowance.msPerSize));
    const histogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 });
    let runs = 0;
    const goOn = (): boolean => {
      const spent = (performance.now() - sinceMs) / allowance.msPerSize;
      return runs < FEWEST_RUNS || (runs < RUNS && (spent < 1 || (runs < LEAST_RUNS && spent < 4)));
    };
    for (; goOn(); runs++) histogram.record(await run(runs % IDLE_EVERY === 0 ? IDLE_US : 0));
    const p99Us = histogram.percentile(99);
    const p50Us = histogram.percentile(50);
    batches.push({ size, p50Us, p99Us, wcetUs: Math.ceil(p99Us * MARGIN), runs, memoryBytes });
    return true;
  };

  const most = mostTogether(model);
  const { differs: alone } =
    most === 1 ? {} : await service.device.measure({ input, batch: Math.min(COMPARED, most), compare: true });
  const sizes = alone === undefined ? batchGrid(most) : [1];
  for (const [done, size] of sizes.entries()) {
    progress(done / sizes.length);
    try {
      if (!(await measure(size))) break; // larger ones would not fit either
    } catch (error) {
      if (batches.length === 0 || !isOutOfMemory(error)) throw error;
      break;
    }
  }
  if (batches.length === 0)
    throw new Error(
      `model "${name}": not even one frame of ${shapeText(shape)} fits into the device's memory beside what is promised`,
    );
  for (let more = 0; alone === undefined && more < MOST_STEPS; more++) {
    const size = nextStep(batches.map(({ size, p50Us, wcetUs }) => ({ size, wcetUs: p50Us ?? wcetUs })));
    if (size === undefined || !(await measure(size))) break;
  }
  progress(1);
  return {
    model: name,
    sha256: model.spec.sha256,
    fingerprint: fingerprint(model),
    shape: [...shape],
    frameBytes: inputBytes(inputsOf(model, shape)),
    answerBytes: outputs.reduce((sum, output) => sum + outputBytes(output), 0),
    outputs: outputs.map(({ name, type, dims }) => ({ name, type, dims: [...dims] })),
    resizeUs,
    ...(alone === undefined ? {} : { alone }),
    batches: worthwhile(batches.sort((a, b) => a.size - b.size)),
  };
}

/** Runs until the medians of two blocks in a row agree: caches are filled and clocks are up. */
async function steady(run: () => Promise<number>, mostMs: number): Promise<void> {
  let before = 0;
  for (const untilMs = performance.now() + mostMs; performance.now() < untilMs;) {
    const now = await medianOf(run, STEADY_BLOCK);
    if (Math.abs(now - before) <= STEADY * before) return;
    before = now;
  }
}

async function medianOf(run: () => Promise<number>, runs: number): Promise<number> {
  const times: number[] = [];
  while (times.length < runs) times.push(await run());
  return times.sort((a, b) => a - b)[runs >> 1]!;
}

/** How the runtime and the drivers below it put it. */
function isOutOfMemory(error: unknown): boolean {
  return /out of memory|allocat|bad_alloc|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation/i.test(
    (error as Error).message,
  );
}

/**
 * Looks at a measured category again, after others were measured: the medians of its smallest, a middle and its largest
 * batch size.
 *
 * @returns by how many times each took as long as before
 */
export async function lookAgain(
  service: DeviceService,
  { spec }: CompleteModel,
  { model, shape, batches }: ProfiledCategory,
): Promise<number[]> {
  const input = { model, dims: networkDims(shape, spec.input.layout) };
  const ratios: number[] = [];
  for (const { size, p50Us, wcetUs } of new Set([batches[0]!, batches[batches.length >> 1]!, batches.at(-1)!])) {
    const run = async (): Promise<number> => (await service.device.measure({ input, batch: size })).us;
    for (let i = 0; i < WARM_UPS; i++) await run();
    ratios.push((await medianOf(run, SECOND_RUNS)) / (p50Us ?? wcetUs));
  }
  return ratios;
}

/** A category whose figures are so many times as long. */
export function slowed(category: ProfiledCategory, factor: number): ProfiledCategory {
  const times = (us: number): number => Math.max(1, Math.ceil(us * factor));
  return {
    ...category,
    batches: category.batches.map(({ p50Us, p99Us, wcetUs, ...batch }) => ({
      ...batch,
      ...(p50Us === undefined ? {} : { p50Us: times(p50Us) }),
      ...(p99Us === undefined ? {} : { p99Us: times(p99Us) }),
      wcetUs: times(wcetUs),
    })),
  };
}

/** Per frame, to make it from a frame of the model's largest shape: p99 of some batches, with the WCET's margin. */
async function measureResize(service: DeviceService, model: CompleteModel, shape: readonly number[]): Promise<number> {
  const { metadata, spec } = model;
  const largest = spec.shapes[0]!;
  if (sameShape(largest, shape) || largest[0] !== shape[0]) return 0;
  const layout = spec.input.layout;
  const batch = Math.min(RESIZED_BATCH, mostTogether(model));
  const input = { model: metadata.name, dims: networkDims(shape, layout) };
  const histogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 });
  for (let i = 0; i < LEAST_RUNS; i++) {
    const { us } = await service.device.measure({ input, batch, from: networkDims(largest, layout) });
    if (i >= WARM_UPS) histogram.record(Math.max(1, us));
  }
  return Math.ceil((histogram.percentile(99) * MARGIN) / batch);
}

/** Runs each measured size once, so that no tenant's frame pays for first-time set-up. */
export async function warmUp(service: DeviceService, model: CompleteModel, category: ProfiledCategory): Promise<void> {
  const input = { model: category.model, dims: networkDims(category.shape, model.spec.input.layout) };
  const table = new WcetTable(category.batches.map(({ size, wcetUs }) => ({ batch: size, wcetUs })));
  for (const size of batchGrid(table.largestBatch))
    await service.device.measure({ input, batch: size, aboutUs: table.at(size) });
}
