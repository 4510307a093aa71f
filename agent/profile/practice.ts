import { FramePool } from '../device/frame-pool.js';
import { frameBytes } from '../frames.js';
import type { Decoded, Recipe } from '../ingest/decode/messages.js';
import type { DecodeStage } from '../ingest/decode/stage.js';

const SIDE = 224;
const LIMIT_US = 60_000_000;

/** What images are made for when the node is measured. */
export const image = {
  shape: [3, SIDE, SIDE],
  layout: 'NCHW',
  elementType: 'uint8',
  channels: [0, 1, 2],
  values: Array.from({ length: 3 }, () => Float32Array.from({ length: 256 }, (_, i) => i)),
} as const;

/** Frames of nobody, which are decoded one by one as promised ones are. */
export class Practice {
  readonly #stage: DecodeStage;
  readonly #pool = new FramePool(0, frameBytes(image.shape, image.elementType), 1);

  constructor(stage: DecodeStage) {
    this.#stage = stage;
  }

  decode(body: Buffer, recipe: Recipe = { kind: 'image', input: image }): Promise<Decoded> {
    return this.#stage.run({
      tenant: '',
      promised: true,
      dueUs: Infinity,
      costUs: 0,
      limitUs: LIMIT_US,
      gone: () => false,
      body: [body],
      recipe,
      category: 'measure',
      pool: this.#pool,
      slot: 0,
    });
  }

  end(): void {
    this.#stage.poolGone(this.#pool);
    this.#pool.retire(() => undefined);
  }
}
