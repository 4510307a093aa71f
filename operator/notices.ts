/** Who was told to give back what they borrowed, and whose time for it is over. Elapsed time; a new leader's notices begin anew. */
export class Notices {
  readonly #noticeMs: number;
  readonly #over: () => void;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #expired = new Set<string>();

  /** @param over is called whenever somebody's time is over */
  constructor(noticeMs: number, over: () => void) {
    this.#noticeMs = noticeMs;
    this.#over = over;
  }

  /** Whose time is over, as it is now. */
  expired(): ReadonlySet<string> {
    return new Set(this.#expired);
  }

  has(key: string): boolean {
    return this.#timers.has(key) || this.#expired.has(key);
  }

  /**
   * Takes note of a decision: whoever it names has the time from when they were named first.
   *
   * @param all whether everybody was decided on, so that whoever is not named may keep what they have
   */
  decided(named: ReadonlySet<string>, all: boolean): void {
    for (const key of named)
      if (!this.has(key))
        this.#timers.set(
          key,
          setTimeout(() => {
            this.#timers.delete(key);
            this.#expired.add(key);
            this.#over();
          }, this.#noticeMs),
        );
    if (!all) return;
    for (const [key, timer] of this.#timers)
      if (!named.has(key)) {
        clearTimeout(timer);
        this.#timers.delete(key);
      }
    for (const key of this.#expired) if (!named.has(key)) this.#expired.delete(key);
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
