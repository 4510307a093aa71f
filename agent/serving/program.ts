import { answerUs, coveredBytes, coveredCost } from '../../api/frames.js';
import { categoryName, sameShape, tenantPath } from '../../api/names.js';
import type { ScheduleCategory, ScheduleDevice, ScheduleEntry } from '../../api/schedule.js';
import type { Step } from '../../sched/ladder.js';
import { deepestRung, ladderOf } from '../../sched/ladder.js';
import { promisedPoints } from '../../sched/promise.js';
import { decodeShare, receiveShare } from '../../sched/stages.js';
import { WcetTable } from '../../sched/wcet.js';
import type { ProgramCategory, Rung } from '../device/messages.js';
import type { CompleteModel } from '../frames.js';
import { inputBytes, inputsOf, networkDims } from '../frames.js';
import { imageInput } from '../image-input.js';
import type { ProfileStatus } from './recheck.js';
import { promisedOf, recheck } from './recheck.js';
import type { TenantTerms } from './tenant.js';

/** Promised frames of each tenant that may be on their way through this node, at least. */
const LEAST_SLOTS = 8;
const POOL_BYTES = 1024 ** 3;
/** Spare frames of each tenant that may be on their way through this node. */
export const SPARE_SLOTS = 32;
const SPARE_POOL_BYTES = 256 * 1024 ** 2;

/** Shared memory that frames of a category wait in. */
export interface PoolSize {
  readonly name: string;
  readonly slotBytes: number;
  readonly slots: number;
}

/** How much of the device, of the event loop and of the decode workers promised frames take. */
export interface Shares {
  readonly device: number;
  readonly receive: number;
  readonly decode: number;
}

/** A schedule as a device's batcher and its tenants' door take it. */
export interface DeviceProgram {
  readonly categories: readonly ProgramCategory[];
  /** By `<namespace>.<name>`. */
  readonly served: ReadonlyMap<string, TenantTerms>;
  readonly pools: readonly PoolSize[];
  readonly shares: Shares;
}

/**
 * What a schedule and a profile come to on a device.
 *
 * @throws Error when a category's model is not loaded and measured
 */
export function programOf(
  schedule: ScheduleDevice,
  profile: ProfileStatus,
  models: ReadonlyMap<string, CompleteModel>,
): DeviceProgram {
  const served = new Map<string, TenantTerms>();
  const pools: PoolSize[] = [];
  const { visits, utilization } = recheck(schedule, profile);
  const categories = categoriesOf(schedule).map((category): ProgramCategory => {
    const { name, model, tenants } = category;
    const visit = visits.get(name);
    const given = { receiveUs: schedule.receiveUs ?? 0, gapUs: visit?.gapUs ?? Infinity };
    const { ladder, termsOf } = ladderOn(category, given, profile, models);
    for (const tenant of tenants) served.set(tenantPath(tenant), termsOf(tenant));
    pools.push(...poolsOf(category, inputBytes(termsOf(tenants[0]!).inputs)));
    const promised = category.promised === undefined ? [] : [...promisedOf(category.promised, schedule, profile)];
    return { name, model, ladder, overheadUs: profile.dispatchOverheadUs ?? 0, visit, promised };
  });
  const passing = [...served.values()]
    .filter(({ promised }) => promised)
    .map(({ streams, periodUs, covered }) => ({ count: streams, periodUs, ...covered }));
  const decode = decodeShare(passing, profile.stages?.workers ?? 1);
  const shares = { device: utilization, receive: receiveShare(passing), decode };
  return { categories, served, pools, shares };
}

/** A tenant's entry in a schedule, and whether its frames were promised to be in time. */
type ServedEntry = ScheduleEntry & { readonly promised: boolean };

/** A category as a schedule asks for it: those who were promised something, and those whom it serves in spare time. */
interface ServedCategory {
  readonly name: string;
  readonly model: string;
  readonly shape: readonly number[];
  readonly promised?: ScheduleCategory;
  readonly tenants: ServedEntry[];
}

function categoriesOf({ categories, spare = [] }: ScheduleDevice): ServedCategory[] {
  const all = new Map<string, ServedCategory>();
  const add = (model: string, shape: readonly number[], tenant: ServedEntry): void => {
    const name = categoryName(model, shape);
    const known = all.get(name) ?? { name, model, shape, tenants: [] };
    known.tenants.push(tenant);
    all.set(name, known);
  };
  for (const category of categories) {
    const { name, model, shape, tenants } = category;
    if (category.class === 'RealTime')
      all.set(name, {
        name,
        model,
        shape,
        promised: category,
        tenants: tenants.map((each) => ({ ...each, promised: true })),
      });
    else for (const tenant of tenants) add(model, shape, { ...tenant, promised: false });
  }
  for (const { model, shape, ...tenant } of spare) add(model, shape, { ...tenant, promised: false });
  return [...all.values()];
}

