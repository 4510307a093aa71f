import { reasonOf, statusOf } from '../kube/cluster.js';
import type { Logger } from '../kube/log.js';
import type { Objects } from '../kube/objects.js';
import { WorkQueue, work } from '../kube/work-queue.js';
import type { TenantObject } from './objects.js';
import type { ClusterView } from './view.js';

/** Keeps a tenant from disappearing before its agents know. */
export const FINALIZER = 'deeprt.dev/withdraw';
const CONCURRENT = 16;

/** Leadership was lost; whatever was about to be written must not be. */
export class NotLeading extends Error {}

/** Puts the finalizer on tenants; only then are they decided on. */
export class Finalizers {
  readonly queue = new WorkQueue<string>();
  readonly #view: ClusterView;
  readonly #tenants: Objects<TenantObject>;
  readonly #log: Logger;
  readonly #mayWrite: () => void;
  readonly #done: (key: string) => void;
  /** The local copy learns of it later. */
  readonly #held = new Set<string | undefined>();

  /** @param done is told of tenants that have it */
  constructor(
    view: ClusterView,
    tenants: Objects<TenantObject>,
    log: Logger,
    mayWrite: () => void,
    done: (key: string) => void,
  ) {
    this.#view = view;
    this.#tenants = tenants;
    this.#log = log;
    this.#mayWrite = mayWrite;
    this.#done = done;
  }

  isOn({ metadata: { uid, finalizers } }: TenantObject): boolean {
    return finalizers?.includes(FINALIZER) === true || this.#held.has(uid);
  }

  /** The local copy has learned of it: from now on it is as the object says. */
  seen({ metadata: { uid, finalizers } }: TenantObject): void {
    if (finalizers?.includes(FINALIZER) === true) this.#held.delete(uid);
  }

  /** The tenant is gone. */
  forget({ metadata }: TenantObject): void {
    this.#held.delete(metadata.uid);
  }

  /** Works until the queue is closed. */
  run(): Promise<void> {
    return work(
      this.queue,
      CONCURRENT,
      (key) => this.#put(key),
      (key, error) => {
        if (statusOf(error) !== 409 && !(error instanceof NotLeading))
          this.#log.info({ tenant: key, error: reasonOf(error) }, 'finalizer not set; trying again');
      },
    );
  }

  async #put(key: string): Promise<void> {
    const tenant = this.#view.tenant(key);
    if (tenant === undefined || tenant.metadata.deletionTimestamp !== undefined) return;
    if (!this.isOn(tenant)) {
      const { resourceVersion, finalizers = [] } = tenant.metadata;
      this.#mayWrite();
      await this.#tenants.merge(tenant.metadata, {
        metadata: { resourceVersion, finalizers: [...finalizers, FINALIZER] },
      });
      this.#held.add(tenant.metadata.uid);
    }
    this.#done(key);
  }
}
