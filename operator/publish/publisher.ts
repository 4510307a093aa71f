import { reasonOf, statusOf } from '../../kube/cluster.js';
import type { EventRecorder, Happening } from '../../kube/events.js';
import { keyOf } from '../../kube/informer.js';
import type { Term } from '../../kube/leader.js';
import type { Logger } from '../../kube/log.js';
import type { KubeObject, Objects } from '../../kube/objects.js';
import { WorkQueue, work } from '../../kube/work-queue.js';
import type { Decider } from '../decider.js';
import { NotLeading } from '../finalizers.js';
import type { OperatorMetrics } from '../metrics.js';
import type { ModelObject, TenantObject } from '../objects.js';
import type { ClusterView } from '../view.js';
import { ModelStatuses } from './models.js';
import type { NetworkApi } from './network.js';
import { Network } from './network.js';
import type { SharesApi } from './shares.js';
import { Shares } from './shares.js';
import { TenantStatuses } from './tenants.js';

const WORKERS = 16;
const NETWORK_WORKERS = 8;
const SHARES_WORKERS = 2;
const EVENT_WORKERS = 2;
const EVENT_POLL_MS = 50;
const MOST_EVENT_WAIT_MS = 2000;

export interface Publishing extends NetworkApi, SharesApi {
  readonly tenants: Objects<TenantObject>;
  readonly models: Objects<ModelObject>;
  readonly events: EventRecorder;
}

/** Tells the world what was decided: statuses, Events, Services. Everything here can be redone from the records. */
export class Publisher {
  readonly #view: ClusterView;
  readonly #recorder: EventRecorder;
  readonly #term: Term;
  readonly #log: Logger;
  readonly #metrics: OperatorMetrics;
  readonly #tenants: TenantStatuses;
  readonly #models: ModelStatuses;
  readonly #network: Network;
  readonly #shares: Shares;
  readonly #events = new WorkQueue<{ about: KubeObject; happening: Happening }>();

  constructor(view: ClusterView, api: Publishing, decider: Decider, term: Term, log: Logger, metrics: OperatorMetrics) {
    this.#view = view;
    this.#recorder = api.events;
    this.#term = term;
    this.#log = log;
    this.#metrics = metrics;
    const mayWrite = (): void => {
      if (!term.holds()) throw new NotLeading('this process is not the leader any more');
    };
    this.#network = new Network(view, api, log, mayWrite, (key) => this.#tenants.queue.add(key));
    this.#shares = new Shares(view, api, decider, log, mayWrite);
    this.#models = new ModelStatuses(view, api.models, decider, mayWrite);
    this.#tenants = new TenantStatuses(view, api.tenants, decider, this.#network, log, mayWrite, (about, happening) =>
      this.#events.add({ about, happening }),
    );
  }

  get depths(): ReadonlyMap<string, number> {
    return new Map([
      ['tenants', this.#tenants.queue.depth],
      ['models', this.#models.queue.depth],
      ['services', this.#network.queue.depth],
      ['shares', this.#shares.queue.depth],
      ['events', this.#events.depth],
    ]);
  }

  tenant(key: string): void {
    this.#tenants.queue.add(key);
  }

  /** A tenant was decided on, or has gone: the models that it is served with may be in use now, or not any more. */
  decided(key: string): void {
    this.tenant(key);
    for (const { metadata } of this.#view.models.list()) this.model(metadata.name);
  }

  /** What teams have may have changed. */
  teamsDecided(): void {
    this.#shares.decided();
  }

  team(kind: string, name: string): void {
    this.#shares.changed(kind, name);
  }

  model(name: string): void {
    this.#models.queue.add(name);
  }

  /** Publishes until the term ends. */
  async run(): Promise<void> {
    const queues = [this.#tenants.queue, this.#models.queue, this.#network.queue, this.#shares.queue, this.#events];
    this.#term.signal.addEventListener('abort', () => queues.forEach((queue) => queue.close()));
    this.#network.start();
    this.#shares.start();
    for (const model of this.#view.models.list()) this.model(model.metadata.name);
    for (const tenant of this.#view.tenants.list()) this.tenant(keyOf(tenant));
    const failed = (key: unknown, error: unknown): void => {
      if (error instanceof NotLeading) return;
      this.#metrics.failures.inc();
      if (statusOf(error) !== 409) this.#log.warn({ key, error: reasonOf(error) }, 'not published; trying again');
    };
    await Promise.all([
      work(this.#tenants.queue, WORKERS, (key) => this.#tenants.reconcile(key), failed),
      work(this.#models.queue, 1, (name) => this.#models.reconcile(name), failed),
      work(this.#network.queue, NETWORK_WORKERS, (key) => this.#network.reconcile(key), failed),
      work(this.#shares.queue, SHARES_WORKERS, (key) => this.#shares.reconcile(key), failed),
      work(this.#events, EVENT_WORKERS, ({ about, happening }) => this.#record(about, happening), failed),
    ]);
    await this.#network.stop();
    await this.#shares.stop();
  }

  /** Events are news, not records: one that cannot be written is let go. */
  async #record(about: KubeObject, happening: Happening): Promise<void> {
    // Statuses come first, but not for ever.
    for (let waitedMs = 0; this.#tenants.queue.depth > 0 && waitedMs < MOST_EVENT_WAIT_MS; waitedMs += EVENT_POLL_MS)
      await new Promise((resolve) => setTimeout(resolve, EVENT_POLL_MS));
    try {
      await this.#recorder.record(about, happening);
    } catch (error) {
      this.#log.warn({ object: keyOf(about), error: reasonOf(error) }, 'Event not written');
    }
  }
}
