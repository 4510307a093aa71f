const { max } = Math;

/** When a category is visited: in every `stride`-th round (a power of two), from round `offset` on. */
export interface Turn {
  readonly stride: number;
  readonly offset: number;
}

/** The order in which categories, by index, are visited; it repeats. */
export interface Sequence {
  readonly visits: readonly number[];
  /** `untilUs(p, c)`: the most that the visits from position p to before c's next one take, by E(quota). */
  untilUs(position: number, category: number): number;
}

/** Rounds until the table repeats. */
export const roundsOf = (turns: readonly Turn[]): number => turns.reduce((most, { stride }) => max(most, stride), 1);

/** Within a round, those who are visited most often come first. */
export function visitOrder(turns: readonly Turn[]): number[] {
  const byStride = turns.map((_, c) => c).sort((a, b) => turns[a]!.stride - turns[b]!.stride || a - b);
  const rounds = Array.from({ length: roundsOf(turns) }, (_, j) => j);
  return rounds.flatMap((j) => byStride.filter((c) => j % turns[c]!.stride === turns[c]!.offset));
}

/** @param costsUs E(quota) by category */
export function sequenceOf(turns: readonly Turn[], costsUs: readonly number[]): Sequence {
  const visits = visitOrder(turns);
  const categories = turns.length;
  const untilUs = new Float64Array(visits.length * categories);
  // From the end backwards, twice around: what is behind the last position is before the first.
  for (let at = 2 * visits.length - 1; at >= 0; at--) {
    const position = at % visits.length;
    const next = ((position + 1) % visits.length) * categories;
    const visited = visits[position]!;
    for (let c = 0; c < categories; c++)
      untilUs[position * categories + c] = c === visited ? 0 : costsUs[visited]! + untilUs[next + c]!;
  }
  return { visits, untilUs: (position, category) => untilUs[position * categories + category]! };
}

/**
 * W of each category: the most that lies between the starts of two of its visits, every visit at its cost
 * (docs/theory.md, Lemma 2).
 */
export function gapsUs(turns: readonly Turn[], costsUs: readonly number[]): number[] {
  const rounds = roundsOf(turns);
  const lengthUs = new Float64Array(rounds);
  turns.forEach(({ stride, offset }, c) => {
    for (let j = offset; j < rounds; j += stride) lengthUs[j]! += costsUs[c]!;
  });
  // Who comes before and after a category within a round is the same in every round in which both are visited, so a gap
  // is never longer than the rounds from one of its visits to before its next.
  return turns.map(({ stride, offset }) => {
    let longestUs = 0;
    for (let j = offset; j < rounds; j += stride) {
      let gapUs = 0;
      for (let i = 0; i < stride; i++) gapUs += lengthUs[(j + i) % rounds]!;
      longestUs = max(longestUs, gapUs);
    }
    return longestUs;
  });
}

/** Offsets for given strides that balance the rounds: rare and long visits last, each where there is least. */
export function balanced(strides: readonly number[], weights: readonly number[]): Turn[] {
  const rounds = max(1, ...strides);
  const load = new Float64Array(rounds);
  const turns: Turn[] = strides.map((stride) => ({ stride, offset: 0 }));
  const order = strides.map((_, c) => c).sort((a, b) => strides[a]! - strides[b]! || weights[b]! - weights[a]!);
  for (const c of order) {
    const stride = strides[c]!;
    let [offset, least] = [0, Infinity];
    for (let candidate = 0; candidate < stride; candidate++) {
      let most = 0;
      for (let j = candidate; j < rounds; j += stride) most = max(most, load[j]!);
      if (most < least - 1e-9) [offset, least] = [candidate, most];
    }
    turns[c] = { stride, offset };
    for (let j = offset; j < rounds; j += stride) load[j]! += weights[c]!;
  }
  return turns;
}
