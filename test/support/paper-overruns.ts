import type { Arrival } from '../../sched/arrivals.js';
import { arrivalsOf, seededRandom } from '../../sched/arrivals.js';
import type { Streams } from '../../sched/category.js';
import type { DispatchConfig } from '../../sched/paper/config.js';
import type { Fault } from '../../sched/faults.js';
import type { FrameTerms } from '../../sched/frame.js';
import type { SimulatedRun } from '../../sched/paper/simulate.js';
import { simulate } from '../../sched/paper/simulate.js';
import { WcetTable } from '../../sched/wcet.js';
import { chooseWindows } from '../../sched/paper/windows.js';

/** Random admitted sets, on which runs take longer than measured for a while. */

/** A camera's tenant: what it was promised and what it allows. */
interface Tenant {
  readonly category: string;
  readonly streams: Streams;
  readonly deepest: number;
  readonly late: 'serve' | 'drop';
}

export interface Strained {
  readonly config: DispatchConfig;
  readonly cameras: { category: string; periodUs: number; jitterUs: number; phaseUs: number }[];
  readonly tenantOf: readonly Tenant[];
  readonly overruns: readonly Fault[];
  readonly utilization: number;
  readonly seed: number;
}

const SIZES = [1, 2, 4, 8, 16];
const SHRINK = [1, 0.5, 0.28];
const LEAST_UTILIZATION = 0.35;
export const SIMULATED_US = 10_000_000;

/** An admitted set with at least a third of the device promised, and up to 3x overruns for up to 2 s in some of its categories. */
export function strainedSet(seed: number): Strained {
  const random = seededRandom(seed);
  const between = (low: number, high: number): number => low + random() * (high - low);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  let best: { utilization: number; config: DispatchConfig; tenants: Tenant[] } | undefined;
  const categories = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, i) => {
    const [fixedUs, perFrameUs] = [between(1500, 6000), between(500, 2000)];
    const table = (scale: number): WcetTable =>
      new WcetTable(SIZES.map((batch) => ({ batch, wcetUs: Math.ceil(scale * (fixedUs + perFrameUs * batch)) })));
    return { name: `c${i}`, wcet: table(1), smaller: SHRINK.slice(1).map(table), tenants: [] as Tenant[] };
  });
  // Tenants are added as they come, those that do not fit left out.
  for (let i = 0; i < 40; i++) {
    const category = pick(categories);
    const periodUs = Math.floor(1e6 / pick([5, 10, 15, 24, 30]));
    const tenant: Tenant = {
      category: category.name,
      streams: {
        count: 1,
        periodUs,
        jitterUs: Math.floor(periodUs / 10),
        deadlineUs: 10_000 * pick([8, 10, 15, 20, 30, 40]),
      },
      deepest: pick([0, 1, 2]),
      late: pick(['serve', 'serve', 'drop']),
    };
    const asked = categories.map(({ name, wcet, tenants }) => ({
      name,
      wcet,
      streams: [...tenants, ...(name === category.name ? [tenant] : [])].map(({ streams }) => streams),
    }));
    const used = asked.filter(({ streams }) => streams.length > 0);
    const choice = chooseWindows(used);
    if (!choice.verdict.accepted) continue;
    category.tenants.push(tenant);
    best = {
      utilization: choice.verdict.rate,
      tenants: categories.flatMap(({ tenants }) => tenants),
      config: {
        realTime: used.map(({ name, wcet, streams }, k) => ({
          name,
          wcet,
          smaller: categories.find((each) => each.name === name)!.smaller,
          windowUs: choice.windowsUs[k]!,
          offsetUs: 0,
          relativeDeadlineUs: Math.min(...streams.map(({ deadlineUs }) => deadlineUs)) - choice.windowsUs[k]!,
        })),
        bestEffort: [],
        bestEffortUs: 0,
        earlyRelease: true,
      },
    };
  }
  if (best === undefined || best.utilization < LEAST_UTILIZATION) return strainedSet(seed + 1_000_003);
  const names = best.config.realTime.map(({ name }) => name);
  const hit = names.filter((_, i) => i === 0 || random() < 0.4);
  const fromUs = 1_000_000 + Math.floor(between(0, 500_000));
  const overruns = hit.map((category) => ({
    kind: 'overrun' as const,
    category,
    fromUs,
    forUs: Math.floor(between(300_000, 2_000_000)),
    factor: between(1.5, 3),
  }));
  return {
    ...best,
    seed,
    overruns,
    tenantOf: best.tenants,
    cameras: best.tenants.map(({ category, streams: { periodUs, jitterUs } }) => ({
      category,
      periodUs,
      jitterUs,
      phaseUs: Math.floor(random() * periodUs),
    })),
  };
}

export interface Outcome {
  readonly frames: number;
  readonly misses: number;
  /** Frames answered at another shape than was asked for, by their tenant's index. */
  readonly degraded: ReadonlyMap<number, number>;
  readonly runs: readonly SimulatedRun[];
  /** Frames that got no answer. */
  readonly dropped: number;
  readonly given: readonly Arrival[];
}

/** Runs the set in virtual time. */
export function runStrained(set: Strained, adaptation: boolean): Outcome {
  const random = seededRandom(set.seed + 17);
  const arrivals: Arrival[] = [...arrivalsOf(set.cameras, SIMULATED_US, random)];
  const terms = ({ camera, atUs }: Arrival): FrameTerms => {
    const { deepest, late, streams } = set.tenantOf[camera]!;
    return { deepest, late, dueUs: atUs + streams.deadlineUs };
  };
  const runs: SimulatedRun[] = [];
  const degraded = new Map<number, number>();
  const given: Arrival[] = [];
  let misses = 0;
  for (const run of simulate({
    config: { ...set.config, adaptation },
    arrivals,
    termsOf: terms,
    dropped: (frames) => given.push(...frames),
    faults: set.overruns,
    // What is usual: the WCET is measured with a margin.
    executeUs: ({ wcetUs }) => 0.8 * wcetUs,
  })) {
    runs.push(run);
    for (const frame of run.job.frames) {
      if (run.endUs > frame.atUs + set.tenantOf[frame.camera]!.streams.deadlineUs) misses++;
      if (run.job.rung > 0) degraded.set(frame.camera, Math.max(run.job.rung, degraded.get(frame.camera) ?? 0));
    }
  }
  return { frames: arrivals.length, misses: misses + given.length, dropped: given.length, given, degraded, runs };
}
