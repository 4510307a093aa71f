import type { Affine, Kind, Workload } from '../test/support/rounds.js';
import { CPU_LIKE, GPU_LIKE, HEAVY, KINDS, admitted, workload } from '../test/support/rounds.js';
import { table } from '../cli/table.js';
import type { Streams } from '../sched/category.js';
import { mostArrivals } from '../sched/paper/arrivals-bound.js';
import type { WcetTable } from '../sched/wcet.js';
import type { Figure } from './figure.js';

const SEEDS = 6;
const CATEGORIES = [1, 2, 4, 8];

const fps = ({ cameras }: Workload, taken: readonly number[]): number =>
  taken.reduce((sum, i) => sum + 1e6 / cameras[i]!.periodUs, 0);

const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** Cameras admitted one by one by a rule over all categories that have any. */
function oneByOne(
  { tables, cameras }: Workload,
  accepts: (all: readonly { wcet: WcetTable; streams: readonly Streams[] }[]) => boolean,
): number[] {
  const streams = tables.map((): Streams[] => []);
  return [...cameras.keys()].filter((i) => {
    const own = streams[cameras[i]!.category]!;
    own.push(cameras[i]!);
    const used = tables.map((wcet, c) => ({ wcet, streams: streams[c]! })).filter((each) => each.streams.length > 0);
    if (accepts(used)) return true;
    own.pop();
    return false;
  });
}

/** Beyond this busy period a set counts as refused, in microseconds. */
const LONGEST_US = 10_000_000;

/** The paper's W = Dmin/2 under non-preemptive EDF, each window counted in full: processor demand up to the longest busy period. */
function plain(all: readonly { wcet: WcetTable; streams: readonly Streams[] }[]): boolean {
  const jobs = all.map(({ wcet, streams }) => {
    const deadlineUs = Math.min(...streams.map((each) => each.deadlineUs));
    const windowUs = Math.floor(deadlineUs / 2);
    return { windowUs, dueUs: deadlineUs - windowUs, costUs: wcet.at(mostArrivals(streams, windowUs)) };
  });
  if (jobs.some(({ costUs, dueUs }) => costUs > dueUs)) return false;
  if (jobs.reduce((sum, { costUs, windowUs }) => sum + costUs / windowUs, 0) >= 1) return false;
  const longestUs = Math.max(...jobs.map(({ costUs }) => costUs));
  let busyUs = 0;
  for (let nextUs = longestUs + 1; nextUs > busyUs && busyUs <= LONGEST_US;) {
    busyUs = nextUs;
    nextUs = jobs.reduce((sum, { costUs, windowUs }) => sum + Math.ceil(busyUs / windowUs) * costUs, longestUs);
  }
  if (busyUs > LONGEST_US) return false;
  const demandUs = (t: number): number =>
    jobs.reduce(
      (sum, { dueUs, windowUs, costUs }) => sum + (t < dueUs ? 0 : (Math.floor((t - dueUs) / windowUs) + 1) * costUs),
      0,
    ) + Math.max(0, ...jobs.filter(({ dueUs }) => dueUs > t).map(({ costUs }) => costUs));
  return jobs.every(({ dueUs, windowUs }) => {
    for (let t = dueUs; t === dueUs || t <= busyUs; t += windowUs) if (demandUs(t) > t) return false;
    return true;
  });
}

/** What no scheduler can exceed: each frame's own part, and a fixed part as often as the most demanding stream forces a batch. */
const bound = (all: readonly { wcet: WcetTable; streams: readonly Streams[] }[]): boolean =>
  all.reduce((sum, { wcet, streams }) => {
    const perFrameUs = wcet.at(2) - wcet.at(1);
    const fixedUs = wcet.at(1) - perFrameUs;
    const batches = streams.map((s) => 1 / ((Math.floor((s.deadlineUs + s.jitterUs) / s.periodUs) + 1) * s.periodUs));
    return sum + streams.reduce((all1, s) => all1 + perFrameUs / s.periodUs, 0) + fixedUs * Math.max(...batches);
  }, 0) <= 1;

/** Promised frames a second against W = Dmin/2, per cell, with the bound for any scheduler beside it. */
function cells(affine: Affine): { rows: string[][]; rounds: number[] } {
  const rounds: number[] = [];
  const rows = KINDS.flatMap((kind: Kind) =>
    CATEGORIES.map((k) => {
      const loads = Array.from({ length: SEEDS }, (_, i) => workload(kind, k, i + 1, affine));
      const base = loads.map((load) => fps(load, oneByOne(load, plain)));
      const ratio = (taken: (load: Workload) => readonly number[]): number =>
        geometricMean(loads.map((load, i) => fps(load, taken(load)) / base[i]!));
      const [ours, most] = [ratio((load) => admitted(load).taken), ratio((load) => oneByOne(load, bound))];
      rounds.push(ours);
      return [kind, String(k), ours.toFixed(2), most.toFixed(2)];
    }),
  );
  return { rows, rounds };
}

export function benchCapacity(): Figure[] {
  const figures: Figure[] = [];
  for (const [name, affine, aim] of [
    ['tables of a GPU', GPU_LIKE, 1.65],
    ['tables of a CPU', CPU_LIKE, 1.45],
    ['heavy tables', HEAVY, 1.35],
  ] as const) {
    const { rows, rounds } = cells(affine);
    console.log(`\n${name}\n${table(['CAMERAS', 'NETWORKS', 'ROUNDS / W=D/2', 'BOUND / W=D/2'], rows)}`);
    const mean = geometricMean(rounds);
    figures.push({
      name: `promised against W = D/2, ${name}, geometric mean of ${rounds.length} cells`,
      value: mean,
      unit: 'x',
      aim: `>= ${aim} x`,
      met: mean >= aim,
    });
    if (affine !== GPU_LIKE) continue;
    const least = Math.min(...rounds);
    figures.push({ name: 'the same, least cell', value: least, unit: 'x', aim: '>= 1.3 x', met: least >= 1.3 });
  }
  return figures;
}
