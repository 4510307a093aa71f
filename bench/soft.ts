import { seededRandom } from '../sched/arrivals.js';
import { simulate } from '../sched/simulate.js';
import { WcetTable } from '../sched/wcet.js';
import type { Workload } from '../test/support/rounds.js';
import { KINDS, admittedSet, framesOf, offerOf, workload } from '../test/support/rounds.js';
import type { Figure } from './figure.js';

const SEEDS = 4;
const SECONDS = 10;
const MARGIN = 1.2;
/** A run's 99th percentile against its median; its logarithm is normal. */
const P99_OF_MEDIAN = 1.1;
const SIGMA = Math.log(P99_OF_MEDIAN) / 2.326;
/** All runs of so many in a row are longer or shorter together by up to this part. */
const [COMMON, COMMON_RUNS] = [0.05, 60];

const scaled = ({ tables, cameras }: Workload, factor: number): Workload => ({
  cameras,
  tables: tables.map(
    (wcet) =>
      new WcetTable(
        Array.from({ length: wcet.largestBatch }, (_, i) => ({
          batch: i + 1,
          wcetUs: Math.ceil(factor * wcet.at(i + 1)),
        })),
      ),
  ),
});

/** What is promised by a share of the WCET, and which part of it is late when runs take what they usually take. */
function promisedBy(share: number): { fps: number; late: number; frames: number } {
  const sum = { fps: 0, late: 0, frames: 0 };
  for (const kind of KINDS)
    for (const k of [1, 2, 4, 8])
      for (let seed = 1; seed <= SEEDS; seed++) {
        const { config, cameras } = admittedSet(scaled(workload(kind, k, seed), share));
        for (const { promised, periodUs } of cameras) if (promised) sum.fps += 1e6 / periodUs;
        const random = seededRandom(seed);
        const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
        let [common, runs] = [1, 0];
        const executeUs = ({ wcetUs }: { wcetUs: number }): number => {
          if (runs++ % COMMON_RUNS === 0) common = 1 + COMMON * (2 * random() - 1);
          return Math.ceil(((common * wcetUs) / share / MARGIN / P99_OF_MEDIAN) * Math.exp(SIGMA * normal()));
        };
        const fall = { phases: 'random', jitter: 'random', runs: 'wcet', seed } as const;
        const arrivals = framesOf(cameras, fall, SECONDS * 1e6, (camera) => cameras[camera]!.promised);
        sum.frames += arrivals.length;
        let inTime = 0;
        for (const { run, endUs } of simulate({ config, arrivals, offerOf: offerOf(cameras), executeUs }))
          for (const { camera, atUs } of run.frames) if (endUs <= atUs + cameras[camera]!.deadlineUs) inTime++;
        sum.late += arrivals.length - inTime;
      }
  return sum;
}

/** A soft promise, by 99th percentiles, against a firm one, by WCETs with their margin. */
export function benchSoft(): Figure[] {
  const [firm, soft] = [promisedBy(1), promisedBy(1 / MARGIN)];
  const share = soft.late / soft.frames;
  return [
    { name: 'promised softly against firmly', value: soft.fps / firm.fps, unit: 'x' },
    {
      name: `of ${soft.frames} softly promised frames late`,
      value: 100 * share,
      unit: '%',
      aim: '<= 0.1 %',
      met: share <= 0.001,
    },
    {
      name: `of ${firm.frames} firmly promised frames late`,
      value: firm.late,
      unit: '',
      aim: '0',
      met: firm.late === 0,
    },
  ];
}