export const poolName = (category: string, promised: boolean): string => (promised ? category : `${category}/spare`);

/** The shapes that were measured for a model, as rungs; making frames smaller is part of what a smaller one takes. */
function stepsOf(
  model: string,
  asked: readonly number[],
  { categories = [], promise }: ProfileStatus,
): (Step & { points: Rung['points'] })[] {
  return categories
    .filter((each) => each.model === model)
    .map(({ shape, resizeUs = 0, batches }) => {
      const perFrameUs = sameShape(shape, asked) ? 0 : resizeUs;
      const points = promisedPoints(batches, promise).map(({ batch, wcetUs }) => ({
        batch,
        wcetUs: wcetUs + batch * perFrameUs,
      }));
      return { shape, points, wcet: new WcetTable(points) };
    });
}

/** The shapes that a category may be computed at on this device, and its tenants' terms. */
function ladderOn(
  category: ServedCategory,
  { receiveUs, gapUs }: { readonly receiveUs: number; readonly gapUs: number },
  profile: ProfileStatus,
  models: ReadonlyMap<string, CompleteModel>,
): { ladder: Rung[]; termsOf: (tenant: ServedEntry) => TenantTerms } {
  const model = models.get(category.model);
  const shapes = ladderOf(category.shape, stepsOf(category.model, category.shape, profile));
  if (model === undefined || shapes.length === 0)
    throw new Error(`category ${category.name}: its model is not loaded and measured on this device`);
  const { layout } = model.spec.input;
  const ladder = shapes.map(({ shape, points }) => ({ dims: networkDims(shape, layout), points }));
  const runUs = Math.min(...shapes[0]!.points.map(({ batch, wcetUs }) => wcetUs / batch));
  const inputs = inputsOf(model, category.shape);
  const tensorBytes = inputBytes(inputs);
  const {
    answerBytes = 0,
    outputs = [],
    alone,
  } = profile.categories?.find((each) => each.model === category.model && sameShape(each.shape, category.shape)) ?? {};
  const runsAlone = alone !== undefined || model.spec.batching === 'None' || model.spec.maxBatchSize === 1;
  const common = {
    category: category.name,
    model: category.model,
    shape: category.shape,
    inputs,
    layout,
    image: imageInput(model, category.shape),
    outputs: outputs.map((output) => ({
      ...output,
      dims: (runsAlone ? model.outputAxes.get(output.name) : undefined) ?? [1, ...output.dims.slice(1)],
    })),
  };
  const termsOf = (tenant: ServedEntry): TenantTerms => ({
    ...common,
    namespace: tenant.namespace,
    name: tenant.name,
    promised: tenant.promised,
    beyond: tenant.beyondPromise === 'Refuse' ? 'refuse' : 'serve',
    latest: tenant.spareFrames === 'Latest',
    streams: tenant.streams,
    periodUs: tenant.periodUs,
    jitterUs: tenant.jitterUs,
    deadlineUs: tenant.deadlineUs ?? Infinity,
    slots: slotsFor(tenant),
    beside: category.tenants.length - 1,
    covered: {
      ...coveredCost(profile.stages, tenant, tensorBytes),
      bytes: coveredBytes(tenant, tensorBytes),
      answerUs: answerUs(profile.stages, answerBytes),
    },
    decodeDueUs: receiveUs + (tenant.decodeUs ?? 0),
    answerDueUs: receiveUs + (profile.stages?.channelUs ?? 0) / 2,
    gapUs,
    runUs,
    deepest: deepestRung(tenant.minShape, shapes),
    late: tenant.lateFrames === 'Drop' ? 'drop' : 'serve',
    senders: tenant.senders,
  });
  return { ladder, termsOf };
}

/** Of the longest time that a tenant's promised frames may spend here, twice over, and some. */
const slotsFor = ({ streams, periodUs, deadlineUs = 0 }: ServedEntry): number =>
  Math.max(LEAST_SLOTS, Math.ceil((2 * deadlineUs * streams) / periodUs) + 4 * streams);

/** Promised frames and spare ones wait apart, so that no flood takes the promised ones' places. */
function poolsOf({ name, tenants }: ServedCategory, slotBytes: number): PoolSize[] {
  const promised = tenants.filter((tenant) => tenant.promised);
  const wanted = promised.reduce((sum, tenant) => sum + slotsFor(tenant), 0);
  const within = (slots: number, mostBytes: number): number =>
    Math.max(1, Math.min(slots, Math.floor(mostBytes / slotBytes)));
  const spare = {
    name: poolName(name, false),
    slotBytes,
    slots: within(SPARE_SLOTS * tenants.length, SPARE_POOL_BYTES),
  };
  return promised.length === 0
    ? [spare]
    : [{ name: poolName(name, true), slotBytes, slots: within(wanted, POOL_BYTES) }, spare];
}
