import { createHistogram } from 'node:perf_hooks';
import { shapeText, tenantKey, categoryName } from '../api/names.js';
import type { DevicePlan, Placed } from '../operator/admission/plan.js';
import { placedOn } from '../operator/admission/plan.js';
import type { TenantRequest } from '../operator/admission/request.js';
import { outsideUs } from '../operator/admission/stages.js';
import type { Arrival } from '../sched/arrivals.js';
import { arrivalsOf, seededRandom } from '../sched/arrivals.js';
import type { Fault } from '../sched/faults.js';
import { ladderOf } from '../sched/ladder.js';
import { WcetTable } from '../sched/wcet.js';
import { BadInput } from './directory.js';
import { planFiles } from './plan.js';
import type { Policy, Served } from './policies.js';
import { simulateBy } from './policies.js';
import { table } from './table.js';

export interface SimulatedTenant {
  readonly namespace: string;
  readonly name: string;
  readonly admitted: boolean;
  readonly frames: number;
  /** Frames answered in time, promised or not. */
  readonly onTime: number;
  /** Promised frames answered after their deadline, or given up because of it. */
  readonly misses: number;
  /** Frames that were not promised and got no answer. */
  readonly refused: number;
  /** Frames computed at a smaller shape. */
  readonly degraded: number;
  /** Frames lost with the device. */
  readonly failed: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
}

export interface SimulationReport {
  readonly seed: number;
  readonly durationMs: number;
  readonly tenants: readonly SimulatedTenant[];
  readonly devices: readonly {
    readonly node: string;
    readonly device: number;
    readonly busy: number;
    readonly meanBatch: number;
  }[];
}

export interface SimulationOptions {
  readonly seed: number;
  readonly durationUs: number;
  readonly faults: readonly Fault[];
  readonly adaptation: boolean;
  readonly policy: Policy;
}

interface Book {
  frames: number;
  onTime: number;
  refused: number;
  misses: number;
  degraded: number;
  failed: number;
  readonly latency: ReturnType<typeof createHistogram>;
}

/** Tenants in virtual time: seeded phases, jitter up to J, every run at its WCET but for the faults. */
export async function simulateFiles(
  dir: string,
  profiles: readonly string[] | undefined,
  options: SimulationOptions,
): Promise<SimulationReport> {
  const { seed, durationUs } = options;
  const { plans, verdicts, requests } = await planFiles(dir, profiles);
  const measured = new Set(plans.flatMap(({ device }) => [...device.tables.keys()]));
  for (const { category } of options.faults)
    if (category !== undefined && !measured.has(category))
      throw new BadInput(`--fault: no profile has the category "${category}"; they have ${[...measured].join(', ')}`);
  const random = seededRandom(seed);
  const books = new Map<string, Book>();
  const bookOf = (request: TenantRequest): Book => {
    const key = request.key;
    const known = books.get(key);
    if (known !== undefined) return known;
    const latency = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
    const book = { frames: 0, onTime: 0, refused: 0, misses: 0, degraded: 0, failed: 0, latency };
    books.set(key, book);
    return book;
  };
  const unplaced = new Map(requests.map((request) => [request.key, request.streams]));
  for (const { request, streams } of plans.flatMap((plan) => [...placedOn(plan), ...plan.spare]))
    unplaced.set(request.key, unplaced.get(request.key)! - streams);
  const devices = plans.map((plan) => ({
    node: plan.device.node,
    device: plan.device.device,
    ...simulateDevice(plan, random, options, bookOf, unplaced),
  }));
  // Whoever is served nowhere sends all the same.
  for (const request of requests) {
    const frames = unplaced.get(request.key)! * Math.floor(durationUs / request.periodUs);
    const book = bookOf(request);
    book.frames += frames;
    book.refused += frames;
  }
  return {
    seed,
    durationMs: durationUs / 1000,
    devices,
    tenants: verdicts.map(({ namespace, name, admitted }) => {
      const book = books.get(tenantKey({ namespace, name }));
      const ms = (us: number): number => us / 1000;
      return {
        namespace,
        name,
        admitted,
        frames: book?.frames ?? 0,
        onTime: book?.onTime ?? 0,
        misses: book?.misses ?? 0,
        refused: book?.refused ?? 0,
        degraded: book?.degraded ?? 0,
        failed: book?.failed ?? 0,
        latencyMs:
          book === undefined || book.latency.count === 0
            ? null
            : { p50: ms(book.latency.percentile(50)), p99: ms(book.latency.percentile(99)), max: ms(book.latency.max) },
      };
    }),
  };
}

