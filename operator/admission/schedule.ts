import type { Covered } from '../../api/frames.js';
import { sameShape, tenantKey } from '../../api/names.js';
import type { ScheduleDevice, ScheduleEntry } from '../../api/schedule.js';
import type { DevicePlan, Placed, PlannedCategory } from './plan.js';
import type { Device } from './device.js';
import type { TenantRequest } from './request.js';

/** What an agent is programmed with: the record of what a device was promised to. */
export function scheduleOf({ device, categories, bestEffort, spare, receiveUs }: DevicePlan): ScheduleDevice {
  const inSpareTime = [...bestEffort, ...spare].map((placed) => ({
    ...entryOf(placed),
    model: placed.request.model,
    shape: [...placed.request.shape],
    class: placed.request.class,
  }));
  return {
    device: device.device,
    ...(device.promise === 'Soft' ? { promise: 'Soft' as const } : {}),
    ...(receiveUs === 0 ? {} : { receiveUs }),
    ...(inSpareTime.length === 0 ? {} : { spare: inSpareTime }),
    categories: categories.map((category) => ({
      name: category.name,
      model: category.model,
      shape: [...category.shape],
      class: 'RealTime' as const,
      ...category.visit,
      ...windowOf(category),
      tenants: category.placed.map(entryOf),
    })),
  };
}

/** What agents of version 0.2 and before can check, and refuse where their own test does not hold. */
function windowOf({ visit, placed }: PlannedCategory): { windowUs: number; relativeDeadlineUs: number } {
  const deadlineUs = Math.min(...placed.map(({ request }) => request.deadlineUs));
  const windowUs = Math.max(1, Math.min(Math.floor(visit.gapUs), deadlineUs - 1));
  return { windowUs, relativeDeadlineUs: deadlineUs - windowUs };
}

const entryOf = ({ request, streams, covered, decodeUs }: Placed): ScheduleEntry => ({
  namespace: request.namespace,
  name: request.name,
  generation: request.generation,
  streams,
  periodUs: request.periodUs,
  jitterUs: request.jitterUs,
  ...(request.deadlineUs === Infinity ? {} : { deadlineUs: request.deadlineUs }),
  ...(request.minShape === undefined ? {} : { minShape: [...request.minShape] }),
  ...(request.lateFrames === 'Serve' ? {} : { lateFrames: request.lateFrames }),
  ...(request.beyondPromise === 'Serve' ? {} : { beyondPromise: request.beyondPromise }),
  ...(request.spareFrames === 'All' ? {} : { spareFrames: request.spareFrames }),
  ...definedOf(covered),
  ...(decodeUs === 0 ? {} : { decodeUs }),
  ...(request.senders === undefined ? {} : { senders: request.senders }),
});

type Defined = Pick<ScheduleEntry, 'encoding' | 'width' | 'height' | 'maxBytes'>;

/** A coverage without what it does not say. */
function definedOf({ encoding, width, height, maxBytes }: Covered): Defined {
  return {
    ...(encoding === undefined ? {} : { encoding }),
    ...(width === undefined || height === undefined ? {} : { width, height }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  };
}

/**
 * Reads a record back as a plan, so that decisions outlive a restart. A tenant that still asks for what was recorded counts as unchanged; any other is kept under the recorded ones until it is admitted anew.
 * A record of version 0.2 or before tells no visits: what it promises is planned anew.
 */
export function planOf(
  schedule: ScheduleDevice,
  device: Device,
  requests: ReadonlyMap<string, TenantRequest>,
): DevicePlan {
  const placedOf = (
    category: { model: string; shape: readonly number[]; class: TenantRequest['class'] },
    entry: ScheduleEntry,
  ): Placed => {
    const recorded = recordedRequest(category, entry);
    const current = requests.get(tenantKey(entry));
    const same = current !== undefined && sameFigures(current, recorded);
    return {
      request: same ? current : recorded,
      streams: entry.streams,
      covered: definedOf(entry),
      decodeUs: entry.decodeUs ?? 0,
    };
  };
  const realTime = schedule.categories.filter((category) => category.class === 'RealTime');
  const categories = realTime.map((category) => ({
    name: category.name,
    model: category.model,
    shape: category.shape,
    visit: {
      stride: category.stride ?? 1,
      offset: category.offset ?? 0,
      quota: category.quota ?? 1,
      gapUs: category.gapUs ?? 0,
    },
    rate: 0,
    placed: category.tenants.map((entry) => placedOf(category, entry)),
  }));
  const before = schedule.categories
    .filter((category) => category.class === 'BestEffort')
    .flatMap((category) => category.tenants.map((entry) => placedOf(category, entry)));
  const now = (schedule.spare ?? []).map((entry) => placedOf(entry, entry));
  return {
    device,
    categories,
    bestEffort: [...before, ...now.filter(({ request }) => request.class === 'BestEffort')],
    spare: now.filter(({ request }) => request.class === 'RealTime'),
    utilization: 0,
    receiveUs: schedule.receiveUs ?? 0,
  };
}

function recordedRequest(
  category: { model: string; shape: readonly number[]; class: TenantRequest['class'] },
  entry: ScheduleEntry,
): TenantRequest {
  return {
    key: tenantKey(entry),
    namespace: entry.namespace,
    name: entry.name,
    model: category.model,
    shape: category.shape,
    class: category.class,
    streams: entry.streams,
    periodUs: entry.periodUs,
    jitterUs: entry.jitterUs,
    jitterGiven: true,
    deadlineUs: entry.deadlineUs ?? Infinity,
    minShape: entry.minShape,
    lateFrames: entry.lateFrames ?? 'Serve',
    beyondPromise: entry.beyondPromise ?? 'Serve',
    spareFrames: entry.spareFrames ?? 'All',
    frames: entry.encoding === undefined ? undefined : definedOf(entry),
    strategy: 'Pack',
    allowSplit: false,
    nodeSelector: {},
    tolerations: [],
    priority: 0,
    preempts: false,
    suspended: false,
    senders: entry.senders,
    generation: entry.generation ?? 0,
  };
}

function sameFigures(a: TenantRequest, b: TenantRequest): boolean {
  return (
    a.generation === b.generation &&
    a.model === b.model &&
    sameShape(a.shape, b.shape) &&
    a.class === b.class &&
    (a.streams === b.streams || a.allowSplit) &&
    a.periodUs === b.periodUs &&
    a.jitterUs === b.jitterUs &&
    a.deadlineUs === b.deadlineUs &&
    JSON.stringify(a.frames) === JSON.stringify(b.frames)
  );
}
