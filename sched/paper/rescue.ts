import type { Strain } from '../adaptation.js';
import type { FrameTerms } from '../frame.js';
import type { Job } from './ready.js';
import type { WcetTable } from '../wcet.js';

/** What becomes of a job that is about to start. */
export interface Rescue<F> {
  /** What to run now. */
  readonly run?: Job<F>;
  /** The rest of the same job, to be taken up right after. */
  readonly back?: Job<F>;
  /** Frames that cannot meet their deadlines any more, to be run when nobody else is kept waiting. */
  readonly late?: Job<F>;
  /** The same, of tenants who do not want late answers. */
  readonly dropped: readonly F[];
}

/**
 * Decides at which shape a job runs, and whether it runs at all while the device is behind. In an admitted set without
 * overruns every job starts early enough to end in time even at its WCET (docs/theory-paper.md, Theorem 3), so whatever is
 * short of time here is so because of earlier excess, and its tenants' permission to degrade applies. The parts that a
 * job is split into never take more than was counted for the whole, so nobody else pays for it (Theorem 6).
 *
 * @param ladder E at the full shape and at each smaller one
 */
export function rescue<F>(job: Job<F>, ladder: readonly WcetTable[], { rung, pace }: Strain, nowUs: number): Rescue<F> {
  const count = job.frames.length;
  const fits = (wcetUs: number, dueUs: number): boolean => wcetUs <= job.budgetUs && nowUs + wcetUs * pace <= dueUs;
  const allowed = deepestRung(job, ladder);

  let together: number | undefined;
  for (let at = Math.min(rung, allowed); at <= allowed && together === undefined; at++)
    if (fits(ladder[at]!.at(count), job.deadlineUs)) together = at;
  const wholeUs = together === undefined ? job.budgetUs : ladder[together]!.at(count);
  if (together !== undefined && together >= rung) return { run: atRung(job, ladder, together), dropped: [] };

  // Those who allow more go ahead at a smaller shape, the others follow.
  const [willing, others] = divide(job, ({ deepest }) => deepest > allowed);
  if (willing !== undefined && others !== undefined) {
    const othersUs = ladder[Math.min(rung, allowed)]!.at(others.frames.length);
    for (let at = Math.max(rung, allowed + 1), last = deepestRung(willing, ladder); at <= last; at++) {
      const willingUs = ladder[at]!.at(willing.frames.length);
      if (willingUs + othersUs >= wholeUs || !fits(willingUs, job.deadlineUs)) continue;
      const run = { ...atRung(willing, ladder, at), budgetUs: job.budgetUs - othersUs };
      return { run, back: { ...others, budgetUs: othersUs }, dropped: [] };
    }
  }
  if (together !== undefined) return { run: atRung(job, ladder, together), dropped: [] };

  // Too late for the job as such: as many frames as can still meet deadlines of their own.
  const byDue = job.terms.map(({ dueUs }) => dueUs).sort((a, b) => b - a);
  let makeable = count;
  while (makeable > 0 && !fits(ladder[allowed]!.at(makeable), byDue[makeable - 1]!)) makeable--;
  if (makeable === 0) return given(job);
  const lastDueUs = byDue[makeable - 1]!;
  let left = makeable;
  const [kept, rest] = divide(job, ({ dueUs }) => dueUs >= lastDueUs && left-- > 0);
  return { run: atRung(kept!, ladder, allowed), ...given(rest) };
}

function deepestRung({ terms }: Job<unknown>, ladder: readonly WcetTable[]): number {
  return terms.reduce((least, { deepest }) => Math.min(least, deepest), ladder.length - 1);
}

/** Late or dropped, as each frame's tenant wishes. */
function given<F>(job: Job<F> | undefined): Pick<Rescue<F>, 'late' | 'dropped'> {
  if (job === undefined) return { dropped: [] };
  const [unwanted, late] = divide(job, ({ late: wish }) => wish === 'drop');
  return { ...(late === undefined ? {} : { late }), dropped: unwanted?.frames ?? [] };
}

function divide<F>(job: Job<F>, belongs: (terms: FrameTerms) => boolean): [Job<F> | undefined, Job<F> | undefined] {
  const isIn = job.terms.map(belongs);
  const part = (wanted: boolean): Job<F> | undefined => {
    const frames = job.frames.filter((_, i) => isIn[i] === wanted);
    if (frames.length === 0) return undefined;
    return { ...job, frames, terms: job.terms.filter((_, i) => isIn[i] === wanted) };
  };
  return [part(true), part(false)];
}

const atRung = <F>(job: Job<F>, ladder: readonly WcetTable[], rung: number): Job<F> => ({
  ...job,
  rung,
  wcetUs: ladder[rung]!.at(job.frames.length),
});
