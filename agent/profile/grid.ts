import type { ProfiledCategory } from './profile.js';

/** E(n) is steep where it grows by more than so many times as much a frame as it usually does; smaller parts of it do not matter. */
const STEEP = 1.5;
const WORTH_FINDING = 0.05;

/** Batch sizes that are measured: every small one, then ever coarser, the largest always. */
export function batchGrid(maxBatchSize: number): number[] {
  const sizes = new Set([maxBatchSize]);
  for (let step = 1, size = 1; size < maxBatchSize; size += step) {
    if (size >= 4 * step && size % (2 * step) === 0) step *= 2;
    sizes.add(size);
  }
  return [...sizes].sort((a, b) => a - b);
}

/**
 * The next size to measure so as to find where E(n) steps up, as that of a GPU does whenever another wave of its blocks
 * begins; undefined when nothing between measured sizes looks like one.
 */
export function nextStep(batches: readonly { readonly size: number; readonly wcetUs: number }[]): number | undefined {
  const sorted = [...batches].sort((a, b) => a.size - b.size);
  const intervals = sorted.slice(1).map((to, i) => {
    const from = sorted[i]!;
    const jumpUs = to.wcetUs - from.wcetUs;
    return { from, jumpUs, frames: to.size - from.size, slopeUs: jumpUs / (to.size - from.size) };
  });
  const slopesUs = intervals.map(({ slopeUs }) => slopeUs).sort((a, b) => a - b);
  const usualUs = slopesUs[slopesUs.length >> 1] ?? 0;
  let [found, widestUs] = [undefined as number | undefined, 0];
  for (const { from, jumpUs, frames, slopeUs } of intervals) {
    const steep = slopeUs > STEEP * usualUs && jumpUs > WORTH_FINDING * from.wcetUs;
    if (frames > 1 && steep && jumpUs > widestUs) [found, widestUs] = [from.size + (frames >> 1), jumpUs];
  }
  return found;
}

/**
 * Sizes up to the one with the least time per frame: larger ones are faster in several runs, so the dispatcher should
 * not run them at once.
 */
export function worthwhile(batches: ProfiledCategory['batches']): ProfiledCategory['batches'] {
  const best = batches.reduce((a, b) => (b.wcetUs / b.size < a.wcetUs / a.size ? b : a));
  return batches.filter(({ size }) => size <= best.size);
}
