import type { Stages } from '../../api/frames.js';
import type { Recipe } from '../ingest/decode/messages.js';
import type { DecodeStage } from '../ingest/decode/stage.js';
import type { DeviceService } from '../serving/service.js';
import type { Trial } from './loopback.js';
import { Loopback } from './loopback.js';
import { measureChannel } from './overheads.js';
import type { Picture } from './pictures.js';
import { pictures } from './pictures.js';
import { Practice, image } from './practice.js';
import { MARGIN, USUAL } from './profile.js';

/** Requests that make the code warm, and those that are measured. */
const WARM_UPS = 300;
const REQUESTS = 120;
const IMAGE_REQUESTS = 40;
const [DECODE_WARM_UPS, DECODES] = [2, 8];
/** Of what a frame takes of the loop, the part that comes with its answer. */
const ANSWER_PART = 0.4;
const [SMALL, LARGE, LARGE_JSON] = [1024, 256 * 1024, 16 * 1024];
const LARGE_OUTPUT = 16 * 1024;
/** Of each frame in JSON, besides what its length takes. */
const JSON_FRAME_US = 200;
/** What the loop is held by beside frames, until it was seen. */
const BLOCKING_US = 2000;
const KIB = 1024;

/** How a node's stages are set up. */
export interface StagesSetup {
  readonly decode: DecodeStage;
  readonly sharedCore: boolean;
  /** Where what measures may run without being in the way; anywhere when absent. */
  readonly cores?: readonly number[] | undefined;
}

/** A tensor of so many bytes, or of so many characters of JSON. */
function tensor(bytes: number, outputs = 4, json = false): Trial {
  const elements = json ? bytes / 4 : bytes;
  const described = { name: 'in', shape: [1, elements], datatype: 'UINT8' };
  const input = json
    ? { ...described, data: Array.from({ length: elements }, () => 200) }
    : { ...described, parameters: { binary_data_size: elements } };
  const head = JSON.stringify({ parameters: { binary_data_output: !json }, inputs: [input] });
  return {
    headers: json
      ? { 'content-type': 'application/json' }
      : { 'content-type': 'application/octet-stream', 'inference-header-content-length': `${head.length}` },
    body: json ? Buffer.from(head) : Buffer.concat([Buffer.from(head), Buffer.alloc(bytes, 7)]),
    isImage: false,
    terms: { inputs: [{ name: 'in', dims: [elements], elementType: 'uint8' }], image },
    outputs: new Float32Array(outputs).map((_, i) => Math.sin(i)),
  };
}

const picture = ({ form, body }: Picture): Trial => ({
  headers: { 'content-type': form.includes('PNG') ? 'image/png' : 'image/jpeg', accept: 'application/octet-stream' },
  body,
  isImage: true,
  terms: { inputs: [{ name: 'in', dims: [...image.shape], elementType: 'uint8' }], image },
  outputs: new Float32Array(4),
});

/**
 * Measures what frames take of the event loop and of a decode worker, by form: through the agent's own door, from a client
 * in another process.
 *
 * @throws Error when the client fails
 */
export async function measureStages(service: DeviceService, setup: StagesSetup): Promise<Stages> {
  const all = await pictures();
  const channelUs = await measureChannel(service);
  const decode = await measureDecoding(setup.decode, all);
  const loopback = new Loopback(service, setup.decode, setup.cores);
  try {
    await loopback.costUs(tensor(SMALL), WARM_UPS);
    await loopback.costUs(tensor(LARGE), REQUESTS);
    const costUs = async (trial: Trial): Promise<number> => {
      const count = trial.isImage ? IMAGE_REQUESTS : REQUESTS;
      await loopback.costUs(trial, count / 4);
      return MARGIN * (await loopback.costUs(trial, count));
    };
    /** Of a small one, and of each KiB by which the large one is larger. */
    const line = async (large: Trial, small: Trial, bytes: number): Promise<{ us: number; kibUs: number }> => {
      const largeUs = await costUs(large);
      const us = await costUs(small);
      return { us, kibUs: Math.max(0, largeUs - us) / (bytes / KIB) };
    };
    const smallest = all.find(({ form }) => form === 'JPEG')!;
    // What follows an image's end is read, but not looked at.
    const larger = { ...smallest, body: Buffer.concat([smallest.body, Buffer.alloc(LARGE)]) };
    const json = await line(tensor(LARGE_JSON, 4, true), tensor(SMALL, 4, true), LARGE_JSON - SMALL);
    const images = await line(picture(larger), picture(smallest), LARGE);
    const numbers = await line(tensor(SMALL, LARGE_OUTPUT, true), tensor(SMALL, 4, true), 4 * LARGE_OUTPUT);
    const binary = await line(tensor(SMALL, LARGE_OUTPUT), tensor(SMALL), 4 * LARGE_OUTPUT);
    const tensors = await line(tensor(LARGE), tensor(SMALL), LARGE - SMALL);
    const received = (us: number): number => round((1 - ANSWER_PART) * us);
    return {
      blockingUs: BLOCKING_US,
      channelUs: Math.ceil(MARGIN * channelUs),
      workers: setup.decode.width,
      sharedCore: setup.sharedCore,
      receive: [
        { form: 'Tensor', perFrameUs: received(tensors.us), perKiBUs: round(tensors.kibUs) },
        { form: 'JSON', perFrameUs: received(json.us), perKiBUs: round(json.kibUs) },
        { form: 'Image', perFrameUs: received(images.us), perKiBUs: round(images.kibUs) },
      ],
      answer: [
        { form: 'Binary', perFrameUs: round(ANSWER_PART * tensors.us), perKiBUs: round(binary.kibUs) },
        { form: 'JSON', perFrameUs: round(ANSWER_PART * json.us), perKiBUs: round(numbers.kibUs) },
      ],
      decode,
    };
  } finally {
    await loopback.stop();
  }
}

/** What decoding takes of a worker: per frame and per million pixels, of a small and a large image of each form. */
async function measureDecoding(stage: DecodeStage, all: readonly Picture[]): Promise<Stages['decode']> {
  const practice = new Practice(stage);
  const json = tensor(LARGE, 4, true);
  const usualUs = async (body: Buffer, recipe?: Recipe): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < DECODE_WARM_UPS + DECODES; i++) times.push((await practice.decode(body, recipe)).us);
    const sorted = times.slice(DECODE_WARM_UPS).sort((a, b) => a - b);
    return MARGIN * sorted[Math.floor(USUAL * DECODES)]!;
  };
  try {
    const figures: Stages['decode'] = [];
    for (const form of new Set(all.map((each) => each.form))) {
      const [small, large] = all.filter((each) => each.form === form) as [Picture, Picture];
      const smallUs = await usualUs(small.body);
      const perPixelUs = Math.max(0, (await usualUs(large.body)) - smallUs) / (large.pixels - small.pixels);
      const perFrameUs = round(Math.max(0, smallUs - perPixelUs * small.pixels));
      figures.push({ form, perFrameUs, perMillionUs: round(1e6 * perPixelUs) });
    }
    const jsonUs = await usualUs(Buffer.from(json.body), { kind: 'json', expected: json.terms.inputs });
    figures.push({ form: 'JSON', perFrameUs: JSON_FRAME_US, perMillionUs: round((1e6 * jsonUs) / json.body.length) });
    return figures;
  } finally {
    practice.end();
  }
}

const round = (us: number): number => Math.round(100 * us) / 100;
