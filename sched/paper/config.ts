import type { WcetTable } from '../wcet.js';

/** A real-time category as programmed into a device. */
export interface DispatchCategory {
  readonly name: string;
  readonly wcet: WcetTable;
  /** E at the smaller shapes that frames may be degraded to, largest first. */
  readonly smaller?: readonly WcetTable[];
  readonly windowUs: number;
  /** Windows are [offset + k·W, offset + (k+1)·W). */
  readonly offsetUs: number;
  /** Dmin − W. */
  readonly relativeDeadlineUs: number;
}

/** A category whose frames run when nobody who was promised anything wants the device. */
export interface BestEffortCategory {
  readonly name: string;
  readonly wcet: WcetTable;
}

export interface DispatchConfig {
  readonly realTime: readonly DispatchCategory[];
  readonly bestEffort: readonly BestEffortCategory[];
  /** Longest best-effort run that admission counted as blocking; longer ones wait for a gap that holds them. */
  readonly bestEffortUs: number;
  /** Safe early release (docs/theory-paper.md, Theorem 2). */
  readonly earlyRelease: boolean;
  /** Degrade while behind, and run no job that is too late at the cost of one that is not. For admitted sets only. */
  readonly adaptation?: boolean;
}

/** Dmin: from the start of a window to the deadline of its job. */
export function deadlineSpanUs({ windowUs, relativeDeadlineUs }: DispatchCategory): number {
  return windowUs + relativeDeadlineUs;
}

/** End of the window that contains this instant. */
export function nextEndUs({ offsetUs, windowUs }: DispatchCategory, atUs: number): number {
  return offsetUs + (Math.floor((atUs - offsetUs) / windowUs) + 1) * windowUs;
}
