import type { KubeObject, Watchable } from './objects.js';
import { reasonOf } from './cluster.js';

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 15_000;
const RESYNC_MS = 300_000;

export function keyOf({ metadata }: KubeObject): string {
  return metadata.namespace === undefined || metadata.namespace === ''
    ? metadata.name
    : `${metadata.namespace}/${metadata.name}`;
}

export interface InformerListener<T> {
  /** The object as it is now, or as it was when it went. Must not throw; enqueues a key and returns. */
  changed(key: string, object: T, gone: boolean): void;
  /** The watch ended with an error and is started again in `retryMs`. */
  failed?(error: string, retryMs: number): void;
}

/**
 * A local copy of all objects of one kind that survives everything: client-node's ListWatch stops at most errors, so it
 * is started again with jittered back-off, for ever. Every five minutes all objects are reported anew, so that a
 * lost event costs minutes, not for ever.
 */
export class Informer<T extends KubeObject> {
  readonly #watch: Watchable<T>;
  readonly #listener: InformerListener<T>;
  #retryMs = FIRST_RETRY_MS;
  #retry: NodeJS.Timeout | undefined;
  #resync: NodeJS.Timeout | undefined;
  #stopped = false;
  #synced = false;
  #whenSynced: (() => void)[] = [];
  /** When something was last heard, by the monotonic clock. */
  lastEventMs = performance.now();

  constructor(watch: Watchable<T>, listener: InformerListener<T>) {
    this.#watch = watch;
    this.#listener = listener;
    const report =
      (gone: boolean) =>
      (object: T): void => {
        this.lastEventMs = performance.now();
        this.#retryMs = FIRST_RETRY_MS;
        listener.changed(keyOf(object), object, gone);
      };
    watch.on('add', report(false));
    watch.on('update', report(false));
    watch.on('delete', report(true));
    watch.on('error', (error: unknown) => this.#failed(error));
  }

  /** Begins to follow; `synced` tells when the first list is in. */
  start(): void {
    this.#resync = setInterval(() => {
      for (const object of this.list()) this.#listener.changed(keyOf(object), object, false);
    }, RESYNC_MS);
    void this.#run();
  }

  /** Whether all objects of the first list are known. */
  get isSynced(): boolean {
    return this.#synced;
  }

  /** Resolves once they are. */
  async synced(): Promise<void> {
    if (!this.#synced) await new Promise<void>((resolve) => this.#whenSynced.push(resolve));
  }

  get(name: string, namespace?: string): T | undefined {
    return this.#watch.get(name, namespace);
  }

  list(): readonly T[] {
    return this.#watch.list();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearInterval(this.#resync);
    for (const resolve of this.#whenSynced.splice(0)) resolve();
    await this.#watch.stop();
  }

  async #run(): Promise<void> {
    try {
      // Resolves when the watch stands, or after an error was reported.
      await this.#watch.start();
    } catch (error) {
      this.#failed(error);
    }
    if (this.#retry !== undefined || this.#synced || this.#stopped) return;
    this.#synced = true;
    for (const resolve of this.#whenSynced.splice(0)) resolve();
  }

  #failed(error: unknown): void {
    if (this.#stopped || this.#retry !== undefined) return;
    const retryMs = Math.round(this.#retryMs * (0.5 + Math.random()));
    this.#retryMs = Math.min(LONGEST_RETRY_MS, this.#retryMs * 2);
    this.#listener.failed?.(reasonOf(error), retryMs);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      void this.#run();
    }, retryMs);
  }
}
