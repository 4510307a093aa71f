/**
 * Keys that await reconciliation: each at most once, never one twice at a time, failing ones later and later. As
 * client-go's workqueue; what is reconciled is what is true when the key's turn comes, not what happened.
 */
export class WorkQueue<K> {
  readonly #ready = new Set<K>();
  readonly #running = new Set<K>();
  /** Keys that were added while they ran. */
  readonly #again = new Set<K>();
  readonly #timers = new Map<K, { timer: NodeJS.Timeout; dueMs: number }>();
  readonly #failures = new Map<K, number>();
  readonly #firstRetryMs: number;
  readonly #longestRetryMs: number;
  #wake: (() => void)[] = [];
  #closed = false;

  constructor({ firstRetryMs = 20, longestRetryMs = 30_000 } = {}) {
    this.#firstRetryMs = firstRetryMs;
    this.#longestRetryMs = longestRetryMs;
  }

  get depth(): number {
    return this.#ready.size;
  }

  add(key: K): void {
    if (this.#closed) return;
    this.#cancel(key);
    if (this.#running.has(key)) this.#again.add(key);
    else {
      this.#ready.add(key);
      this.#wake.shift()?.();
    }
  }

  /** Adds the key in a while, unless it comes earlier by itself. */
  addAfter(key: K, ms: number): void {
    if (this.#closed || this.#ready.has(key)) return;
    const dueMs = performance.now() + ms;
    const known = this.#timers.get(key);
    if (known !== undefined && known.dueMs <= dueMs) return;
    this.#cancel(key);
    this.#timers.set(key, { dueMs, timer: setTimeout(() => this.add(key), ms) });
  }

  /** Adds the key after a delay that doubles with each failure in a row, jittered. */
  addRateLimited(key: K): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const delayMs = Math.min(this.#longestRetryMs, this.#firstRetryMs * 2 ** Math.min(failures, 20));
    this.addAfter(key, delayMs * (0.75 + Math.random() / 2));
  }

  /** The key succeeded: its next failure is its first. */
  forget(key: K): void {
    this.#failures.delete(key);
  }

  /** Takes the next key, waiting for one; undefined when the queue is closed. Must be followed by `done`. */
  async take(): Promise<K | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      const [key] = this.#ready;
      if (key !== undefined) {
        this.#ready.delete(key);
        this.#running.add(key);
        return key;
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** Takes all keys there are, waiting for one; empty when the queue is closed. Each must be followed by `done`. */
  async takeAll(): Promise<K[]> {
    const first = await this.take();
    if (first === undefined) return [];
    const keys = [first, ...this.#ready];
    for (const key of keys) this.#running.add(key);
    this.#ready.clear();
    return keys;
  }

  done(key: K): void {
    this.#running.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }

  /** Nobody gets anything any more. */
  close(): void {
    this.#closed = true;
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#ready.clear();
    for (const wake of this.#wake.splice(0)) wake();
  }

  #cancel(key: K): void {
    clearTimeout(this.#timers.get(key)?.timer);
    this.#timers.delete(key);
  }
}

/**
 * Reconciles keys with a number of workers until the queue is closed; resolves when the last one is through.
 *
 * @param reconcile throws to have the key tried again, later and later
 */
export async function work<K>(
  queue: WorkQueue<K>,
  workers: number,
  reconcile: (key: K) => Promise<void>,
  failed: (key: K, error: unknown) => void,
): Promise<void> {
  const worker = async (): Promise<void> => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      try {
        await reconcile(key);
        queue.forget(key);
      } catch (error) {
        failed(key, error);
        queue.addRateLimited(key);
      } finally {
        queue.done(key);
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
}
