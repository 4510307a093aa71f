import type { Arrival } from '../../sched/arrivals.js';
import { seededRandom } from '../../sched/arrivals.js';
import type { Streams } from '../../sched/category.js';
import { shortestDeadlineUs } from '../../sched/category.js';
import type { Decider } from '../../sched/drive.js';
import { DynamicBatcher } from '../../sched/dynamic-batcher.js';
import { simulate as simulatePaper } from '../../sched/paper/simulate.js';
import { chooseWindows } from '../../sched/paper/windows.js';
import { Policer } from '../../sched/policer.js';
import { simulate } from '../../sched/simulate.js';
import type { WcetTable } from '../../sched/wcet.js';
import type { AdmittedSet } from '../../test/support/rounds.js';
import { admittedSet } from '../../test/support/rounds.js';
import { Aimd } from '../baselines/aimd.js';
import { Clockwork } from '../baselines/clockwork.js';
import { EagerEdf } from '../baselines/eager-edf.js';
import { FixedBatch } from '../baselines/fixed-batch.js';
import { Nexus } from '../baselines/nexus.js';
import { Sedf } from '../baselines/sedf.js';
import { Symphony } from '../baselines/symphony.js';
import type { Load } from './workload.js';

/** A run, as far as it is counted. */
export interface Ran {
  readonly frames: readonly Arrival[];
  readonly startUs: number;
  readonly endUs: number;
}

/** What a rule made of a load. */
export interface Served {
  readonly runs: readonly Ran[];
  /** Whether a frame was a promised one. */
  readonly promised: (frame: Arrival) => boolean;
  /** Cameras that were promised to be served. */
  readonly admitted: number;
}

/** So many frames are a batch, and the first of them waits so long, in the paper's BATCH and with Triton's defaults. */
const FIXED = 8;
const TRITON = { preferredBatch: 8, delayUs: 5000 };
/** Runs take this part of their WCET, drawn evenly: E(n) is a p99 with a margin. */
const PARTS = [0.6, 0.85] as const;

/** How long a run takes, in microseconds. */
export type Execute = (run: {
  readonly category: string;
  readonly frames: readonly unknown[];
  readonly wcetUs: number;
}) => number;

type Serve = (load: Load, frames: readonly Arrival[], executeUs: Execute) => Served;

const baseline =
  (make: (tables: ReadonlyMap<string, WcetTable>) => Decider<Arrival>): Serve =>
  (load, frames, executeUs) => {
    const tables = new Map(load.tables.map((wcet, i) => [`c${i}`, wcet]));
    const config = {
      categories: [...tables].map(([name, wcet]) => ({ name, ladder: [wcet], promised: new Map<string, Streams>() })),
    };
    const offerOf = ({ camera, atUs }: Arrival) => offer(load, camera, atUs, false);
    const runs = simulate({
      config,
      arrivals: frames,
      offerOf,
      executeUs,
      decider: () => make(tables),
    });
    return { runs: ranOf(runs), promised: () => false, admitted: 0 };
  };

const offer = ({ cameras }: Load, camera: number, atUs: number, promised: boolean) => ({
  tenant: `t${camera}`,
  promised,
  deepest: 0,
  late: 'drop' as const,
  dueUs: atUs + cameras[camera]!.deadlineUs,
});

/** Runs of a synthetic device. */
export function durations(seed: number): Execute {
  const random = seededRandom(seed + 1);
  return ({ wcetUs }) => Math.ceil(wcetUs * (PARTS[0] + (PARTS[1] - PARTS[0]) * random()));
}

const ranOf = (runs: Iterable<{ run: { frames: readonly Arrival[] }; startUs: number; endUs: number }>): Ran[] =>
  [...runs].map(({ run, startUs, endUs }) => ({ frames: run.frames, startUs, endUs }));

/** Quota rounds; frames are policed as at an agent's door. */
const ours =
  (spareTime: boolean): Serve =>
  (load, frames, executeUs) => {
    const set: AdmittedSet = admittedSet(load);
    const policers = load.cameras.map(({ periodUs, jitterUs }) => new Policer(1, periodUs, jitterUs));
    const promised = new Set<Arrival>();
    for (const frame of frames)
      if (set.cameras[frame.camera]!.promised && policers[frame.camera]!.offer(frame.atUs).accepted)
        promised.add(frame);
    const arrivals = spareTime ? frames : frames.filter((frame) => promised.has(frame));
    const offerOf = (frame: Arrival) => offer(load, frame.camera, frame.atUs, promised.has(frame));
    const runs = simulate({ config: set.config, arrivals, offerOf, executeUs });
    const admitted = set.cameras.filter((camera) => camera.promised).length;
    return { runs: ranOf(runs), promised: (frame) => promised.has(frame), admitted };
  };

