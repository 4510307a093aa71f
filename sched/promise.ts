import type { WcetPoint } from './wcet.js';

/** By which execution times a device is promised (docs/theory.md, "Firm and soft promises"). */
export type Promised = 'Firm' | 'Soft';

/** A measured batch size of a profile. */
export interface MeasuredBatch {
  readonly size: number;
  readonly p99Us?: number;
  readonly wcetUs: number;
}

/** E as a device is promised by: WCETs, which have a margin; or, softly, 99th percentiles. */
export const promisedPoints = (batches: readonly MeasuredBatch[], promise: Promised = 'Firm'): WcetPoint[] =>
  batches.map(({ size, p99Us, wcetUs }) => ({ batch: size, wcetUs: promise === 'Soft' ? (p99Us ?? wcetUs) : wcetUs }));
