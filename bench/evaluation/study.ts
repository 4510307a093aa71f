import { mean } from '../figure.js';
import type { Measured } from './measure.js';
import { measure, missShare, quantile } from './measure.js';
import { RULES, durations } from './rules.js';
import type { WorkloadFile } from './workload.js';
import { drawn, framesOf } from './workload.js';

export const NETWORKS = [1, 2, 4, 8] as const;
/** Share of the device that all frames would take in batches of eight. */
export const LOADS = [0.5, 0.75, 1, 1.5, 2] as const;
const SEEDS = [1, 2, 3] as const;
const SECONDS = 10;

/** One rule at one load of one workload, over all seeds. */
export interface Cell {
  readonly workload: string;
  readonly networks: number;
  readonly load: number;
  readonly rule: string;
  /** Frames in time a second. */
  readonly goodput: number;
  /** The least and the most of the seeds. */
  readonly goodputSpread: readonly [number, number];
  readonly offered: number;
  readonly missed: number;
  readonly honestMissed: number;
  readonly worstCamera: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly busy: number;
  /** Of the frames, and those of them that missed; 0 where nothing is promised. */
  readonly promisedShare: number;
  readonly promisedMissed: number;
  readonly admittedShare: number;
}

/** Every rule at every load of a workload. */
export function study(file: WorkloadFile): Cell[] {
  return NETWORKS.flatMap((networks) =>
    LOADS.flatMap((load) => {
      const trials = SEEDS.map((seed) => {
        const set = drawn(file, networks, load, seed, SECONDS);
        return { set, frames: framesOf(set, seed), seed };
      });
      return RULES.map(({ name, serve }) => {
        const all = trials.map(({ set, frames, seed }) =>
          measure(set, frames, serve(set, frames, durations(seed)), SECONDS * 1e6),
        );
        return cellOf(file.name, networks, load, name, all, SECONDS);
      });
    }),
  );
}

/** What trials of so many seconds each come to. */
export function cellOf(
  workload: string,
  networks: number,
  load: number,
  rule: string,
  all: readonly Measured[],
  seconds: number,
): Cell {
  const sum = (figure: (one: Measured) => number): number => all.reduce((total, one) => total + figure(one), 0);
  const goodputs = all.map(({ inTime }) => inTime / seconds);
  const latencies = all.flatMap(({ latenciesUs }) => latenciesUs).sort((a, b) => a - b);
  const promised = sum((one) => one.promised);
  return {
    workload,
    networks,
    load,
    rule,
    goodput: mean(goodputs),
    goodputSpread: [Math.min(...goodputs), Math.max(...goodputs)],
    offered: sum(({ frames }) => frames) / seconds / all.length,
    missed: mean(all.map(missShare)),
    honestMissed:
      sum((one) => one.honestMissed) /
      Math.max(
        1,
        sum((one) => one.honest),
      ),
    worstCamera: Math.max(...all.map((one) => one.worstCamera)),
    p50Ms: quantile(latencies, 0.5) / 1000,
    p99Ms: quantile(latencies, 0.99) / 1000,
    p999Ms: quantile(latencies, 0.999) / 1000,
    busy: mean(all.map((one) => one.busy)),
    promisedShare: promised / sum(({ frames }) => frames),
    promisedMissed: promised === 0 ? 0 : sum((one) => one.promisedMissed) / promised,
    admittedShare: sum((one) => one.admitted) / sum((one) => one.cameras),
  };
}

/**
 * The most load, in steps of a twentieth, at which at most one frame in a hundred is missed: what MLPerf's MultiStream asks of a server.
 *
 * @returns cameras, the mean over the seeds
 */
export function mostCameras(file: WorkloadFile, networks: number): Map<string, number> {
  return new Map(
    RULES.map(({ name, serve }) => {
      const most = SEEDS.map((seed) => {
        let cameras = 0;
        for (let load = 0.1; load <= 2; load += 0.05) {
          const set = drawn(file, networks, load, seed, SECONDS / 2);
          const frames = framesOf(set, seed);
          if (missShare(measure(set, frames, serve(set, frames, durations(seed)), (SECONDS / 2) * 1e6)) > 0.01) break;
          cameras = set.cameras.length;
        }
        return cameras;
      });
      return [name, mean(most)];
    }),
  );
}

/** Of cameras that admission refuses, those that some rule would have served without a miss, beside all that were admitted. */
export function falseRejects(
  file: WorkloadFile,
  networks: number,
): { readonly refused: number; readonly wrongly: number } {
  let [refused, wrongly] = [0, 0];
  for (const seed of SEEDS) {
    const set = drawn(file, networks, 1, seed, SECONDS / 2);
    const frames = framesOf(set, seed);
    const { promised } = OURS.serve(set, frames, durations(seed));
    const taken = new Set(frames.filter(promised).map(({ camera }) => camera));
    for (const [i, camera] of set.cameras.entries()) {
      if (taken.has(i)) continue;
      refused++;
      const alone = { ...set, cameras: [...[...taken].map((k) => set.cameras[k]!), camera] };
      const served = RULES.some(({ name, serve }) => {
        if (name.startsWith('ours') || name === 'DeepRT (paper)') return false;
        return SEEDS.every((fall) => {
          const frames = framesOf(alone, fall);
          return missShare(measure(alone, frames, serve(alone, frames, durations(fall)), (SECONDS / 2) * 1e6)) === 0;
        });
      });
      if (served) wrongly++;
    }
  }
  return { refused, wrongly };
}

const OURS = RULES.find(({ name }) => name === 'ours')!;
