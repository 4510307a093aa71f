import { nowUs } from '../../kube/clock.js';

const TICK_MS = 5;
/** A timer that is later than this was held up by something. */
const HELD_UP_US = 5000;

/**
 * When frames arrived. What holds the event loop up lets frames wait in their sockets unseen: after such a time they are taken
 * to have come when it began, as far as that is known, so that their deadlines and latencies count the wait.
 */
export class Arrivals {
  readonly #timer = setInterval(() => this.#tick(), TICK_MS).unref();
  #tickUs = nowUs();
  #heldUpSinceUs: number | undefined;

  /** The instant to count from for a frame that is noticed now. */
  get nowUs(): number {
    return this.#heldUpSinceUs ?? nowUs();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const atUs = nowUs();
    const dueUs = this.#tickUs + 1000 * TICK_MS;
    this.#tickUs = atUs;
    if (atUs - dueUs <= HELD_UP_US) return;
    this.#heldUpSinceUs = dueUs;
    // Timers run before sockets are read, and this after: connections are accepted the first time, and read the second.
    setImmediate(() =>
      setImmediate(() => {
        this.#heldUpSinceUs = undefined;
      }),
    );
  }
}
