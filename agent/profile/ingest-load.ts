import sharp from 'sharp';
import type { Encoding, IngestCosts } from '../../api/ingest.js';
import type { ResourceOf } from '../../api/manifests.js';
import { nowUs } from '../clock.js';
import { networkDims } from '../device/frames.js';
import { decodeImage, imageInput, writePixels } from '../ingest/image.js';
import type { ExpectedInput } from '../ingest/oip.js';
import { readRequest } from '../ingest/oip.js';
import { MARGIN } from './profiler.js';

/** Frames per second that ingest takes in while the device is measured: JPEG, and now and then one of another form. */
export const INGEST_FPS = 40;
const OTHER_EVERY = 4;
const WARM_UPS = 5;
/** Of each form, frames that are waited for at the end. */
const LEAST_FRAMES = 50;
/** What handing over an answer takes. */
const ANSWER_US = 1000;
const BLOCK = 25;

/** One form of frames, with what they take outside the device. */
export type Ingest = NonNullable<IngestCosts['ingest']>[number] & { readonly preparedUs: number };

/**
 * The longest that something usually takes: the median of the maxima of blocks of 25. One stall of the machine spoils one
 * block, not the figure.
 */
export function usualWorstUs(times: readonly number[]): number {
  const maxima: number[] = [];
  for (let from = 0; from + Math.min(BLOCK, times.length) <= times.length && from < times.length; from += BLOCK)
    maxima.push(Math.max(...times.slice(from, from + BLOCK)));
  return maxima.sort((a, b) => a - b)[maxima.length >> 1] ?? 0;
}

/** What a frame takes outside the device, given what making it ready and a message's way there and back take. */
export const ingestFigure = (encoding: Encoding, preparedUs: number, channelUs: number): Ingest => ({
  encoding,
  preparedUs: Math.ceil(preparedUs),
  ingestUs: Math.ceil((preparedUs + channelUs) * MARGIN) + ANSWER_US,
});

/** Keeps the agent's ingest busy with frames of a model, and measures what each form of them takes to be made ready. */
export class IngestLoad {
  readonly #times = new Map<Encoding, number[]>();
  readonly #model: ResourceOf<'InferenceModel'>;
  #prepare = new Map<Encoding, () => Promise<void>>();
  #running = true;
  #ended: Promise<void> = Promise.resolve();

  constructor(model: ResourceOf<'InferenceModel'>) {
    this.#model = model;
  }

  async start(): Promise<void> {
    this.#prepare = await framesOf(this.#model);
    for (const encoding of this.#prepare.keys()) for (let i = 0; i < WARM_UPS; i++) await this.#one(encoding, false);
    this.#ended = (async () => {
      const forms = [...this.#prepare.keys()];
      for (let i = 0; this.#running; i++) {
        const other = forms[Math.floor(i / OTHER_EVERY) % forms.length]!;
        await this.#one(i % OTHER_EVERY === 0 ? other : forms.at(-1)!);
        await new Promise((resolve) => setTimeout(resolve, 1000 / INGEST_FPS));
      }
    })();
  }

  /** Resolves when enough was measured. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#ended;
    for (const encoding of this.#prepare.keys())
      while ((this.#times.get(encoding)?.length ?? 0) < LEAST_FRAMES) await this.#one(encoding);
  }

  /** @param channelUs a message's way to the device and back */
  figures(channelUs: number): Ingest[] {
    return [...this.#times].map(([encoding, times]) => ingestFigure(encoding, usualWorstUs(times), channelUs));
  }

  async #one(encoding: Encoding, counts = true): Promise<void> {
    const startUs = nowUs();
    await this.#prepare.get(encoding)!();
    if (!counts) return;
    const times = this.#times.get(encoding) ?? [];
    this.#times.set(encoding, times);
    times.push(nowUs() - startUs);
  }
}

/** By form, what makes one frame of the model's largest shape ready; images only where it takes such, JPEG last. */
async function framesOf(model: ResourceOf<'InferenceModel'>): Promise<Map<Encoding, () => Promise<void>>> {
  const { input, shapes } = model.spec;
  const [largest] = shapes;
  const elementType = input.elementType ?? 'float32';
  const dims = networkDims(largest!, input.layout ?? 'NCHW');
  const expected: ExpectedInput = { name: input.name, dims, elementType };
  const elements = dims.reduce((product, dim) => product * dim, 1);
  const slot = new Uint8Array(elements * (elementType === 'float32' ? 4 : 1));
  const tensor = { name: input.name, datatype: elementType === 'float32' ? 'FP32' : 'UINT8', shape: [1, ...dims] };
  const head = Buffer.from(
    JSON.stringify({ inputs: [{ ...tensor, parameters: { binary_data_size: slot.byteLength } }] }),
  );
  const binary = [head, Buffer.alloc(slot.byteLength)];
  const value = elementType === 'float32' ? (i: number) => Math.round(((i * 7919) % 1000) - 500) / 500 : () => 200;
  const json = [
    Buffer.from(
      JSON.stringify({ inputs: [{ ...tensor, data: Array.from({ length: elements }, (_, i) => value(i)) }] }),
    ),
  ];
  const frames = new Map<Encoding, () => Promise<void>>([
    ['Tensor', () => Promise.resolve(void readRequest(binary, head.length, expected, slot))],
    ['JSON', () => Promise.resolve(void readRequest(json, undefined, expected, slot))],
  ]);
  if (largest![0] !== 1 && largest![0] !== 3) return frames;
  const noise = {
    create: {
      width: 640,
      height: 480,
      channels: 3 as const,
      background: '#777',
      noise: { type: 'gaussian' as const, mean: 128, sigma: 30 },
    },
  };
  const image = imageInput(model, largest!);
  const picture = sharp(noise).blur(3);
  const decode = (body: Buffer) => async (): Promise<void> => writePixels(await decodeImage(body, image), image, slot);
  frames.set('PNG', decode(await picture.clone().png().toBuffer()));
  frames.set('JPEG', decode(await picture.clone().jpeg({ quality: 85 }).toBuffer()));
  return frames;
}
