import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { DecodeStage } from '../ingest/decode/stage.js';
import { pictures } from './pictures.js';
import { Practice } from './practice.js';

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
    const practice = new Practice(this.#stage);
    this.#delays.enable();
    this.#ended = (async () => {
      while (this.#running) {
        await practice.decode(body);
        await delay(PAUSE_MS);
      }
      practice.end();
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
