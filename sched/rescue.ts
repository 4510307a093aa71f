import type { Strain } from './adaptation.js';
import type { Waiting } from './frame.js';
import type { WcetTable } from './wcet.js';

/** Part of a batch, at one shape. */
export interface Part<F> {
  readonly frames: readonly Waiting<F>[];
  readonly rung: number;
  readonly wcetUs: number;
  readonly budgetUs: number;
}

/** What becomes of a batch that is about to start. */
export interface Rescue<F> {
  /** What to run now, and right after that; empty where nothing can be in time. */
  readonly parts: readonly Part<F>[];
  /** Frames that this leaves out: they cannot meet their deadlines any more. */
  readonly late: readonly Waiting<F>[];
}

/**
 * Decides at which shape a batch runs, and which of its frames run at all, while the device is behind. In an admitted
 * set without overruns every promised frame starts early enough (docs/theory.md, Theorem 1), so whatever is short of
 * time here is so because of earlier excess, and its tenants' permission to degrade applies. The parts of a batch never
 * take more than was counted for the whole, so nobody else pays for it (Theorem 4).
 *
 * @param batch the most urgent first
 * @param ladder E at the full shape and at each smaller one
 */
export function rescue<F>(
  batch: readonly Waiting<F>[],
  ladder: readonly WcetTable[],
  { rung, pace }: Strain,
  nowUs: number,
): Rescue<F> {
  const budgetUs = ladder[0]!.at(batch.length);
  const deepest = (frames: readonly Waiting<F>[]): number =>
    frames.reduce((least, frame) => Math.min(least, frame.deepest), ladder.length - 1);
  const inTime = (wcetUs: number, frames: readonly Waiting<F>[]): boolean =>
    nowUs + wcetUs * pace <= frames.reduce((least, { dueUs }) => Math.min(least, dueUs), Infinity);
  const part = (frames: readonly Waiting<F>[], at: number): Part<F> => {
    const wcetUs = ladder[at]!.at(frames.length);
    return { frames, rung: at, wcetUs, budgetUs };
  };

  const allowed = deepest(batch);
  for (let at = Math.min(rung, allowed); at <= allowed; at++) {
    const whole = part(batch, at);
    if (whole.wcetUs > budgetUs || !inTime(whole.wcetUs, batch)) continue;
    if (at < rung) break; // those who allow more may go ahead at a smaller shape
    return { parts: [whole], late: [] };
  }

  const willing = batch.filter((frame) => frame.deepest > allowed);
  const others = batch.filter((frame) => frame.deepest <= allowed);
  if (willing.length > 0) {
    const rest = part(others, Math.min(rung, allowed));
    for (let at = Math.max(rung, allowed + 1); at <= deepest(willing); at++) {
      const first = part(willing, at);
      if (first.wcetUs + rest.wcetUs >= budgetUs || !inTime(first.wcetUs, willing)) continue;
      const firstBudgetUs = budgetUs - rest.wcetUs;
      return {
        parts: [
          { ...first, budgetUs: firstBudgetUs },
          { ...rest, budgetUs: rest.wcetUs },
        ],
        late: [],
      };
    }
  }

  // As many frames as can still be in time together; the most urgent are the first that cannot.
  const byDue = [...batch].sort((a, b) => a.dueUs - b.dueUs);
  for (let left = 0; left < byDue.length; left++) {
    const frames = byDue.slice(left);
    for (let at = Math.min(rung, allowed); at <= deepest(frames); at++) {
      const kept = part(frames, at);
      if (kept.wcetUs <= budgetUs && inTime(kept.wcetUs, frames))
        return {
          parts: [{ ...kept, budgetUs: Math.max(kept.wcetUs, ladder[0]!.at(frames.length)) }],
          late: byDue.slice(0, left),
        };
    }
  }
  return { parts: [], late: byDue };
}
