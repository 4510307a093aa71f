import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { DecodeStage } from '../decode/stage.js';
import { FramePool } from '../device/frame-pool.js';
import { image } from './measure-stages.js';
import { pictures } from './pictures.js';

/** Between two frames that are decoded while the device is measured. */
const PAUSE_MS = 1;
const RESOLUTION_MS = 1;

/** Keeps a decode worker busy while the device is measured, and sees how long the event loop is held up meanwhile. */
export class IngestLoad {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #stage: DecodeStage;
  #running = true;
  #ended: Promise<void> = Promise.resolve();

  constructor(stage: DecodeStage) {
    this.#stage = stage;
  }

  async start(): Promise<void> {
    const { body } = (await pictures()).find(({ form }) => form === 'JPEG')!;
    const pool = new FramePool(
      0,
      image.shape.reduce((product, dim) => product * dim, 1),
      1,
    );
    const recipe = { kind: 'image' as const, input: image };
    const job = { tenant: '', promised: true, dueUs: Infinity, costUs: 0, limitUs: 60_000_000, gone: () => false };
    this.#delays.enable();
    this.#ended = (async () => {
      while (this.#running) {
        await this.#stage.run({ ...job, body: [body], recipe, category: 'measure', pool, slot: 0 });
        await delay(PAUSE_MS);
      }
      this.#stage.poolGone(pool);
      pool.retire(() => undefined);
    })();
  }

  /** The longest that the event loop was usually held up, in microseconds. */
  get heldUpUs(): number {
    return Math.max(0, this.#delays.percentile(99) / 1000 - 1000 * RESOLUTION_MS);
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#delays.disable();
    await this.#ended;
  }
}
