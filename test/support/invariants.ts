import { recheck } from '../../agent/serving/recheck.js';
import type { ResourceOf } from '../../api/manifests.js';
import { tenantKey } from '../../api/names.js';

type Tenant = ResourceOf<'InferenceTenant'>;

/**
 * What must hold of a settled cluster: every device's schedule passes the admission test on its profile, every entry has its
 * tenant with just as many streams as it asks for, every tenant that is told it is admitted has its place.
 *
 * @returns what does not hold, in words
 */
export function brokenPromises(
  schedules: readonly ResourceOf<'NodeSchedule'>[],
  profiles: readonly ResourceOf<'GPUProfile'>[],
  tenants: readonly Tenant[],
): string[] {
  const broken: string[] = [];
  const placed = new Map<string, number>();
  for (const { spec } of schedules)
    for (const device of spec.devices ?? []) {
      const where = `${spec.nodeName}/${device.device}`;
      const entries = device.categories.flatMap((category) => category.tenants);
      const keys = entries.map(({ namespace, name }) => tenantKey({ namespace, name }));
      if (new Set(keys).size !== keys.length) broken.push(`${where} lists a tenant twice: ${keys.join(', ')}`);
      entries.forEach(({ streams }, i) => placed.set(keys[i]!, (placed.get(keys[i]!) ?? 0) + streams));
      for (const { namespace, name, streams, class: c } of device.spare ?? [])
        if (c === 'BestEffort')
          placed.set(tenantKey({ namespace, name }), (placed.get(tenantKey({ namespace, name })) ?? 0) + streams);
      if (entries.length === 0) continue;
      const profile = profiles.find(
        (each) => each.spec.nodeName === spec.nodeName && each.spec.device === device.device,
      );
      const objection = profile?.status === undefined ? 'it has no profile' : recheck(device, profile.status).refusal;
      if (objection !== undefined) broken.push(`${where} is over-promised: ${objection}`);
    }
  const known = new Map(tenants.map((tenant) => [tenantKey(tenant.metadata), tenant]));
  for (const [key, streams] of placed) {
    const tenant = known.get(key);
    if (tenant === undefined) broken.push(`${key} is scheduled, but there is no such tenant`);
    else if (conditionOf(tenant)?.reason === 'Admitted' && streams !== (tenant.spec.streams ?? 1))
      broken.push(`${key} asks for ${tenant.spec.streams ?? 1} streams and is scheduled with ${streams}`);
  }
  for (const [key, tenant] of known) {
    const admitted = conditionOf(tenant);
    if (admitted?.status === 'True' && !placed.has(key)) broken.push(`${key} is told it is admitted, but has no place`);
    const stands = tenant.status?.conditions?.some(({ type }) => type === 'PreviousPromise') === true;
    if (admitted?.status === 'False' && admitted.reason !== 'NodeLost' && !stands && placed.has(key))
      broken.push(`${key} is told it is not admitted, but has a place`);
  }
  return broken;
}

function conditionOf({ status }: Tenant): { status: string; reason: string } | undefined {
  return status?.conditions?.find(({ type }) => type === 'Admitted');
}
