import type { TenantRequest } from './admission/request.js';

/** What tenants counted for when they were decided on last. */
export class Ranks {
  readonly #known = new Map<string, string>();

  /**
   * Whether somebody counts for less, or otherwise, than before: others may take their place then, which nobody has looked at.
   *
   * @param due keys of those who were decided on; undefined: all, so everything was looked at
   */
  haveChanged(requests: readonly TenantRequest[], due: readonly string[] | undefined): boolean {
    const looked = due === undefined ? undefined : new Set(due);
    let changed = false;
    for (const { key, class: kind, priority, preempts } of requests) {
      if (looked?.has(key) === false) continue;
      const rank = `${kind} ${priority} ${preempts}`;
      const before = this.#known.get(key);
      if (looked !== undefined && before !== undefined && before !== rank) changed = true;
      this.#known.set(key, rank);
    }
    return changed;
  }

  forget(key: string): void {
    this.#known.delete(key);
  }
}