/** @param unplaced streams that no device has a place for: those of a tenant of which others are here are spare; what comes is taken off */
function camerasOn(plan: DevicePlan, random: () => number, unplaced: Map<string, number>): Served[] {
  const of = (placed: Placed, promised: boolean): Served[] =>
    Array.from({ length: placed.streams }, () => ({
      category: categoryName(placed.request.model, placed.request.shape),
      periodUs: placed.request.periodUs,
      jitterUs: placed.request.jitterUs,
      phaseUs: Math.floor(random() * placed.request.periodUs),
      request: placed.request,
      promised,
      outsideUs: outsideUs(plan, placed),
    }));
  const beyond = placedOn(plan).flatMap((placed) => {
    const { key, beyondPromise } = placed.request;
    const streams = beyondPromise === 'Serve' ? unplaced.get(key)! : 0;
    if (streams > 0) unplaced.set(key, 0);
    return { ...placed, streams };
  });
  return [
    ...plan.categories.flatMap(({ placed }) => placed.flatMap((each) => of(each, true))),
    ...[...plan.bestEffort, ...plan.spare, ...beyond].flatMap((each) => of(each, false)),
  ];
}

function simulateDevice(
  plan: DevicePlan,
  random: () => number,
  options: SimulationOptions,
  bookOf: (request: TenantRequest) => Book,
  unplaced: Map<string, number>,
): { busy: number; meanBatch: number } {
  const { durationUs, faults, policy } = options;
  const cameras = camerasOn(plan, random, unplaced);
  const ladders = new Map(cameras.map(({ category, request }) => [category, ladderOn(plan, request)]));
  const spare = policy === 'no-spare' ? cameras.map(({ promised }) => promised) : cameras.map(() => true);
  let [busyUs, runs, frames] = [0, 0, 0];
  for (const { run, startUs, endUs } of simulateBy(policy, {
    plan,
    cameras,
    ladders,
    adaptation: options.adaptation,
    faults,
    arrivals: admittedOnly(arrivalsOf(cameras, durationUs, random), spare, ({ camera }) => {
      const book = bookOf(cameras[camera]!.request);
      book.frames++;
      book.refused++;
    }),
    gaveUp: ({ camera }) => {
      const { request, promised } = cameras[camera]!;
      const book = bookOf(request);
      book.frames++;
      if (promised) book.misses++;
      else book.refused++;
    },
    failed: ({ camera }) => {
      const book = bookOf(cameras[camera]!.request);
      book.frames++;
      book.failed++;
    },
  })) {
    busyUs += endUs - startUs;
    runs++;
    frames += run.frames.length;
    for (const frame of run.frames) {
      const { request, promised, outsideUs: heldUs } = cameras[frame.camera]!;
      const book = bookOf(request);
      const latencyUs = endUs - frame.atUs + heldUs;
      book.frames++;
      if (latencyUs <= request.deadlineUs) book.onTime++;
      else if (promised) book.misses++;
      if (run.rung > 0) book.degraded++;
      book.latency.record(Math.max(1, latencyUs));
    }
  }
  return { busy: busyUs / durationUs, meanBatch: runs === 0 ? 0 : frames / runs };
}

/** Frames of cameras that are served; the others are told of. */
function* admittedOnly(
  arrivals: Iterable<Arrival>,
  served: readonly boolean[],
  refused: (arrival: Arrival) => void,
): Generator<Arrival> {
  for (const arrival of arrivals) {
    if (served[arrival.camera] === true) yield arrival;
    else refused(arrival);
  }
}

/** The shapes that a category may be degraded to on this device; making frames smaller is part of what they take. */
function ladderOn(
  { device }: DevicePlan,
  { model, shape }: TenantRequest,
): { shape: readonly number[]; wcet: WcetTable }[] {
  const measured = [...device.tables].flatMap(([name, table]) => {
    const [of, dims] = name.split('@') as [string, string];
    if (of !== model) return [];
    const perFrameUs = dims === shapeText(shape) ? 0 : (device.resizeUsOf?.get(name) ?? 0);
    const points = Array.from({ length: table.largestBatch }, (_, i) => ({
      batch: i + 1,
      wcetUs: table.at(i + 1) + (i + 1) * perFrameUs,
    }));
    return [{ shape: dims.split('x').map(Number), wcet: new WcetTable(points) }];
  });
  return ladderOf(shape, measured);
}

export function simulationTable({ tenants, devices }: SimulationReport): string {
  const rows = tenants.map(
    ({ namespace, name, admitted, frames, onTime, misses, refused, degraded, failed, latencyMs }) => [
      tenantKey({ namespace, name }),
      admitted ? 'yes' : 'no',
      String(frames),
      String(onTime),
      String(misses),
      String(refused),
      String(degraded),
      String(failed),
      ...(latencyMs === null ? ['', '', ''] : [latencyMs.p50, latencyMs.p99, latencyMs.max].map((ms) => ms.toFixed(1))),
    ],
  );
  const busy = devices.map(
    ({ node, device, busy: share, meanBatch }) =>
      `${node}/${device}: ${(share * 100).toFixed(1)}% busy, mean batch ${meanBatch.toFixed(2)}`,
  );
  return `${table(['TENANT', 'ADMITTED', 'FRAMES', 'ON TIME', 'MISSES', 'REFUSED', 'DEGRADED', 'FAILED', 'P50 MS', 'P99 MS', 'MAX MS'], rows)}\n${busy.join('\n')}`;
}
