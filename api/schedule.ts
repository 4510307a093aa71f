import type { ResourceOf } from './manifests.js';

/** What one device is programmed with. */
export type ScheduleDevice = NonNullable<ResourceOf<'NodeSchedule'>['spec']['devices']>[number];
export type ScheduleCategory = ScheduleDevice['categories'][number];
/** A tenant's entry. */
export type ScheduleEntry = ScheduleCategory['tenants'][number];

/** Everybody whom a device serves by its schedule, promised or not. */
export const scheduledOn = ({ categories, spare = [] }: ScheduleDevice): { namespace: string; name: string }[] => [
  ...categories.flatMap(({ tenants }) => tenants),
  ...spare,
];
