import type { LiveDecision } from '../api/live.js';
import { tenantKey } from '../api/names.js';
import { timestamp } from '../kube/clock.js';
import type { Verdict } from './admission/verdict.js';

const MOST = 200;

/** The last changes of what tenants were answered. */
export class History {
  readonly #decisions: LiveDecision[] = [];

  note(verdict: Verdict): void {
    const { admitted, reason, message } = verdict;
    this.#decisions.push({ at: timestamp(), tenant: tenantKey(verdict), admitted, reason, message });
    if (this.#decisions.length > MOST) this.#decisions.shift();
  }

  /** The newest first. */
  list(): LiveDecision[] {
    return this.#decisions.toReversed();
  }
}
