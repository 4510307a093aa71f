import type { ServedTenant } from '../../serving/tenant.js';
import type { BodyBudget } from '../body.js';
import { Holding } from '../body.js';
import { noMemory } from '../refusals.js';

/** Has what is here of a stream's next part count as memory for bodies. The function throws Busy where there is none. */
export function pendingOf(bodies: BodyBudget, tenant: ServedTenant): (bytes: number) => void {
  const holding = new Holding(bodies, tenant.key);
  return (bytes) => {
    const { promised, covered } = tenant.terms;
    if (!holding.set(bytes, promised && bytes <= covered.bytes)) throw noMemory(tenant);
  };
}
