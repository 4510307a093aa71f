import type { Serving } from './passage.js';

/** Which of a tenant's devices takes a frame that arrives now, those that work first; when the next promised one would be, where it is not. */
export function police(
  servings: readonly Serving[],
  arrivedUs: number,
): { readonly serving: Serving; readonly promised: boolean; readonly retryAfterUs: number } {
  let retryAfterUs = Infinity;
  const byReadiness = [true, false].flatMap((ready) => servings.filter(({ service }) => service.ready === ready));
  for (const serving of byReadiness) {
    const policed = serving.tenant.arrive(arrivedUs);
    if (policed.accepted) return { serving, promised: true, retryAfterUs: 0 };
    retryAfterUs = Math.min(retryAfterUs, policed.retryAfterUs);
  }
  return { serving: byReadiness[0]!, promised: false, retryAfterUs };
}
