/** How a category's next batch is to run. */
export interface Strain {
  /** How far it is to be degraded, where tenants allow it. */
  readonly rung: number;
  /** Expected duration of a run as a multiple of its WCET. */
  readonly pace: number;
}

/** Runs within their WCET, one after the other, before a category climbs back by one shape. */
const CALM_RUNS = 4;
/** Overruns in a row that strain a category even if idle time absorbs each. */
const STRAINING_OVERRUNS = 2;

/** Weight of the newest run in a category's pace. */
const PACE_WEIGHT = 0.3;
/** What is left of a pace's excess over 1 each time that it cost a frame its run: only runs can correct it. */
const PACE_FADING = 0.5;

/** A run that has ended: what it took, E of it, and what was counted for it. */
export interface EndedRun {
  readonly actualUs: number;
  readonly wcetUs: number;
  readonly budgetUs: number;
}

const RELAXED: Strain = { rung: 0, pace: 1 };

interface CategoryState {
  penaltyUs: number;
  rung: number;
  calmRuns: number;
  overrunsInRow: number;
  pace: number;
}

/**
 * The Adaptation Module (the paper, section 4.4) as a state machine per category. A run that takes longer than was counted with leaves a
 * penalty; while there is one, the category's jobs run at the next smaller shape, and what they take less than counted pays it off. A
 * device on which everything that waits can still be in time has absorbed every delay, so all penalties end there
 * (docs/theory.md, Theorem 4).
 */
export class Adaptation {
  readonly #states: Map<string, CategoryState>;
  readonly #deepest: ReadonlyMap<string, number>;

  /**
   * @param deepest the last rung of each category's ladder
   * @param before under the schedule before: categories that go on keep their state
   */
  constructor(deepest: ReadonlyMap<string, number>, before?: Adaptation) {
    this.#deepest = deepest;
    const states = before === undefined ? [] : [...before.#states];
    this.#states = new Map(states.filter(([name]) => deepest.has(name)));
    for (const [name, state] of this.#states) state.rung = Math.min(state.rung, deepest.get(name)!);
  }

  /** How the category's next job is to run: the rung that it should run at, where its tenants allow it, and its pace. */
  strain(category: string): Strain {
    return this.#states.get(category) ?? RELAXED;
  }

  /** Time by which the category's runs have exceeded what was counted with, not yet paid off, in microseconds. */
  penaltyUs(category: string): number {
    return this.#states.get(category)?.penaltyUs ?? 0;
  }

  /** @param absorbed whether everything that waits can still be in time, so that no excess is left to anybody's cost */
  ended(category: string, { actualUs, wcetUs, budgetUs }: EndedRun, absorbed = false): void {
    const state = this.#state(category);
    if (absorbed) this.recovered();
    state.pace += PACE_WEIGHT * (actualUs / wcetUs - state.pace);
    state.penaltyUs = absorbed ? 0 : Math.max(0, state.penaltyUs + actualUs - budgetUs);
    if (actualUs > wcetUs) {
      state.calmRuns = 0;
      state.overrunsInRow++;
      const strained = state.penaltyUs > 0 || state.overrunsInRow >= STRAINING_OVERRUNS;
      // One rung at first; a further one for as long as even that is more than was counted with.
      if (strained && (state.rung === 0 || actualUs > budgetUs))
        state.rung = Math.min(state.rung + 1, this.#deepest.get(category) ?? 0);
      return;
    }
    state.overrunsInRow = 0;
    state.calmRuns++;
    if (state.rung > 0 && state.penaltyUs === 0 && state.calmRuns >= CALM_RUNS) {
      state.rung--;
      state.calmRuns = 0;
    }
  }

  /** Frames were not run for fear that it would take as long as the last ones did. */
  feared(category: string): void {
    const state = this.#states.get(category);
    if (state !== undefined && state.pace > 1) state.pace = 1 + PACE_FADING * (state.pace - 1);
  }

  /** No delay is left that anybody could still suffer from. */
  recovered(): void {
    for (const state of this.#states.values()) state.penaltyUs = 0;
  }

  #state(category: string): CategoryState {
    let state = this.#states.get(category);
    if (state === undefined) {
      state = { penaltyUs: 0, rung: 0, calmRuns: 0, overrunsInRow: 0, pace: 1 };
      this.#states.set(category, state);
    }
    return state;
  }
}
