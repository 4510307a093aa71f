import type { ResourceOf } from '../../api/manifests.js';
import type { Device } from './device.js';
import type { DevicePlan, Placed } from './device-plan.js';
import type { TenantRequest } from './request.js';
import { tenantKey } from './request.js';

export type ScheduleDevice = NonNullable<ResourceOf<'NodeSchedule'>['spec']['devices']>[number];

/** What an agent is programmed with: the record of what a device was promised to. */
export function scheduleOf({ device, bestEffortUs, categories }: DevicePlan): ScheduleDevice {
  return {
    device: device.device,
    bestEffortUs,
    categories: categories.map((category) => ({
      name: category.name,
      model: category.model,
      shape: [...category.shape],
      class: category.class,
      ...(category.class === 'RealTime'
        ? { windowUs: category.windowUs, windowOffsetUs: 0, relativeDeadlineUs: category.relativeDeadlineUs }
        : {}),
      tenants: category.placed.map(({ request, streams }) => ({
        namespace: request.namespace,
        name: request.name,
        generation: request.generation,
        streams,
        periodUs: request.periodUs,
        jitterUs: request.jitterUs,
        ...(request.deadlineUs === Infinity ? {} : { deadlineUs: request.deadlineUs }),
        ...(request.minShape === undefined ? {} : { minShape: [...request.minShape] }),
        ...(request.lateFrames === 'Serve' ? {} : { lateFrames: request.lateFrames }),
      })),
    })),
  };
}

/**
 * Reads a record back as a plan, so that decisions outlive a restart. A tenant that still asks for what was recorded counts as unchanged; any other is kept under the recorded ones until it is admitted anew.
 */
export function planOf(
  schedule: ScheduleDevice,
  device: Device,
  requests: ReadonlyMap<string, TenantRequest>,
): DevicePlan {
  const categories = schedule.categories.map((category) => ({
    name: category.name,
    model: category.model,
    shape: category.shape,
    class: category.class,
    windowUs: category.windowUs ?? 0,
    relativeDeadlineUs: category.relativeDeadlineUs ?? 0,
    rate: 0,
    placed: category.tenants.map((tenant): Placed => {
      const recorded: TenantRequest = {
        namespace: tenant.namespace,
        name: tenant.name,
        model: category.model,
        shape: category.shape,
        class: category.class,
        streams: tenant.streams,
        periodUs: tenant.periodUs,
        jitterUs: tenant.jitterUs,
        deadlineUs: tenant.deadlineUs ?? Infinity,
        minShape: tenant.minShape,
        lateFrames: tenant.lateFrames ?? 'Serve',
        strategy: 'Pack',
        allowSplit: false,
        nodeSelector: {},
        tolerations: [],
        priority: 0,
        preempts: false,
        generation: tenant.generation ?? 0,
      };
      const current = requests.get(tenantKey(tenant));
      return {
        request: current !== undefined && sameFigures(current, recorded) ? current : recorded,
        streams: tenant.streams,
      };
    }),
  }));
  return { device, categories, bestEffortUs: schedule.bestEffortUs ?? 0, utilization: 0 };
}

function sameFigures(a: TenantRequest, b: TenantRequest): boolean {
  return (
    a.generation === b.generation &&
    a.model === b.model &&
    a.shape.join() === b.shape.join() &&
    a.class === b.class &&
    (a.streams === b.streams || a.allowSplit) &&
    a.periodUs === b.periodUs &&
    a.jitterUs === b.jitterUs &&
    a.deadlineUs === b.deadlineUs
  );
}
