import type { Streams } from './category.js';
import { frameRate } from './category.js';

const { ceil, floor, max, min } = Math;

/** The shortest horizon of a curve, in microseconds: beyond it the curve is bounded by a line. */
const SHORTEST_HORIZON_US = 3_000_000;
/** The horizon in multiples of the longest deadline. */
const HORIZON_DEADLINES = 4;
/** Instants are told apart to 2^(1/48), 1.5 %: a cell counts from its first step on with what it holds at its end. */
const CELLS_PER_OCTAVE = 48;

/** First microsecond of each cell. */
const CELL_START = Float64Array.from({ length: 48 * CELLS_PER_OCTAVE }, (_, cell) =>
  ceil(2 ** (cell / CELLS_PER_OCTAVE)),
);

const cellOf = (us: number): number => {
  let cell = floor(Math.log2(us) * CELLS_PER_OCTAVE);
  while (CELL_START[cell + 1]! <= us) cell++;
  while (CELL_START[cell]! > us) cell--;
  return cell;
};

/**
 * F(t) of one category: the most frames that arrive and are due within any interval of length t, whatever the phases
 * (docs/theory.md, Lemma 1). An upper bound at a few hundred instants up to a horizon, a line beyond; curves of streams
 * add up, so one more tenant costs what that tenant's own curve costs.
 */
export class DueCurve {
  /** Frames per microsecond in the long run. */
  readonly rate: number;
  /** F(t) <= rate * t + burst for every t. */
  readonly burst: number;
  /** Dmin: where F first steps, in microseconds. */
  readonly shortestUs: number;
  readonly horizonUs: number;
  readonly streams: readonly Streams[];
  /** By cell, from that of `shortestUs` on: the first instant at which F steps (Infinity: it does not), and F at the end. */
  readonly #firstCell: number;
  readonly #stepUs: Float64Array;
  readonly #frames: Float64Array;
  #steps: { readonly us: Float64Array; readonly frames: Float64Array } | undefined;

  constructor(streams: readonly Streams[], before?: DueCurve) {
    this.streams = streams;
    this.rate = frameRate(streams);
    this.burst = streams.reduce((sum, s) => sum + s.count * (1 + (s.jitterUs - s.deadlineUs) / s.periodUs), 0);
    this.shortestUs = min(...streams.map(({ deadlineUs }) => deadlineUs));
    const longestUs = max(...streams.map(({ deadlineUs }) => deadlineUs));
    this.horizonUs = CELL_START[cellOf(max(SHORTEST_HORIZON_US, HORIZON_DEADLINES * longestUs)) + 1]! - 1;
    this.#firstCell = cellOf(this.shortestUs);
    const cells = cellOf(this.horizonUs) - this.#firstCell + 1;
    this.#stepUs = new Float64Array(cells).fill(Infinity);
    this.#frames = new Float64Array(cells);
    // What was known of the same streams is taken over where the cells are the same.
    const kept = before !== undefined && before.horizonUs === this.horizonUs ? before : undefined;
    if (kept !== undefined) this.#take(kept);
    for (const each of kept === undefined ? streams : streams.slice(kept.streams.length)) this.#add(each);
  }

  /** The curve with more streams. */
  with(more: Streams): DueCurve {
    return new DueCurve([...this.streams, more], this);
  }

  /** The instants, up to the horizon, at which F steps, and an upper bound of F from each until the next. */
  get steps(): { readonly us: Float64Array; readonly frames: Float64Array } {
    if (this.#steps === undefined) {
      const cells = [...this.#stepUs.keys()].filter((cell) => this.#stepUs[cell]! < this.horizonUs);
      const pick = (from: Float64Array): Float64Array => Float64Array.from(cells, (cell) => from[cell]!);
      this.#steps = { us: pick(this.#stepUs), frames: pick(this.#frames) };
    }
    return this.#steps;
  }

  #take(before: DueCurve): void {
    const shift = before.#firstCell - this.#firstCell;
    this.#stepUs.set(before.#stepUs, shift);
    this.#frames.set(before.#frames, shift);
  }

  #add({ count, periodUs, jitterUs, deadlineUs }: Streams): void {
    const early = floor(jitterUs / periodUs); // frames beyond the first that may be due together with it
    for (let cell = cellOf(deadlineUs); cell - this.#firstCell < this.#stepUs.length; cell++) {
      const [startUs, endUs] = [CELL_START[cell]!, CELL_START[cell + 1]!];
      const i = cell - this.#firstCell;
      const k = max(early + 1, ceil((startUs - deadlineUs + jitterUs) / periodUs));
      const stepUs = startUs <= deadlineUs ? deadlineUs : deadlineUs + k * periodUs - jitterUs;
      if (stepUs < endUs) this.#stepUs[i] = min(this.#stepUs[i]!, stepUs);
      this.#frames[i]! += count * (floor((endUs - 1 - deadlineUs + jitterUs) / periodUs) + 1);
    }
  }
}
