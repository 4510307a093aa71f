import { availableParallelism } from 'node:os';
import { statSync } from 'node:fs';
import type { LoadedModel } from '../../agent/device/messages.js';
import type { Provider } from '../../agent/device/providers/providers.js';
import { batchGrid } from '../../agent/profile/grid.js';
import { median } from '../figure.js';
import type { Via } from './callers.js';
import { Callers } from './callers.js';

/** What one execution plan did. */
export interface Point {
  readonly plan: 'sequential' | 'batched' | Via;
  readonly callers: number;
  readonly batch: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly framesPerSecond: number;
  /** The slowest and the fastest of the bouts. */
  readonly spread: readonly [number, number];
}

/** How many call at once. */
export const CONCURRENT = [2, 4, 8] as const;
export const LARGEST_BATCH = 64;
const BOUTS = 3;
const SHORTEST_BOUT_MS = 400;
/** A bout of slow runs ends with the run that it is in then. */
const LONGEST_BOUT_MS = 1500;
const RUNS_A_BOUT = 3;
/** Larger batches of a network that takes so long for one are of no use to anybody with a deadline. */
const LONGEST_RUN_MS = 4000;
/** What an open session takes of memory at most: the weights as they were read, and as the kernels want them. */
const BYTES_OF_FILE = 2.5;
const PART_OF_MEMORY = 0.6;

export const CORES = availableParallelism();

/** Sequential, concurrent (threads, processes) and batched execution of a network at one shape. */
export async function measurePlans(model: LoadedModel, provider: Provider): Promise<Point[]> {
  const single = await withCallers(1, 'processes', model, provider, async (callers) => {
    const points: Point[] = [await point(callers, 'sequential', 1, 1)];
    for (const batch of batchGrid(LARGEST_BATCH).slice(1)) {
      const last = points.at(-1)!;
      if ((last.p50Ms / last.batch) * batch > LONGEST_RUN_MS) break;
      points.push(await point(callers, 'batched', 1, batch));
    }
    return points;
  });
  const concurrent: Point[] = [];
  for (const via of ['threads', 'processes'] as const)
    for (const count of CONCURRENT) {
      if (count * BYTES_OF_FILE * statSync(model.path).size > PART_OF_MEMORY * process.availableMemory()) continue;
      concurrent.push(
        await withCallers(count, via, model, provider, (callers) =>
          point(callers, via, count, 1, count * single[0]!.p50Ms),
        ),
      );
    }
  return [...single, ...concurrent];
}

async function withCallers<T>(
  count: number,
  via: Via,
  model: LoadedModel,
  provider: Provider,
  use: (callers: Callers) => Promise<T>,
): Promise<T> {
  // The cores are shared out: so that it is the plan that is compared, not how many threads it has.
  const threads = Math.max(1, Math.floor(CORES / count));
  const callers = await Callers.start(count, via, { model, settings: { provider, threads } });
  try {
    return await use(callers);
  } finally {
    await callers.end();
  }
}

async function point(callers: Callers, plan: Point['plan'], count: number, batch: number, guessMs = 0): Promise<Point> {
  const [[firstMs = 0] = []] = await callers.bout({ batch, forMs: 0 });
  const forMs = Math.min(LONGEST_BOUT_MS, Math.max(SHORTEST_BOUT_MS, RUNS_A_BOUT * Math.max(guessMs, firstMs)));
  const latencies: number[] = [];
  const rates: number[] = [];
  for (let i = 0; i < BOUTS; i++) {
    const each = await callers.bout({ batch, forMs });
    latencies.push(...each.flat());
    // Each caller's own rate while it ran: none waits for the others' last run.
    rates.push(each.reduce((sum, own) => sum + (1000 * batch * own.length) / own.reduce((a, b) => a + b, 0), 0));
  }
  latencies.sort((a, b) => a - b);
  return {
    plan,
    callers: count,
    batch,
    p50Ms: median(latencies),
    p95Ms: latencies[Math.floor(0.95 * latencies.length)]!,
    framesPerSecond: median(rates),
    spread: [Math.min(...rates), Math.max(...rates)],
  };
}
