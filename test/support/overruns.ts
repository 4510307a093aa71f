import type { Arrival } from '../../sched/arrivals.js';
import { arrivalsOf, seededRandom } from '../../sched/arrivals.js';
import type { Streams } from '../../sched/category.js';
import { DueCurve } from '../../sched/curve.js';
import { chooseRounds, grown, utilizationOf } from '../../sched/rounds.js';
import type { BatcherConfig } from '../../sched/queue.js';
import type { Fault } from '../../sched/faults.js';
import type { SimulatedRun } from '../../sched/simulate.js';
import { simulate } from '../../sched/simulate.js';
import { WcetTable } from '../../sched/wcet.js';

/** Random admitted sets, on which runs take longer than measured for a while. */

/** A camera's tenant: what it was promised and what it allows. */
interface Tenant {
  readonly category: string;
  readonly streams: Streams;
  readonly deepest: number;
  readonly late: 'serve' | 'drop';
}

export interface Strained {
  readonly config: BatcherConfig;
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
  let best: { utilization: number; config: BatcherConfig; tenants: Tenant[] } | undefined;
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
    const trial = categories.map((each) => ({
      ...each,
      tenants: each === category ? [...each.tenants, tenant] : each.tenants,
    }));
    const used = trial.filter(({ tenants }) => tenants.length > 0);
    const demands = used.map(({ name, wcet, tenants }) => ({
      name,
      wcet,
      curve: new DueCurve(tenants.map(({ streams }) => streams)),
    }));
    const choice = chooseRounds(demands);
    if ('misfit' in choice) continue;
    category.tenants.push(tenant);
    const visits = grown(demands, choice.visits);
    let camera = 0;
    best = {
      utilization: demands.reduce((sum, demand, k) => sum + utilizationOf(demand, choice.visits[k]!.quota), 0),
      tenants: categories.flatMap(({ tenants }) => tenants),
      config: {
        categories: used.map(({ name, wcet, smaller, tenants }, k) => ({
          name,
          ladder: [wcet, ...smaller],
          visit: visits[k]!,
          promised: new Map(tenants.map(({ streams }) => [`t${camera++}`, streams])),
        })),
      },
    };
  }
  if (best === undefined || best.utilization < LEAST_UTILIZATION) return strainedSet(seed + 1_000_003);
  const names = best.config.categories.map(({ name }) => name);
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
  const runs: SimulatedRun[] = [];
  const degraded = new Map<number, number>();
  const given: Arrival[] = [];
  let misses = 0;
  for (const run of simulate({
    config: { ...set.config, adaptation },
    arrivals,
    offerOf: ({ camera, atUs }) => {
      const { deepest, late, streams } = set.tenantOf[camera]!;
      return { tenant: `t${camera}`, promised: true, deepest, late, dueUs: atUs + streams.deadlineUs };
    },
    gaveUp: (frames) => given.push(...frames.map(({ frame }) => frame)),
    faults: set.overruns,
    // What is usual: the WCET is measured with a margin.
    executeUs: ({ wcetUs }) => 0.8 * wcetUs,
  })) {
    runs.push(run);
    for (const frame of run.run.frames) {
      if (run.endUs > frame.atUs + set.tenantOf[frame.camera]!.streams.deadlineUs) misses++;
      if (run.run.rung > 0) degraded.set(frame.camera, Math.max(run.run.rung, degraded.get(frame.camera) ?? 0));
    }
  }
  return { frames: arrivals.length, misses: misses + given.length, dropped: given.length, given, degraded, runs };
}
