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
  /** When those hold-ups began whose frames may not have been noticed yet, the earliest first. */
  readonly #heldUpSinceUs: number[] = [];

  /** The instant to count from for a frame that is noticed now. */
  get nowUs(): number {
    return this.#heldUpSinceUs[0] ?? nowUs();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const atUs = nowUs();
    const dueUs = this.#tickUs + 1000 * TICK_MS;
    this.#tickUs = atUs;
    if (atUs - dueUs <= HELD_UP_US) return;
    this.#heldUpSinceUs.push(dueUs);
    // Timers run before sockets are read, and this after: connections are accepted the first time, and read the second.
    setImmediate(() =>
      setImmediate(() => {
        this.#heldUpSinceUs.shift();
      }),
    );
  }
}
