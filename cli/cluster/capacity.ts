import { categoryName } from '../../api/names.js';
import { defaultJitterUs } from '../../operator/admission/request.js';
import type { TenantRequest } from '../../operator/admission/request.js';
import { withTenant } from '../../operator/admission/adding.js';
import { bytesOf } from '../../operator/admission/device-plan.js';
import type { DevicePlan } from '../../operator/admission/plan.js';
import { placedOn } from '../../operator/admission/plan.js';
import { stageSharesOf } from '../../operator/admission/stages.js';
import type { Snapshot } from '../../operator/admission/snapshot.js';
import { decide } from '../../operator/admission/decide.js';
import { wallSeconds } from '../../kube/clock.js';
import { table } from '../table.js';
import type { Reading } from './reading.js';
import { reportAgeS } from './reading.js';

/** Deadlines that what is left is told for, in milliseconds. */
const DEADLINES_MS = [100, 200, 500] as const;
const MOST_FPS = 10_000;

/** What is left of a device for one category. */
export interface Headroom {
  readonly category: string;
  /** Frames a second that one more tenant of one stream could be promised, by deadline in milliseconds. */
  readonly framesPerSecond: Readonly<Record<`${(typeof DEADLINES_MS)[number]}`, number>>;
}

export interface DeviceCapacity {
  readonly node: string;
  readonly device: number;
  readonly state: string;
  /** Share of the device that is promised. */
  readonly promised: number;
  readonly tenants: number;
  readonly inSpareTime: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number | undefined;
  /** Share of the node's event loop that this device's promised frames take. */
  readonly receive: number;
  readonly decode: number;
  /** How long ago it was measured and its agent reported, in seconds. */
  readonly profileAgeS: number | undefined;
  readonly reportAgeS: number | undefined;
  readonly headroom: readonly Headroom[];
}

/** How full each device is, by the operator's own test. */
export function capacityOf(reading: Reading, snapshot: Snapshot, only?: string): DeviceCapacity[] {
  const { plans } = decide({ ...snapshot, due: new Set() });
  return plans
    .filter(({ device }) => only === undefined || device.node === only)
    .map((plan) => {
      const { node, device, memoryBytes } = plan.device;
      const profile = reading.profiles.find(({ spec }) => spec.nodeName === node && spec.device === device);
      const schedule = reading.schedules.find(({ spec }) => spec.nodeName === node);
      const measuredAt = profile?.status?.measuredAt;
      const { receive, decode } = stageSharesOf(plan);
      return {
        node,
        device,
        state: stateOf(snapshot, node),
        promised: plan.utilization,
        tenants: placedOn(plan).length,
        inSpareTime: plan.spare.length,
        memoryBytes: bytesOf(plan.device, placedOn(plan)),
        memoryLimitBytes: memoryBytes,
        receive,
        decode,
        profileAgeS: measuredAt === undefined ? undefined : Math.max(0, wallSeconds() - Date.parse(measuredAt) / 1000),
        reportAgeS: reportAgeS(schedule),
        headroom: stateOf(snapshot, node) === 'Ready' ? headroomOn(plan, plans, profile?.status?.categories ?? []) : [],
      };
    });
}

const stateOf = ({ nodes }: Snapshot, node: string): string => {
  const info = nodes?.get(node);
  if (info === undefined) return 'gone';
  if (info.state !== 'Ready') return info.state;
  if (info.silent === true) return 'Silent';
  return info.implausible === undefined ? info.state : 'Implausible';
};

function headroomOn(
  plan: DevicePlan,
  all: readonly DevicePlan[],
  categories: readonly { readonly model: string; readonly shape: readonly number[] }[],
): Headroom[] {
  const beside = all.filter(({ device }) => device.node === plan.device.node && device.device !== plan.device.device);
  return categories.map(({ model, shape }) => ({
    category: categoryName(model, shape),
    framesPerSecond: Object.fromEntries(
      DEADLINES_MS.map((ms) => [`${ms}`, mostFps(plan, beside, model, shape, 1000 * ms)]),
    ) as unknown as Headroom['framesPerSecond'],
  }));
}

/** By bisection, over the admission test itself. */
function mostFps(
  plan: DevicePlan,
  beside: readonly DevicePlan[],
  model: string,
  shape: readonly number[],
  deadlineUs: number,
): number {
  const fits = (fps: number): boolean => 'plan' in withTenant(plan, asking(model, shape, fps, deadlineUs), 1, beside);
  let [best, above] = [0, MOST_FPS + 1];
  while (above - best > 1 && above - best > best / 50) {
    const middle = best === 0 && above > 16 ? Math.floor(Math.sqrt(above)) : Math.floor((best + above) / 2);
    if (fits(middle)) best = middle;
    else above = middle;
  }
  return best;
}

/** Tensors, so that what decoding leaves does not matter. */
function asking(model: string, shape: readonly number[], fps: number, deadlineUs: number): TenantRequest {
  const periodUs = Math.floor(1e6 / fps);
  return {
    key: ' / ',
    namespace: ' ',
    name: ' ',
    model,
    shape,
    class: 'RealTime',
    streams: 1,
    periodUs,
    jitterUs: defaultJitterUs(periodUs),
    deadlineUs,
    beyondPromise: 'Serve',
    spareFrames: 'All',
    frames: { encoding: 'Tensor' },
    jitterGiven: false,
    lateFrames: 'Serve',
    strategy: 'Pack',
    allowSplit: false,
    nodeSelector: {},
    tolerations: [],
    priority: 0,
    preempts: false,
    suspended: false,
    generation: 0,
  };
}

export function capacityText(devices: readonly DeviceCapacity[]): string {
  if (devices.length === 0) return 'no device is measured';
  const percent = (share: number): string => `${(100 * share).toFixed(0)}%`;
  const rows = devices.map((each) => [
    `${each.node}/${each.device}`,
    each.state,
    percent(each.promised),
    `${each.tenants}${each.inSpareTime === 0 ? '' : `+${each.inSpareTime}`}`,
    `${mebibytes(each.memoryBytes)}${each.memoryLimitBytes === undefined ? '' : `/${mebibytes(each.memoryLimitBytes)}`}`,
    percent(each.receive),
    percent(each.decode),
    age(each.profileAgeS),
    age(each.reportAgeS),
  ]);
  const left = devices.flatMap(({ node, device, headroom }) =>
    headroom.map(({ category, framesPerSecond }) => [
      `${node}/${device}`,
      category,
      ...DEADLINES_MS.map((ms) => `${framesPerSecond[`${ms}`]}`),
    ]),
  );
  const head = ['DEVICE', 'STATE', 'PROMISED', 'TENANTS', 'MEMORY', 'RECEIVE', 'DECODE', 'MEASURED', 'REPORTED'];
  return [
    table(head, rows),
    'Frames a second that one more camera could be promised, by deadline:',
    table(['DEVICE', 'CATEGORY', ...DEADLINES_MS.map((ms) => `${ms}ms`)], left),
  ].join('\n\n');
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 1024 ** 2)}Mi`;

/** As kubectl writes ages. */
function age(s: number | undefined): string {
  if (s === undefined) return 'never';
  if (s < 120) return `${Math.round(s)}s`;
  return s < 7200 ? `${Math.round(s / 60)}m` : s < 172_800 ? `${Math.round(s / 3600)}h` : `${Math.round(s / 86_400)}d`;
}
