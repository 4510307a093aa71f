import type { Fall } from '../test/support/rounds.js';
import { KINDS, admittedSet, durations, framesOf, offerOf, workload } from '../test/support/rounds.js';
import { simulate } from '../sched/simulate.js';
import type { Figure } from './figure.js';

const PROMISED = 10_000_000;
const SECONDS = 10;

/** Promised frames of random full sets beside a flood of all cameras that were refused: how many are late. */
export function benchJudge(): Figure[] {
  let [promised, late, spareInTime, spare] = [0, 0, 0, 0];
  for (let seed = 1; promised < PROMISED; seed++)
    for (const kind of KINDS)
      for (const k of [1, 2, 4, 8])
        for (const runs of ['wcet', 'early', 'some tiny'] as const) {
          const { config, cameras } = admittedSet(workload(kind, k, seed), seed % 2 === 0 ? 'least' : 'grown');
          const jitter = (['random', 'alternating', 'first'] as const)[seed % 3]!;
          const fall: Fall = { phases: seed % 4 === 0 ? 'together' : 'random', jitter, runs, seed };
          const count = (camera: number, inTime: boolean): void => {
            if (cameras[camera]!.promised) promised++;
            else spare++;
            if (cameras[camera]!.promised && !inTime) late++;
            if (!cameras[camera]!.promised && inTime) spareInTime++;
          };
          for (const { run, endUs } of simulate({
            config,
            arrivals: framesOf(cameras, fall, SECONDS * 1e6),
            offerOf: offerOf(cameras),
            executeUs: durations(fall),
            gaveUp: (frames) => frames.forEach(({ frame }) => count(frame.camera, false)),
          }))
            for (const { camera, atUs } of run.frames) count(camera, endUs <= atUs + cameras[camera]!.deadlineUs);
        }
  return [
    { name: `promised frames late of ${promised} beside a flood`, value: late, unit: '', aim: '0', met: late === 0 },
    { name: `spare frames in time of ${spare}, on full devices`, value: (100 * spareInTime) / spare, unit: '%' },
  ];
}
