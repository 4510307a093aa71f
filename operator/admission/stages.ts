import type { Covered } from '../../api/frames.js';
import { answerUs, coverages, coveredCost } from '../../api/frames.js';
import { categoryName } from '../../api/names.js';
import type { Streams } from '../../sched/category.js';
import type { HeldUp, Passing, StageSetup } from '../../sched/stages.js';
import { decodeShare, decodesInTime, heldUp, receiveDelayUs, receiveShare } from '../../sched/stages.js';
import type { DevicePlan, Placed } from './plan.js';
import type { StageRefusal } from './refusal.js';
import type { Device } from './device.js';
import type { TenantRequest } from './request.js';

/** A way for a tenant's frames to the device: what is covered, and what the stages may delay. */
export interface Way {
  readonly covered: Covered;
  readonly decodeUs: number;
  /** Of the device's whole plan. */
  readonly receiveUs: number;
}

/** What receiving may delay is one of these: one more tenant seldom changes it. */
const RECEIVE_STEP = 1.25;
/** Parts of a deadline that decoding may take. */
const DECODE_PARTS = [1 / 10, 1 / 6, 1 / 4, 1 / 3, 1 / 2];
/** The same, where the device needs more of everybody's. */
export const QUICKER_PARTS = DECODE_PARTS.slice(0, 4).reverse();
/** Who did not say that it sends images does not give up more than this part for them. */
const MOST_UNDECLARED = 1 / 6;

const SETUP_UNKNOWN: StageSetup = { blockingUs: 0, workers: 1, shared: false };

const setupOf = ({ stages }: Device): StageSetup =>
  stages === undefined
    ? SETUP_UNKNOWN
    : { blockingUs: stages.blockingUs, workers: stages.workers, shared: stages.sharedCore };

const heldUpOn = (device: Device, receiveUs: number, decodeUs: number): HeldUp =>
  heldUp(receiveUs, decodeUs, device.stages?.channelUs ?? 0);

/** The tenant's streams as the device's admission test sees them: what comes before and after is lost to the deadline. */
export const streamsOn = (
  { request, streams, decodeUs }: Omit<Placed, 'covered'>,
  device: Device,
  receiveUs: number,
): Streams => ({
  count: streams,
  periodUs: request.periodUs,
  jitterUs: request.jitterUs,
  deadlineUs: request.deadlineUs - heldUpOn(device, receiveUs, decodeUs).inAllUs,
});

/** The most that a tenant's frames may be held up outside the device. */
export const outsideUs = ({ device, receiveUs }: DevicePlan, { decodeUs }: Pick<Placed, 'decodeUs'>): number =>
  heldUpOn(device, receiveUs, decodeUs).inAllUs;

function passingOf(device: Device, { request, streams, covered, decodeUs }: Placed): Passing {
  const name = categoryName(request.model, request.shape);
  const { frameBytes, answerBytes } = device.bytesOf(name, request.shape);
  const cost = coveredCost(device.stages, covered, frameBytes);
  return {
    count: streams,
    periodUs: request.periodUs,
    jitterUs: request.jitterUs,
    receiveUs: cost.receiveUs,
    answerUs: answerUs(device.stages, answerBytes),
    together: device.tables.get(name)?.largestBatch ?? 1,
    device: device.device,
    decodeUs: cost.decodeUs,
    decodeShareUs: decodeUs,
  };
}

const passingOn = (plan: DevicePlan): Passing[] =>
  plan.categories.flatMap(({ placed }) => placed.map((each) => passingOf(plan.device, each)));

/**
 * What decoding may take of a tenant's deadline, the likeliest first: from the part that it has in the work of one frame on,
 * then less. Whoever takes less than that now leaves others no room.
 */
function sharesOf(device: Device, request: TenantRequest, decodeUs: number): number[] {
  const runUs = device.tables.get(categoryName(request.model, request.shape))?.at(1) ?? 0;
  const most = request.frames === undefined ? MOST_UNDECLARED : Infinity;
  const parts = DECODE_PARTS.filter((part) => part <= most);
  const fair = Math.min(decodeUs / (decodeUs + runUs), parts.at(-1)!);
  const order = [...parts.filter((part) => part >= fair), ...parts.filter((part) => part < fair).reverse()];
  return order.map((part) => Math.floor(part * request.deadlineUs)).filter((us) => us > 0);
}

