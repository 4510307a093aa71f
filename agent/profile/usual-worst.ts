const BLOCK = 25;

/**
 * The longest that something usually takes: the median of the maxima of blocks of 25. One stall of the machine spoils one
 * block, not the figure.
 */
export function usualWorst(values: readonly number[]): number {
  const maxima: number[] = [];
  for (let from = 0; from + Math.min(BLOCK, values.length) <= values.length && from < values.length; from += BLOCK)
    maxima.push(Math.max(...values.slice(from, from + BLOCK)));
  return maxima.sort((a, b) => a - b)[maxima.length >> 1] ?? 0;
}
