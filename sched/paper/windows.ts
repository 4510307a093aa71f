import type { Category } from '../category.js';
import { shortestDeadlineUs } from '../category.js';
import { mergeStreams } from './arrivals-bound.js';
import type { DemandVerdict } from './demand.js';
import { CategoryDemand, demandAt, testDemand } from './demand.js';
import { leastUtilization } from './utilization.js';

/** A category to be admitted; `promisedWindowUs` is the window it has now, kept where that suffices. */
export interface WindowRequest extends Category {
  readonly promisedWindowUs?: number | undefined;
}

/** What the search for windows found. `windowsUs` and `demands` are in the order of the request. */
export interface WindowChoice {
  readonly verdict: DemandVerdict;
  readonly windowsUs: readonly number[];
  readonly demands: readonly CategoryDemand[];
  /** Phase 1's least possible utilization. */
  readonly leastUtilization: number;
}

/** Shares of Dmin that are tried; the paper's half comes first. */
const FRACTIONS = [1 / 2, 1 / 4, 3 / 8, 5 / 8, 1 / 8, 3 / 4];
/** The greatest share of a deadline that may go into waiting. */
const GREATEST_FRACTION = 0.9;
const MOST_PERIOD_CANDIDATES = 5;
const MOST_SWEEPS = 3;

/**
 * Windows worth trying, the paper's Dmin/2 first. The demand of a window only grows just above k·T − J of one of its
 * streams, so the largest windows before such a step are candidates beside plain shares of Dmin.
 */
export function candidateWindows(category: Category): number[] {
  const deadlineUs = shortestDeadlineUs(category.streams);
  const candidates = new Set(FRACTIONS.map((share) => Math.max(1, Math.floor(deadlineUs * share))));
  const steps = new Set<number>();
  for (const { periodUs, jitterUs } of category.streams)
    for (let k = 1; k <= 4; k++) {
      const stepUs = k * periodUs - jitterUs;
      if (stepUs > deadlineUs * GREATEST_FRACTION) break;
      if (stepUs >= deadlineUs / 8) steps.add(stepUs);
    }
  // Steps close to half the deadline are the likeliest to help.
  [...steps]
    .sort((a, b) => Math.abs(a - deadlineUs / 2) - Math.abs(b - deadlineUs / 2))
    .slice(0, MOST_PERIOD_CANDIDATES)
    .forEach((stepUs) => candidates.add(stepUs));
  return [...candidates];
}

/**
 * Chooses a window per category such that the demand test accepts, if the search finds such windows:
 * first those promised already (so that nothing needs to change), then the paper's Dmin/2 for all, then coordinate
 * descent on the critical ratio demand/interval. The theorem of the DisBatcher allows any window below Dmin
 * (docs/theory-paper.md, Theorem 1), so a set that Dmin/2 accepts is never refused.
 */
export function chooseWindows(requests: readonly WindowRequest[], bestEffortUs = 0): WindowChoice {
  const categories = requests.map((request) => ({ ...request, streams: mergeStreams(request.streams) }));
  const candidates = categories.map((category) => candidateWindows(category));
  const least = leastUtilization(
    categories.map((category, i) => ({
      category,
      candidatesUs: [
        ...candidates[i]!,
        ...(category.promisedWindowUs === undefined ? [] : [category.promisedWindowUs]),
      ],
    })),
  );

  const known = categories.map(() => new Map<number, CategoryDemand>());
  const demandOf = (index: number, windowUs: number): CategoryDemand => {
    let demand = known[index]!.get(windowUs);
    if (demand === undefined) {
      demand = new CategoryDemand({ ...categories[index]!, windowUs });
      known[index]!.set(windowUs, demand);
    }
    return demand;
  };
  const conclude = (demands: readonly CategoryDemand[]): WindowChoice => ({
    verdict: testDemand(demands, bestEffortUs),
    windowsUs: demands.map((demand) => demand.windowUs),
    demands,
    leastUtilization: least,
  });

  const paper = categories.map((_, i) => demandOf(i, candidates[i]![0]!));
  const promised = categories.map((category, i) =>
    category.promisedWindowUs !== undefined && category.promisedWindowUs < shortestDeadlineUs(category.streams)
      ? demandOf(i, category.promisedWindowUs)
      : paper[i]!,
  );
  let best = conclude(promised);
  if (best.verdict.accepted) return best;
  const byPaper = conclude(paper);
  if (byPaper.verdict.accepted || least >= 1) return byPaper;
  if (score(byPaper.verdict) < score(best.verdict)) best = byPaper;

  const descended = descend(best.demands, candidates, demandOf, bestEffortUs);
  const choice = descended === undefined ? best : conclude(descended);
  return score(choice.verdict) < score(best.verdict) ? choice : best;
}

/**
 * Coordinate descent: category by category, takes over any candidate window that lowers the score of all together.
 * Returns windows that the demand test accepts, or the best it came across; undefined when it found nothing better.
 */
function descend(
  start: readonly CategoryDemand[],
  candidates: readonly (readonly number[])[],
  demandOf: (index: number, windowUs: number) => CategoryDemand,
  bestEffortUs: number,
): readonly CategoryDemand[] | undefined {
  let demands = start;
  let verdict = testDemand(demands, bestEffortUs, { soon: true });
  let improved = false;
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    const before = verdict;
    for (let i = 0; i < start.length; i++)
      for (const windowUs of candidates[i]!) {
        if (windowUs === demands[i]!.windowUs) continue;
        const trial = demands.with(i, demandOf(i, windowUs));
        // What does not even relieve the critical interval is no better: most trials end here.
        if (scoreAt(trial, bestEffortUs, verdict.critical!.atUs) >= score(verdict)) continue;
        const trialVerdict = testDemand(trial, bestEffortUs, { soon: true });
        if (score(trialVerdict) >= score(verdict)) continue;
        [demands, verdict, improved] = [trial, trialVerdict, true];
        if (score(verdict) <= 1 && testDemand(demands, bestEffortUs).accepted) return demands;
      }
    if (verdict === before) break;
  }
  return improved ? demands : undefined;
}

/** A lower bound of the score, from one interval alone. */
function scoreAt(demands: readonly CategoryDemand[], bestEffortUs: number, atUs: number): number {
  let rate = 0;
  for (const demand of demands) rate += demand.rate;
  return Math.max(rate, demandAt(demands, bestEffortUs, atUs) / atUs);
}

/** At most 1 for an accepted set; the search makes it smaller. */
function score({ rate, critical }: DemandVerdict): number {
  return Math.max(rate, critical === undefined ? 0 : critical.demandUs / critical.atUs);
}
