import type { ResourceOf } from './manifests.js';

/** How a frame comes: a binary tensor, a tensor in JSON, or an encoded image. */
export type Encoding = NonNullable<NonNullable<ResourceOf<'InferenceTenant'>['spec']['frames']>['encoding']>;

/** What a node was measured to spend on frames before and after the device (`GPUProfile.status`). */
export interface IngestCosts {
  readonly ingest?: readonly { readonly encoding: Encoding; readonly ingestUs: number }[];
  /** Of whatever form, where no more is known. */
  readonly ingestUs?: number;
}

/** Whoever does not say what it sends is promised for all of these. */
const UNLESS_DECLARED: readonly Encoding[] = ['Tensor', 'JPEG', 'PNG'];

/** What a tenant's frames take of its deadline outside the device, in microseconds. */
export function ingestUsOf({ ingest = [], ingestUs = 0 }: IngestCosts, declared?: Encoding): number {
  const forms: readonly Encoding[] = declared === undefined ? UNLESS_DECLARED : [declared];
  const known = ingest.filter(({ encoding }) => forms.includes(encoding));
  return known.length === 0 ? ingestUs : Math.max(...known.map((each) => each.ingestUs));
}
