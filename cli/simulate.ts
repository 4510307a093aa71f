import { createHistogram } from 'node:perf_hooks';
import type { Camera } from '../sched/arrivals.js';
import { arrivalsOf, seededRandom } from '../sched/arrivals.js';
import { simulate } from '../sched/simulate.js';
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
  readonly misses: number;
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

/** The admitted tenants in virtual time: seeded phases, jitter up to J, every run at its WCET. */
export async function simulateFiles(
  dir: string,
  profiles: readonly string[],
  seed: number,
  durationUs: number,
): Promise<SimulationReport> {
  const { plans, verdicts } = await planFiles(dir, profiles);
  const random = seededRandom(seed);
  const books = new Map<string, { frames: number; misses: number; latency: ReturnType<typeof createHistogram> }>();
  const devices = plans.map((plan) => ({
    node: plan.device.node,
    device: plan.device.device,
    ...simulateDevice(plan, random, durationUs, books),
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
        latencyMs:
          book === undefined || book.frames === 0
            ? null
            : { p50: ms(book.latency.percentile(50)), p99: ms(book.latency.percentile(99)), max: ms(book.latency.max) },
      };
    }),
  };
}

function simulateDevice(
  plan: DevicePlan,
  random: () => number,
  durationUs: number,
  books: Map<string, { frames: number; misses: number; latency: ReturnType<typeof createHistogram> }>,
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
  const config = {
    realTime: plan.categories
      .filter((category) => category.class === 'RealTime')
      .map((category) => ({
        name: category.name,
        wcet: wcetOf(category),
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
  for (const { job, startUs, endUs } of simulate({ config, arrivals: arrivalsOf(cameras, durationUs, random) })) {
    busyUs += endUs - startUs;
    jobs++;
    frames += job.frames.length;
    for (const frame of job.frames) {
      const { request } = cameras[frame.camera]!;
      const key = tenantKey(request);
      const book = books.get(key) ?? {
        frames: 0,
        misses: 0,
        latency: createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 }),
      };
      books.set(key, book);
      const latencyUs = endUs - frame.atUs + plan.device.ingestUs;
      book.frames++;
      if (latencyUs > request.deadlineUs) book.misses++;
      book.latency.record(Math.max(1, latencyUs));
    }
  }
  return { busy: busyUs / durationUs, meanBatch: jobs === 0 ? 0 : frames / jobs };
}

export function simulationTable({ tenants, devices }: SimulationReport): string {
  const rows = tenants.map(({ namespace, name, admitted, frames, misses, latencyMs }) => [
    `${namespace}/${name}`,
    admitted ? 'yes' : 'no',
    String(frames),
    String(misses),
    ...(latencyMs === null ? ['', '', ''] : [latencyMs.p50, latencyMs.p99, latencyMs.max].map((ms) => ms.toFixed(1))),
  ]);
  const busy = devices.map(
    ({ node, device, busy: share, meanBatch }) =>
      `${node}/${device}: ${(share * 100).toFixed(1)}% busy, mean batch ${meanBatch.toFixed(2)}`,
  );
  return `${table(['TENANT', 'ADMITTED', 'FRAMES', 'MISSES', 'P50 MS', 'P99 MS', 'MAX MS'], rows)}\n${busy.join('\n')}`;
}
