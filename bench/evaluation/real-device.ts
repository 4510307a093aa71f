import { createHistogram } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { batchGrid } from '../../agent/profile/grid.js';
import { MARGIN } from '../../agent/profile/profile.js';
import type { LoadedModel } from '../../agent/device/messages.js';
import { WcetTable } from '../../sched/wcet.js';
import type { DeviceData } from './device-words.js';
import { ASKED, COUNT, DONE, LENGTH, MODEL, STARTING, STATE, TOOK_US } from './device-words.js';
import type { Execute } from './rules.js';

const LARGEST_BATCH = 16;
const WARM_UPS = 3;
const RUNS = 60;
const LONGEST_MS = 60_000;

/**
 * A core that executes the runs of a simulation by ONNX Runtime: what they take is real, the time between them is skipped. Its caller
 * stands still meanwhile, as simulations know no waiting.
 */
export class RealDevice {
  readonly #worker: Worker;
  readonly #words: Int32Array;
  readonly #models: readonly LoadedModel[];

  private constructor(models: readonly LoadedModel[]) {
    const shared = new SharedArrayBuffer(4 * LENGTH);
    this.#words = new Int32Array(shared);
    this.#models = models;
    const workerData: DeviceData = { models, shared };
    this.#worker = new Worker(new URL('./device-thread.js', import.meta.url), { workerData });
  }

  /** @throws Error with what ONNX Runtime said when a network does not load */
  static async open(models: readonly LoadedModel[]): Promise<RealDevice> {
    const device = new RealDevice(models);
    await new Promise<void>((resolve, reject) => {
      device.#worker.once('error', reject);
      const { value } = Atomics.waitAsync(device.#words, STATE, STARTING);
      void Promise.resolve(value).then(() => resolve());
    });
    return device;
  }

  /** E(n) of each network: p99 with the margin that profiles have. */
  tables(): WcetTable[] {
    return this.#models.map((_, model) => {
      const points = batchGrid(LARGEST_BATCH).map((batch) => {
        for (let i = 0; i < WARM_UPS; i++) this.run(model, batch);
        const histogram = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
        for (let i = 0; i < RUNS; i++) histogram.record(this.run(model, batch));
        return { batch, wcetUs: Math.ceil(histogram.percentile(99) * MARGIN) };
      });
      return new WcetTable(points);
    });
  }

  /** Categories are called c0, c1, ... after the networks. */
  readonly execute: Execute = ({ category, frames }) => this.run(Number(category.slice(1)), frames.length);

  /** Runs a batch to its end. @returns what it took, in microseconds */
  run(model: number, count: number): number {
    this.#words[MODEL] = model;
    this.#words[COUNT] = count;
    Atomics.store(this.#words, STATE, ASKED);
    Atomics.notify(this.#words, STATE);
    Atomics.wait(this.#words, STATE, ASKED, LONGEST_MS);
    if (this.#words[STATE] !== DONE) throw new Error(`a run did not end within ${LONGEST_MS}ms`);
    return this.#words[TOOK_US]!;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
