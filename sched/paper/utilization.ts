import type { Category } from '../category.js';
import { frameRate } from '../category.js';

/**
 * A category's share of the device under the paper's first test: E(floor(W * rate)) / W (section 4.3, phase 1).
 * Never more than the demand test's long-run rate (docs/theory-paper.md, Lemma 5).
 */
export function phase1Utilization(category: Category, windowUs: number): number {
  const frames = Math.floor(windowUs * frameRate(category.streams) + 1e-9);
  return category.wcet.at(frames) / windowUs;
}

/**
 * Admission, phase 1: cheap and necessary. The least utilization that any choice of windows among the candidates can
 * reach; at 1 or more nothing can fit.
 */
export function leastUtilization(
  categories: readonly { readonly category: Category; readonly candidatesUs: readonly number[] }[],
): number {
  let total = 0;
  for (const { category, candidatesUs } of categories)
    total += Math.min(...candidatesUs.map((windowUs) => phase1Utilization(category, windowUs)));
  return total;
}
