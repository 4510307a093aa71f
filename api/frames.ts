import type { ResourceOf } from './manifests.js';

type ProfileStatus = NonNullable<ResourceOf<'GPUProfile'>['status']>;

/** What a node's stages were measured to spend on frames (`GPUProfile.status.stages`). */
export type Stages = NonNullable<ProfileStatus['stages']>;
export type ImageForm = Exclude<Stages['decode'][number]['form'], 'JSON'>;

/** How a tenant says that its frames come. */
export type Encoding = NonNullable<NonNullable<ResourceOf<'InferenceTenant'>['spec']['frames']>['encoding']>;

/** The frames that a promise covers: of one encoding, or of any; images up to a size where there is one; bodies up to a length. */
export interface Covered {
  readonly encoding?: Encoding | undefined;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly maxBytes?: number | undefined;
}

/** What one frame takes of the stages before the device, in microseconds. */
export interface FrameCost {
  readonly receiveUs: number;
  readonly decodeUs: number;
}

/** A frame, as far as that can be told from its head. */
export interface FrameHead {
  readonly bytes: number;
  readonly form: 'Tensor' | 'JSON' | ImageForm;
  /** Of an image. */
  readonly pixels?: number;
}

const KIB = 1024;
const MILLION = 1_000_000;
/** What images take by default, in bytes a pixel, and at least. */
const BYTES_A_PIXEL = { JPEG: 0.25, PNG: 2.5 } as const;
const LEAST_IMAGE_BYTES = 32 * KIB;
/** What a tensor in JSON takes by default, in multiples of its bytes. */
const JSON_FACTOR = 4;
/** Longer JSON is read by a decode worker. */
export const LARGEST_INLINE_JSON = 32 * KIB;
/** Who does not say what it sends may send tensors as JSON up to this size: without images its promise takes nothing of decoding. */
const SMALL_TENSOR_BYTES = (LARGEST_INLINE_JSON - KIB) / JSON_FACTOR;
/** Promises reckon with answers in JSON up to this size of outputs, and in binary form beyond. */
const JSON_OUTPUT_BYTES = 64 * KIB;

/** What a tenant says that it sends; undefined where it does not say. */
export function declaredFrames(frames: ResourceOf<'InferenceTenant'>['spec']['frames']): Covered | undefined {
  if (frames === undefined) return undefined;
  const { encoding = 'Tensor', width = 1920, height = 1080, maxBytes } = frames;
  return encoding === 'JPEG' || encoding === 'PNG' ? { encoding, width, height, maxBytes } : { encoding, maxBytes };
}

/** Sizes of images that are offered, largest first. */
const SIZES = [
  [3840, 2160],
  [2560, 1440],
  [1920, 1080],
  [1280, 720],
  [960, 540],
  [640, 480],
  [320, 240],
] as const;

/** What may be covered of frames of an unknown form, most first. */
const UNDECLARED: readonly Covered[] = [
  ...SIZES.filter(([width]) => width <= 1920).map(([width, height]) => ({ width, height })),
  {},
];

/** What a promise may cover, most first. */
export const coverages = (declared: Covered | undefined): readonly Covered[] =>
  declared === undefined ? UNDECLARED : [declared];

/** Smaller frames than those declared, largest first; tensors last. How long bodies may be stays as it was declared. */
export function smallerFrames({ encoding, width = 0, height = 0, maxBytes }: Covered): Covered[] {
  const tensors: Covered = { encoding: 'Tensor', maxBytes };
  if (encoding !== 'JPEG' && encoding !== 'PNG') return encoding === 'JSON' ? [tensors] : [];
  const smaller = SIZES.filter(([w, h]) => w * h < width * height);
  return [...smaller.map(([w, h]) => ({ encoding, width: w, height: h, maxBytes })), tensors];
}

/** A coverage in a few words. */
export function coverageText({ encoding, width, height }: Covered): string {
  const size = width === undefined || height === undefined ? undefined : `${width}x${height}`;
  if (encoding !== undefined) return size === undefined ? encoding : `${encoding} up to ${size}`;
  return size === undefined ? 'Tensor' : `Tensor, and images up to ${size}`;
}

/** Whether a frame is made a tensor by a decode worker. */
export const isDecoded = ({ form, bytes }: FrameHead): boolean =>
  form === 'JSON' ? bytes > LARGEST_INLINE_JSON : form !== 'Tensor';

/** What a frame takes of the stages; nothing where they were not measured. */
export function frameCost(stages: Stages | undefined, frame: FrameHead): FrameCost {
  const { bytes, form, pixels = 0 } = frame;
  const decoded = isDecoded(frame);
  const receive = stages?.receive.find((each) => each.form === (decoded ? 'Image' : form));
  const decode = decoded ? stages?.decode.find((each) => each.form === form) : undefined;
  const millions = (form === 'JSON' ? bytes : pixels) / MILLION;
  return {
    receiveUs: (receive?.perFrameUs ?? 0) + ((receive?.perKiBUs ?? 0) * bytes) / KIB,
    decodeUs: (decode?.perFrameUs ?? 0) + (decode?.perMillionUs ?? 0) * millions,
  };
}

/** The largest body that is covered. */
export function coveredBytes({ encoding, width = 0, height = 0, maxBytes }: Covered, tensorBytes: number): number {
  if (maxBytes !== undefined) return maxBytes;
  const image = (form: 'JPEG' | 'PNG'): number =>
    Math.max(LEAST_IMAGE_BYTES, Math.ceil(width * height * BYTES_A_PIXEL[form]));
  if (encoding === 'JPEG' || encoding === 'PNG') return image(encoding);
  if (encoding === 'JSON') return JSON_FACTOR * tensorBytes + KIB;
  if (encoding === 'Tensor') return tensorBytes + KIB;
  const tensor = tensorBytes <= SMALL_TENSOR_BYTES ? JSON_FACTOR * tensorBytes : tensorBytes;
  return Math.max(tensor + KIB, width > 0 ? image('JPEG') : 0);
}

/** The most that one of the frames that are covered takes of the stages. */
export function coveredCost(stages: Stages | undefined, covered: Covered, tensorBytes: number): FrameCost {
  const { encoding, width = 0, height = 0 } = covered;
  const bytes = coveredBytes(covered, tensorBytes);
  const pixels = width * height;
  const cost = (form: FrameHead['form'], length: number): FrameCost =>
    frameCost(stages, { form, bytes: length, pixels });
  if (encoding !== undefined) return cost(encoding, bytes);
  const all = [
    cost('Tensor', tensorBytes + KIB),
    ...(tensorBytes <= SMALL_TENSOR_BYTES ? [cost('JSON', JSON_FACTOR * tensorBytes + KIB)] : []),
    ...(pixels > 0 ? [cost('JPEG', bytes)] : []),
  ];
  return {
    receiveUs: Math.max(...all.map(({ receiveUs }) => receiveUs)),
    decodeUs: Math.max(...all.map(({ decodeUs }) => decodeUs)),
  };
}

/** What writing an answer takes of the event loop, in microseconds. */
export function answerUs(stages: Stages | undefined, answerBytes: number): number {
  const form = answerBytes <= JSON_OUTPUT_BYTES ? 'JSON' : 'Binary';
  const cost = stages?.answer.find((each) => each.form === form);
  return (cost?.perFrameUs ?? 0) + ((cost?.perKiBUs ?? 0) * answerBytes) / KIB;
}
