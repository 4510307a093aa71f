import fc from 'fast-check';
import type { Arrival } from '../../sched/arrivals.js';
import { seededRandom } from '../../sched/arrivals.js';
import type { BatcherConfig } from '../../sched/queue.js';
import type { Streams } from '../../sched/category.js';
import { DueCurve } from '../../sched/curve.js';
import type { FrameOffer } from '../../sched/frame.js';
import type { Demand } from '../../sched/rounds.js';
import { chooseRounds, grown } from '../../sched/rounds.js';
import { WcetTable } from '../../sched/wcet.js';

/** Random cameras, admitted one by one under quota rounds, and ways for their frames to fall. */

export interface Camera extends Streams {
  readonly category: number;
}

export interface Workload {
  readonly tables: readonly WcetTable[];
  readonly cameras: readonly Camera[];
}

const RATES = [5, 10, 15, 24, 25, 30];
const DEADLINES_MS = [50, 100, 150, 200, 300, 500];
const LARGEST_BATCH = 64;

export const KINDS = ['cam', 'cam30', 'mixed'] as const;
export type Kind = (typeof KINDS)[number];

/** Execution times a + b·n in microseconds, drawn between these. */
export interface Affine {
  readonly fixedUs: readonly [number, number];
  readonly perFrameUs: readonly [number, number];
}

export const GPU_LIKE: Affine = { fixedUs: [2000, 8000], perFrameUs: [500, 2000] };
export const CPU_LIKE: Affine = { fixedUs: [300, 1500], perFrameUs: [2000, 10_000] };
export const HEAVY: Affine = { fixedUs: [10_000, 40_000], perFrameUs: [500, 5000] };

/** Cameras of one kind over so many categories, all with 5 ms of jitter. */
export function workload(kind: Kind, categories: number, seed: number, affine = GPU_LIKE, count = 150): Workload {
  const random = seededRandom(seed * 7919 + categories);
  const between = ([low, high]: readonly [number, number]): number => Math.round(low + random() * (high - low));
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const tables = Array.from({ length: categories }, () => {
    const [fixedUs, perFrameUs] = [between(affine.fixedUs), between(affine.perFrameUs)];
    return new WcetTable(
      Array.from({ length: LARGEST_BATCH }, (_, i) => ({ batch: i + 1, wcetUs: fixedUs + perFrameUs * (i + 1) })),
    );
  });
  const terms: Record<Kind, () => { periodUs: number; deadlineUs: number }> = {
    cam: () => ({ periodUs: Math.round(1e6 / pick(RATES)), deadlineUs: 1000 * pick(DEADLINES_MS) }),
    cam30: () => ({ periodUs: 33_333, deadlineUs: 1000 * pick([100, 150, 200]) }),
    mixed: () => ({ periodUs: between([20_000, 200_000]), deadlineUs: between([50_000, 500_000]) }),
  };
  const cameras = Array.from({ length: count }, () => ({
    category: Math.floor(random() * categories),
    count: 1,
    jitterUs: 5000,
    ...terms[kind](),
  }));
  return { tables, cameras };
}

/** Which cameras are admitted, one after the other, and with which demands. */
export function admitted({ tables, cameras }: Workload): { taken: number[]; demands: Demand[] } {
  let demands = new Map<number, Demand>();
  const taken: number[] = [];
  for (const [i, { category, ...streams }] of cameras.entries()) {
    const known = demands.get(category);
    const curve = known === undefined ? new DueCurve([streams]) : known.curve.with(streams);
    const trial = new Map(demands).set(category, {
      name: `c${category}`,
      wcet: tables[category]!,
      curve,
      promised: known?.promised,
    });
    const choice = chooseRounds([...trial.values()]);
    if ('misfit' in choice) continue;
    taken.push(i);
    demands = new Map([...trial].map(([each, demand], k) => [each, { ...demand, promised: choice.visits[k] }]));
  }
  return { taken, demands: [...demands.values()] };
}

export interface AdmittedSet {
  readonly config: BatcherConfig;
  readonly cameras: readonly (Camera & { readonly promised: boolean })[];
}

/** The admitted cameras as a batcher is programmed with them, and those refused as cameras that send all the same. */
export function admittedSet(load: Workload, quotas: 'least' | 'grown' = 'grown'): AdmittedSet {
  const { taken, demands } = admitted(load);
  const choice = chooseRounds(demands);
  if ('misfit' in choice) throw new Error('what was admitted one by one is admitted together');
  const visits = quotas === 'grown' ? grown(demands, choice.visits) : choice.visits;
  const isTaken = new Set(taken);
  const promisedOf = (category: number): Map<string, Streams> =>
    new Map(taken.filter((i) => load.cameras[i]!.category === category).map((i) => [`t${i}`, load.cameras[i]!]));
  return {
    config: {
      categories: load.tables.map((wcet, category) => ({
        name: `c${category}`,
        ladder: [wcet],
        visit: visits[demands.findIndex(({ name }) => name === `c${category}`)],
        promised: promisedOf(category),
      })),
    },
    cameras: load.cameras.map((camera, i) => ({ ...camera, promised: isTaken.has(i) })),
  };
}

/** How frames fall: random phases or all at once; jitter drawn, alternating, or all of it on the first frame. */
export interface Fall {
  readonly phases: 'random' | 'together';
  readonly jitter: 'random' | 'alternating' | 'first';
  readonly runs: 'wcet' | 'early' | 'some tiny';
  readonly seed: number;
}

export const falls: fc.Arbitrary<Fall> = fc.record({
  phases: fc.constantFrom('random', 'together'),
  jitter: fc.constantFrom('random', 'alternating', 'first'),
  runs: fc.constantFrom('wcet', 'early', 'some tiny'),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
});

/** Frames of the cameras in order of time, of those that send. */
export function framesOf(
  cameras: readonly Camera[],
  { phases, jitter, seed }: Fall,
  untilUs: number,
  sends: (camera: number) => boolean = () => true,
): Arrival[] {
  const random = seededRandom(seed);
  const frames: Arrival[] = [];
  for (const [i, { category, periodUs, jitterUs }] of cameras.entries()) {
    const phaseUs = phases === 'together' ? 0 : Math.floor(random() * periodUs);
    if (!sends(i)) continue;
    let lastUs = 0;
    for (let k = 0; phaseUs + k * periodUs < untilUs; k++) {
      const delayUs = {
        random: random() * (jitterUs + 1),
        alternating: k % 2 === 0 ? jitterUs : 0,
        first: k === 0 ? jitterUs : 0,
      };
      lastUs = Math.max(lastUs, phaseUs + k * periodUs + Math.floor(delayUs[jitter]));
      frames.push({ atUs: lastUs, category: `c${category}`, camera: i });
    }
  }
  return frames.sort((a, b) => a.atUs - b.atUs);
}

/** How long runs take, by the fall's kind of runs. */
export function durations({ runs, seed }: Fall, inflated = 1): (run: { readonly wcetUs: number }) => number {
  const random = seededRandom(seed + 1);
  const share = { wcet: () => 1, early: () => 0.3 + 0.7 * random(), 'some tiny': () => (random() < 0.8 ? 1 : 0.01) };
  return ({ wcetUs }) => Math.ceil(inflated * wcetUs * share[runs]());
}

export const offerOf =
  (cameras: AdmittedSet['cameras']) =>
  ({ camera, atUs }: Arrival): Omit<FrameOffer, 'category' | 'atUs'> => ({
    tenant: `t${camera}`,
    promised: cameras[camera]!.promised,
    deepest: 0,
    late: 'drop',
    dueUs: atUs + cameras[camera]!.deadlineUs,
  });