/** The paper's own: windows of half the shortest deadline, np-EDF, the imitator's admission. */
const paper: Serve = (load, frames, executeUs) => {
  const streams = new Map<number, Streams[]>();
  const taken = new Set<number>();
  const categoriesOf = (all: ReadonlyMap<number, readonly Streams[]>) =>
    [...all].map(([c, list]) => ({ name: `c${c}`, wcet: load.tables[c]!, streams: list }));
  for (const [i, camera] of load.cameras.entries()) {
    const more = new Map(streams).set(camera.category, [...(streams.get(camera.category) ?? []), camera]);
    if (!chooseWindows(categoriesOf(more)).verdict.accepted) continue;
    streams.set(camera.category, more.get(camera.category)!);
    taken.add(i);
  }
  const served = categoriesOf(streams);
  const { windowsUs } = chooseWindows(served);
  const realTime = served.map(({ name, wcet, streams: list }, i) => ({
    name,
    wcet,
    smaller: [],
    windowUs: windowsUs[i]!,
    offsetUs: 0,
    relativeDeadlineUs: shortestDeadlineUs(list) - windowsUs[i]!,
  }));
  const policers = load.cameras.map(({ periodUs, jitterUs }) => new Policer(1, periodUs, jitterUs));
  const promised = new Set(
    frames.filter((frame) => taken.has(frame.camera) && policers[frame.camera]!.offer(frame.atUs).accepted),
  );
  const runs = [
    ...simulatePaper({
      config: { realTime, bestEffort: [], bestEffortUs: 0, earlyRelease: false, adaptation: false },
      arrivals: [...promised],
      executeUs,
      termsOf: ({ camera, atUs }) => offer(load, camera, atUs, true),
    }),
  ].map(({ job, startUs, endUs }) => ({ frames: job.frames, startUs, endUs }));
  return { runs, promised: (frame) => promised.has(frame), admitted: taken.size };
};

/** What is compared, and where it comes from. */
export const RULES: readonly { readonly name: string; readonly source: string; readonly serve: Serve }[] = [
  {
    name: 'SEDF',
    source: 'sequential EDF, no batches (DeepRT, section 6)',
    serve: baseline((tables) => new Sedf(tables)),
  },
  {
    name: 'BATCH',
    source: 'batches of eight, first come first served (DeepRT, section 6)',
    serve: baseline((tables) => new FixedBatch(tables, FIXED)),
  },
  {
    name: 'BATCH-Delay',
    source: 'batches of up to eight, 5 ms of delay (Triton, dynamic_batching)',
    serve: baseline((tables) => new DynamicBatcher<Arrival>({ categories: tables, ...TRITON })),
  },
  { name: 'AIMD', source: 'adaptive batches (Clipper, NSDI 2017)', serve: baseline((tables) => new Aimd(tables)) },
  {
    name: 'Nexus-like',
    source: 'duty cycle and early drop (Nexus, SOSP 2019)',
    serve: baseline((tables) => new Nexus(tables)),
  },
  {
    name: 'Clockwork-like',
    source: 'the largest batch in time, earliest begin first (Clockwork, OSDI 2020)',
    serve: baseline((tables) => new Clockwork(tables)),
  },
  {
    name: 'Symphony-like',
    source: 'deferred batches (Symphony, arXiv 2308.07470)',
    serve: baseline((tables) => new Symphony(tables)),
  },
  {
    name: 'eager EDF',
    source: 'EDF with whatever waits, hopeless frames given up',
    serve: baseline((tables) => new EagerEdf(tables)),
  },
  { name: 'DeepRT (paper)', source: 'windows, np-EDF, the imitator’s admission (SEC 2021)', serve: paper },
  { name: 'ours, no spare', source: 'quota rounds, promised frames only (docs/theory.md)', serve: ours(false) },
  { name: 'ours', source: 'quota rounds and spare time (docs/theory.md)', serve: ours(true) },
];
