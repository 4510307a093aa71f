import type { Arrival } from '../arrivals.js';
import type { DispatchCategory } from './config.js';
import type { PlannedJob } from './ready.js';
import { simulate } from './simulate.js';

export interface ImitatorVerdict {
  readonly accepted: boolean;
  /** The order that was found; what is admitted is dispatched by replaying it (`ReplayReady`). */
  readonly plan: readonly PlannedJob[];
  /** The first job that would miss. */
  readonly late?: { readonly category: string; readonly atUs: number; readonly lateByUs: number };
}

/**
 * Admission, phase 2, `imitator` (the paper's EDF imitator, section 4.3): runs DisBatcher and worker in virtual time
 * over the declared arrivals and accepts when no job misses. Exact for those arrivals and for runs that take exactly
 * their WCET; `ReplayReady` carries the promise over to shorter runs (docs/theory-paper.md, Theorem 4).
 *
 * @param arrivals the frames already waiting and those declared, in order of time, up to the horizon
 * @param busyUntilUs when the device becomes free
 */
export function testImitator(
  realTime: readonly DispatchCategory[],
  arrivals: Iterable<Arrival>,
  busyUntilUs = 0,
): ImitatorVerdict {
  const plan: PlannedJob[] = [];
  const config = { realTime, bestEffort: [], bestEffortUs: 0, earlyRelease: false };
  for (const { job, startUs, endUs } of simulate({ config, arrivals, busyUntilUs })) {
    plan.push({ category: job.category, releaseUs: job.releaseUs, startUs });
    if (endUs > job.deadlineUs)
      return {
        accepted: false,
        plan,
        late: { category: job.category, atUs: job.deadlineUs, lateByUs: endUs - job.deadlineUs },
      };
  }
  return { accepted: true, plan };
}
