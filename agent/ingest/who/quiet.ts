import { nowUs } from '../../../kube/clock.js';

const EVERY_US = 60_000_000;
const MOST = 1000;

/** Says each thing at most once a minute, and no more than a thousand different ones: what strangers do must not fill a disk. */
export class Quiet {
  readonly #said = new Map<string, number>();

  says(what: string): boolean {
    const atUs = nowUs();
    const last = this.#said.get(what);
    if (last !== undefined && atUs - last < EVERY_US) return false;
    if (last === undefined && this.#said.size >= MOST) {
      const [oldest, since] = this.#said.entries().next().value!;
      if (atUs - since < EVERY_US) return false;
      this.#said.delete(oldest);
    }
    this.#said.delete(what);
    this.#said.set(what, atUs);
    return true;
  }
}
