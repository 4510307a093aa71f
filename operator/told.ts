import { keyOf } from '../kube/informer.js';
import { deviceKey } from './admission/device.js';
import type { Told } from './admission/snapshot.js';
import type { TenantObject } from './objects.js';
import { isAnswered, isTold } from './objects.js';

/** What a leader before this one has told of promises. */
export function toldPlaces(tenants: readonly TenantObject[]): ReadonlyMap<string, Told> {
  return new Map(
    tenants.filter(isTold).map((tenant) => {
      const { placements = [] } = tenant.status ?? {};
      const streams = new Map(placements.map((each) => [deviceKey(each), each.streams]));
      return [
        keyOf(tenant),
        { ...(isAnswered(tenant) ? { generation: tenant.metadata.generation ?? 0 } : {}), streams },
      ];
    }),
  );
}
