import type { FrameTaker, Serving } from './passage.js';

/**
 * Which of a tenant's devices takes a frame that arrives now, those that work first: one that promised to, else the one with
 * the least to do; when the next promised one would be, where it is not.
 */
export function police(
  servings: readonly Serving[],
  arrivedUs: number,
): { readonly serving: Serving; readonly promised: boolean; readonly retryAfterUs: number } {
  let retryAfterUs = Infinity;
  for (const serving of byReadiness(servings)) {
    const policed = serving.tenant.arrive(arrivedUs);
    if (policed.accepted) return { serving, promised: true, retryAfterUs: 0 };
    retryAfterUs = Math.min(retryAfterUs, policed.retryAfterUs);
  }
  return { serving: leastBusy(servings), promised: false, retryAfterUs };
}

/** Which of a tenant's devices has the least to do, among those that work where any does. */
export const leastBusy = (servings: readonly Serving[]): Serving =>
  servings.reduce((best, each) => (isBetter(each.service, best.service) ? each : best));

const isBetter = (a: FrameTaker, b: FrameTaker): boolean => (a.ready === b.ready ? a.backlogUs < b.backlogUs : a.ready);

const byReadiness = (servings: readonly Serving[]): Serving[] =>
  [true, false].flatMap((ready) => servings.filter(({ service }) => service.ready === ready));
