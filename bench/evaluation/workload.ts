import { readFileSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { parse } from 'yaml';
import type { Arrival } from '../../sched/arrivals.js';
import { seededRandom } from '../../sched/arrivals.js';
import type { Streams } from '../../sched/category.js';
import { WcetTable } from '../../sched/wcet.js';

/** Drawn from a list, or evenly between two bounds. */
type Drawn = { readonly pick: readonly number[] } | { readonly between: readonly [number, number] };

/** A workload as bench/workloads/*.yaml describes it. */
export interface WorkloadFile {
  readonly name: string;
  readonly title: string;
  readonly framesPerSecond?: Drawn;
  readonly periodMs?: Drawn;
  readonly deadlineMs: Drawn;
  /** Declared, and kept by all that do not break it. */
  readonly jitterMs?: number;
  readonly jitterPeriods?: number;
  /** What a share of the cameras does beyond what it declares. */
  readonly breaks?: { readonly share: number; readonly jitterPeriods?: number; readonly drift?: number };
  readonly staySeconds?: Drawn;
  /** Frame sizes at which each network is served, as parts of what a frame takes at full size. */
  readonly sizes?: readonly number[];
}

/** One camera: what it declares, and what it does. */
export interface Camera extends Streams {
  readonly category: number;
  readonly breaks: boolean;
  readonly actualJitterUs: number;
  readonly actualPeriodUs: number;
  readonly phaseUs: number;
  readonly fromUs: number;
  readonly untilUs: number;
}

export interface Load {
  readonly tables: readonly WcetTable[];
  readonly cameras: readonly Camera[];
}

const FOLDER = new URL('../../../bench/workloads/', import.meta.url);
const LARGEST_BATCH = 64;
/** Execution times a + b·n of a GPU-like device, in microseconds; synthetic. */
const FIXED_US = [2000, 8000] as const;
const PER_FRAME_US = [500, 2000] as const;
/** Loads count frames as they are in batches of this size. */
const USUAL_BATCH = 8;

export const workloads = (): WorkloadFile[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => ({
      ...(parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Omit<WorkloadFile, 'name'>),
      name: basename(file, '.yaml'),
    }));

/**
 * Cameras of a workload, drawn by a seed, until their frames in batches of eight would keep the device busy for `load` of its time.
 *
 * @param networks how many; with several sizes each is as many categories. Or what their batches take, where that was measured.
 */
export function drawn(
  file: WorkloadFile,
  networks: number | readonly WcetTable[],
  load: number,
  seed: number,
  seconds: number,
): Load {
  const count = typeof networks === 'number' ? networks : networks.length;
  const random = seededRandom(seed * 7919 + count);
  const between = ([low, high]: readonly [number, number]): number => low + random() * (high - low);
  const draw = (from: Drawn): number =>
    'pick' in from ? from.pick[Math.floor(random() * from.pick.length)]! : between(from.between);
  const synthetic = (): WcetTable[] => {
    const [fixedUs, perFrameUs] = [Math.round(between(FIXED_US)), Math.round(between(PER_FRAME_US))];
    return (file.sizes ?? [1]).map((size) => affine(fixedUs, perFrameUs * size));
  };
  const tables = typeof networks === 'number' ? Array.from({ length: count }, synthetic).flat() : networks;
  const cameras: Camera[] = [];
  for (let busy = 0; ;) {
    const category = Math.floor(random() * tables.length);
    const periodUs = Math.round(
      file.periodMs === undefined ? 1e6 / draw(file.framesPerSecond!) : 1000 * draw(file.periodMs),
    );
    const deadlineUs = Math.round(1000 * draw(file.deadlineMs));
    const jitterUs = Math.round(1000 * (file.jitterMs ?? 0) + (file.jitterPeriods ?? 0) * periodUs);
    const breaks = random() < (file.breaks?.share ?? 0);
    const phaseUs = Math.floor(random() * periodUs);
    const stayUs = file.staySeconds === undefined ? Infinity : 1e6 * draw(file.staySeconds);
    const fromUs = stayUs === Infinity ? 0 : Math.floor(random() * Math.max(0, 1e6 * seconds - stayUs));
    const there = Math.min(1, stayUs / (1e6 * seconds));
    busy += (there * tables[category]!.at(USUAL_BATCH)) / USUAL_BATCH / periodUs;
    if (busy > load) return { tables, cameras };
    cameras.push({
      category,
      count: 1,
      periodUs,
      jitterUs,
      deadlineUs,
      breaks,
      actualJitterUs: breaks ? Math.max(jitterUs, (file.breaks?.jitterPeriods ?? 0) * periodUs) : jitterUs,
      actualPeriodUs: breaks ? Math.round(periodUs / (1 + (file.breaks?.drift ?? 0))) : periodUs,
      phaseUs,
      fromUs,
      untilUs: Math.min(1e6 * seconds, fromUs + stayUs),
    });
  }
}

const affine = (fixedUs: number, perFrameUs: number): WcetTable =>
  new WcetTable(
    Array.from({ length: LARGEST_BATCH }, (_, i) => ({
      batch: i + 1,
      wcetUs: Math.ceil(fixedUs + perFrameUs * (i + 1)),
    })),
  );

/** The frames as they really come, in order of time. */
export function framesOf({ cameras }: Load, seed: number): Arrival[] {
  const random = seededRandom(seed);
  const frames: Arrival[] = [];
  for (const [camera, { category, actualPeriodUs, actualJitterUs, phaseUs, fromUs, untilUs }] of cameras.entries()) {
    let lastUs = 0;
    for (let atUs = fromUs + phaseUs; atUs < untilUs; atUs += actualPeriodUs) {
      lastUs = Math.max(lastUs, Math.floor(atUs + random() * actualJitterUs));
      frames.push({ atUs: lastUs, category: `c${category}`, camera });
    }
  }
  return frames.sort((a, b) => a.atUs - b.atUs);
}
