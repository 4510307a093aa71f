import { createHistogram } from 'node:perf_hooks';
import type { Arrival, Camera } from '../sched/arrivals.js';
import { arrivalsOf, seededRandom } from '../sched/arrivals.js';
import type { Fault } from '../sched/faults.js';
import { deepestRung, ladderOf } from '../sched/ladder.js';
import type { FrameTerms } from '../sched/ready.js';
import { simulate } from '../sched/simulate.js';
import { WcetTable } from '../sched/wcet.js';
import type { DevicePlan } from '../operator/admission/device-plan.js';
import type { TenantRequest } from '../operator/admission/request.js';
import { categoryName, tenantKey } from '../operator/admission/request.js';
import { planFiles } from './plan.js';
import { table } from './table.js';

export interface SimulatedTenant {
  readonly namespace: string;
  readonly name: string;
  readonly admitted: boolean;
  readonly frames: number;
  /** Frames answered after their deadline, or given up because of it. */
  readonly misses: number;
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
}

interface Book {
  frames: number;
  misses: number;
  degraded: number;
  failed: number;
  readonly latency: ReturnType<typeof createHistogram>;
}

/** The admitted tenants in virtual time: seeded phases, jitter up to J, every run at its WCET but for the faults. */
export async function simulateFiles(
  dir: string,
  profiles: readonly string[],
  options: SimulationOptions,
): Promise<SimulationReport> {
  const { seed, durationUs } = options;
  const { plans, verdicts } = await planFiles(dir, profiles);
  const random = seededRandom(seed);
  const books = new Map<string, Book>();
  const devices = plans.map((plan) => ({
    node: plan.device.node,
    device: plan.device.device,
    ...simulateDevice(plan, random, options, books),
  }));
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
        misses: book?.misses ?? 0,
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

function simulateDevice(
  plan: DevicePlan,
  random: () => number,
  { durationUs, faults, adaptation }: SimulationOptions,
  books: Map<string, Book>,
): { busy: number; meanBatch: number } {
  const cameras: (Camera & { request: TenantRequest })[] = plan.categories.flatMap((category) =>
    category.placed.flatMap(({ request, streams }) =>
      Array.from({ length: streams }, () => ({
        category: category.name,
        periodUs: request.periodUs,
        jitterUs: request.jitterUs,
        phaseUs: Math.floor(random() * request.periodUs),
        request,
      })),
    ),
  );
  const wcetOf = (category: DevicePlan['categories'][number]) =>
    plan.device.tables.get(categoryName(category.model, category.shape))!;
  const ladders = new Map(plan.categories.map((category) => [category.name, ladderOn(plan, category)]));
  const config = {
    adaptation,
    realTime: plan.categories
      .filter((category) => category.class === 'RealTime')
      .map((category) => ({
        name: category.name,
        wcet: wcetOf(category),
        smaller: ladders
          .get(category.name)!
          .slice(1)
          .map(({ wcet }) => wcet),
        windowUs: category.windowUs,
        offsetUs: 0,
        relativeDeadlineUs: category.relativeDeadlineUs,
      })),
    bestEffort: plan.categories
      .filter((category) => category.class === 'BestEffort')
      .map((category) => ({ name: category.name, wcet: wcetOf(category) })),
    bestEffortUs: plan.bestEffortUs,
    earlyRelease: true,
  };
  let busyUs = 0;
  let jobs = 0;
  let frames = 0;
  const bookOf = (camera: number): Book => {
    const key = tenantKey(cameras[camera]!.request);
    const book = books.get(key) ?? {
      frames: 0,
      misses: 0,
      degraded: 0,
      failed: 0,
      latency: createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 }),
    };
    books.set(key, book);
    return book;
  };
  const termsOf = ({ camera, category, atUs }: Arrival): FrameTerms => {
    const { minShape, lateFrames, deadlineUs } = cameras[camera]!.request;
    return {
      deepest: deepestRung(minShape, ladders.get(category)!),
      dueUs: atUs + deadlineUs,
      late: lateFrames === 'Drop' ? 'drop' : 'serve',
    };
  };
  const arrivals = arrivalsOf(cameras, durationUs, random);
  for (const { job, startUs, endUs } of simulate({
    config,
    arrivals,
    faults,
    termsOf,
    dropped: (given) =>
      given.forEach(({ camera }) => {
        bookOf(camera).frames++;
        bookOf(camera).misses++;
      }),
    failed: (lost) =>
      lost.forEach(({ camera }) => {
        bookOf(camera).frames++;
        bookOf(camera).failed++;
      }),
  })) {
    busyUs += endUs - startUs;
    jobs++;
    frames += job.frames.length;
    for (const frame of job.frames) {
      const book = bookOf(frame.camera);
      const latencyUs = endUs - frame.atUs + plan.device.ingestUs;
      book.frames++;
      if (latencyUs > cameras[frame.camera]!.request.deadlineUs) book.misses++;
      if (job.rung > 0) book.degraded++;
      book.latency.record(Math.max(1, latencyUs));
    }
  }
  return { busy: busyUs / durationUs, meanBatch: jobs === 0 ? 0 : frames / jobs };
}

/** The shapes that a category may be degraded to on this device; making frames smaller is part of what they take. */
function ladderOn(
  { device }: DevicePlan,
  { model, shape }: DevicePlan['categories'][number],
): { shape: readonly number[]; wcet: WcetTable }[] {
  const measured = [...device.tables].flatMap(([name, table]) => {
    const [of, dims] = name.split('@') as [string, string];
    if (of !== model) return [];
    const perFrameUs = dims === shape.join('x') ? 0 : (device.resizeUsOf?.get(name) ?? 0);
    const points = Array.from({ length: table.largestBatch }, (_, i) => ({
      batch: i + 1,
      wcetUs: table.at(i + 1) + (i + 1) * perFrameUs,
    }));
    return [{ shape: dims.split('x').map(Number), wcet: new WcetTable(points) }];
  });
  return ladderOf(shape, measured);
}

export function simulationTable({ tenants, devices }: SimulationReport): string {
  const rows = tenants.map(({ namespace, name, admitted, frames, misses, degraded, failed, latencyMs }) => [
    `${namespace}/${name}`,
    admitted ? 'yes' : 'no',
    String(frames),
    String(misses),
    String(degraded),
    String(failed),
    ...(latencyMs === null ? ['', '', ''] : [latencyMs.p50, latencyMs.p99, latencyMs.max].map((ms) => ms.toFixed(1))),
  ]);
  const busy = devices.map(
    ({ node, device, busy: share, meanBatch }) =>
      `${node}/${device}: ${(share * 100).toFixed(1)}% busy, mean batch ${meanBatch.toFixed(2)}`,
  );
  return `${table(['TENANT', 'ADMITTED', 'FRAMES', 'MISSES', 'DEGRADED', 'FAILED', 'P50 MS', 'P99 MS', 'MAX MS'], rows)}\n${busy.join('\n')}`;
}