/** The least of the steps that receiving may take which holds this delay. */
const stepOf = (delayUs: number): number =>
  delayUs <= 1 ? delayUs : Math.ceil(RECEIVE_STEP ** Math.ceil(Math.log(delayUs) / Math.log(RECEIVE_STEP)));

/** How long receiving may take for these tenants of a device to pass the node's stages; undefined when they do not. */
export function stagesFor(
  device: Device,
  placed: readonly Placed[],
  receiveUs: number,
  beside: readonly DevicePlan[],
): number | undefined {
  if (device.stages === undefined) return receiveUs;
  const own = placed.filter(({ request }) => request.class === 'RealTime').map((each) => passingOf(device, each));
  if (own.length === 0) return 0;
  const all = [...own, ...beside.flatMap(passingOn)];
  const setup = setupOf(device);
  const delayUs = receiveDelayUs(all, setup);
  if (delayUs === Infinity) return undefined;
  const usedUs = delayUs <= receiveUs ? receiveUs : stepOf(delayUs);
  return decodesInTime(all, setup, usedUs) ? usedUs : undefined;
}

/**
 * The ways that the node's stages leave for a tenant, those that cover most first; or why there is none.
 *
 * @param beside plans of the node's other devices, whose tenants pass the same stages
 * @param covers what may be covered, the most first
 */
export function waysFor(
  plan: DevicePlan,
  request: TenantRequest,
  streams: number,
  beside: readonly DevicePlan[],
  covers = coverages(request.frames),
): { readonly ways: readonly Way[] } | { readonly refusal: StageRefusal } {
  const { device } = plan;
  if (device.stages === undefined || request.class === 'BestEffort')
    return { ways: [{ covered: covers[0]!, decodeUs: 0, receiveUs: plan.receiveUs }] };
  const setup = setupOf(device);
  const others = [plan, ...beside].flatMap(passingOn);
  const ways: Way[] = [];
  let refusal: StageRefusal | undefined;
  for (const covered of covers) {
    const own = passingOf(device, { request, streams, covered, decodeUs: 0 });
    const all = [...others, own];
    const delayUs = receiveDelayUs(all, setup);
    if (delayUs === Infinity) {
      refusal = { reason: 'ReceiveExceeded', share: receiveShare(all), delayUs };
      continue;
    }
    const neededUs = stepOf(delayUs);
    for (const receiveUs of new Set([Math.max(plan.receiveUs, neededUs), neededUs])) {
      const fits = (decodeUs: number): boolean =>
        decodesInTime([...others, { ...own, decodeShareUs: decodeUs }], setup, receiveUs);
      const shares = (own.decodeUs === 0 ? [0] : sharesOf(device, request, own.decodeUs)).filter(fits);
      // As the work is divided; failing that, as little as may be.
      for (const decodeUs of new Set([shares[0], Math.min(...shares)]))
        if (decodeUs !== undefined && decodeUs !== Infinity) ways.push({ covered, decodeUs, receiveUs });
      if (shares.length > 0) continue;
      const share = decodeShare(all, setup.workers);
      const shareUs = Math.floor(DECODE_PARTS.at(-1)! * request.deadlineUs);
      refusal =
        own.decodeUs === 0
          ? { reason: 'ReceiveExceeded', share: receiveShare(all), delayUs, decodeShare: share }
          : { reason: 'DecodeExceeded', share, frameUs: own.decodeUs, shareUs };
    }
  }
  return ways.length > 0 ? { ways } : { refusal: refusal! };
}

/** The parts that a plan's tenants take of the node's event loop and of its decode workers. */
export function stageSharesOf(plan: DevicePlan): { readonly receive: number; readonly decode: number } {
  const all = passingOn(plan);
  return { receive: receiveShare(all), decode: decodeShare(all, setupOf(plan.device).workers) };
}

/** That receiving would hold frames up for longer than the device leaves time for. */
export function receiveRefusal(
  plan: DevicePlan,
  request: TenantRequest,
  streams: number,
  { covered, receiveUs }: Way,
  beside: readonly DevicePlan[],
): StageRefusal {
  const own = passingOf(plan.device, { request, streams, covered, decodeUs: 0 });
  return {
    reason: 'ReceiveExceeded',
    share: receiveShare([...[plan, ...beside].flatMap(passingOn), own]),
    delayUs: receiveUs,
  };
}
