import type { ExpectedInput } from '../../frames.js';
import type { ImageInput } from '../../image-input.js';
import type { WantedOutputs } from '../protocol/request.js';

/** How a tensor is made of a body: of an image, or of a request in JSON. */
export type Recipe =
  | { readonly kind: 'image'; readonly input: ImageInput }
  | { readonly kind: 'json'; readonly expected: readonly ExpectedInput[] };

/** What the agent and a decode worker's process say to each other. Bodies and tensors travel in shared memory. */
export type ToWorker =
  | { readonly kind: 'bodies'; readonly path: string }
  | { readonly kind: 'recipe'; readonly key: string; readonly recipe: Recipe }
  | { readonly kind: 'poolGone'; readonly pool: string }
  | {
      readonly kind: 'decode';
      readonly bytes: number;
      readonly recipe: string;
      readonly pool: string;
      readonly path: string;
      readonly offset: number;
      readonly slotBytes: number;
    };

/** What came of a frame, and the processor time that it took, in microseconds. */
export interface Decoded {
  readonly us: number;
  /** Of a request in JSON. */
  readonly wanted?: WantedOutputs;
}

export type FromWorker =
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'decoded' } & Decoded)
  | { readonly kind: 'bad'; readonly error: string; readonly code: string }
  | { readonly kind: 'failed'; readonly error: string };
