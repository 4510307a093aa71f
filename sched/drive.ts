import type { Decision, FrameOffer, GivenUp, Run } from './frame.js';

/** What decides: the batcher, or what it is compared with. */
export interface Decider<F> {
  arrive(frame: F, offer: FrameOffer): void;
  next(nowUs: number): Decision<F>;
  finish(nowUs: number): void;
}

/** What the batcher works in: a device, the frames that come to it, and a clock. `W` is what may have to be waited for. */
export interface World<F, W, D extends Decider<F>> {
  nowUs(): number;
  /** Tells the batcher of every frame that has arrived by now; false ends the loop. */
  hear(batcher: D): boolean;
  /** Does something else with the device, where that is asked for and nobody's promise is at stake. */
  aside(batcher: D, nowUs: number): W | undefined;
  /** Runs a batch to its end. */
  execute(run: Run<F>, startUs: number): W;
  /** The batch has ended, and the batcher knows. */
  ended(run: Run<F>, startUs: number, endUs: number, batcher: D): void;
  gaveUp(frames: readonly GivenUp<F>[], atUs: number): void;
  /** Sleeps until the instant, or until something happens. */
  wait(untilUs: number): void;
}

/**
 * The loop of a device, on the real clock and in virtual time alike: all that has arrived, then the decision, then the run. What it yields is
 * to be waited for before it goes on.
 */
export function* drive<F, W, D extends Decider<F>>(batcher: D, world: World<F, W, D>): Generator<W, void, void> {
  while (world.hear(batcher)) {
    const nowUs = world.nowUs();
    const aside = world.aside(batcher, nowUs);
    if (aside !== undefined) {
      yield aside;
      continue;
    }
    const { run, waitUntilUs, givenUp } = batcher.next(nowUs);
    if (givenUp.length > 0) world.gaveUp(givenUp, nowUs);
    if (run === undefined) {
      world.wait(waitUntilUs);
      continue;
    }
    yield world.execute(run, nowUs);
    const endUs = world.nowUs();
    batcher.finish(endUs);
    world.ended(run, nowUs, endUs, batcher);
  }
}
