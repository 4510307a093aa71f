import type { ResourceOf } from './manifests.js';
import type { ScheduleEntry } from './schedule.js';

/** Who may send a tenant's frames, as schedules carry it; absent: all service accounts of its namespace. */
export type Senders = NonNullable<ScheduleEntry['senders']>;

interface Tenant {
  readonly metadata: { readonly namespace?: string };
  readonly spec: ResourceOf<'InferenceTenant'>['spec'];
}

/** Whom a manifest allows, with all namespaces named. */
export function sendersOf({ metadata, spec }: Tenant): Senders | undefined {
  if (spec.senders === undefined) return undefined;
  const { serviceAccounts = [], certificates = [], keys = [] } = spec.senders;
  return {
    ...(serviceAccounts.length === 0
      ? {}
      : { serviceAccounts: serviceAccounts.map((each) => ({ namespace: metadata.namespace ?? '', ...each })) }),
    ...(certificates.length === 0 ? {} : { certificates: [...certificates] }),
    ...(keys.length === 0 ? {} : { keys: keys.map(({ sha256 }) => ({ sha256 })) }),
  };
}
