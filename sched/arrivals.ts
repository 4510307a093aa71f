import TinyQueue from 'tinyqueue';

const { floor, max, min } = Math;

/** One camera of a category. */
export interface Camera {
  readonly category: string;
  readonly periodUs: number;
  readonly jitterUs: number;
  readonly phaseUs: number;
}

/** A frame of camera number `camera` arrives. */
export interface Arrival {
  readonly atUs: number;
  readonly category: string;
  readonly camera: number;
}

/** Pseudo-random numbers in [0, 1), the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The cameras' frames in order of time, up to `untilUs`: frame k of a camera arrives at phase + k·T + δ with δ in
 * [0, J], never before frame k − 1. `random` draws δ/J; without it every frame is on time.
 */
export function* arrivalsOf(cameras: readonly Camera[], untilUs: number, random?: () => number): Generator<Arrival> {
  interface Next {
    atUs: number;
    index: number;
    nominalUs: number;
  }
  const heap = new TinyQueue<Next>([], (a, b) => a.atUs - b.atUs || a.index - b.index);
  const push = (index: number, nominalUs: number, previousUs: number): void => {
    if (nominalUs >= untilUs) return;
    const delayUs =
      random === undefined ? 0 : min(cameras[index]!.jitterUs, floor(random() * (cameras[index]!.jitterUs + 1)));
    heap.push({ atUs: max(previousUs, nominalUs + delayUs), index, nominalUs });
  };
  cameras.forEach((camera, index) => push(index, camera.phaseUs, 0));
  for (let next = heap.pop(); next !== undefined; next = heap.pop()) {
    const camera = cameras[next.index]!;
    yield { atUs: next.atUs, category: camera.category, camera: next.index };
    push(next.index, next.nominalUs + camera.periodUs, next.atUs);
  }
}
