import { isDeepStrictEqual } from 'node:util';
import { timestamp } from '../../kube/clock.js';
import { Informer, keyOf } from '../../kube/informer.js';
import type { Logger } from '../../kube/log.js';
import type { Objects } from '../../kube/objects.js';
import { WorkQueue } from '../../kube/work-queue.js';
import { deviceKey } from '../admission/device.js';
import type { Decider } from '../decider.js';
import type { FlavorObject, QuotaObject, ShareObject } from '../objects.js';
import { quotaStatus, shareStatus } from '../quota-status.js';
import { flavorsOf } from '../teams.js';
import type { ClusterView } from '../view.js';

const FIELD_MANAGER = 'deeprt-operator';
/** Decisions come in bursts; figures are written once for a burst. */
const SETTLE_MS = 300;

export interface SharesApi {
  readonly quotas: Objects<QuotaObject>;
  readonly flavors: Objects<FlavorObject>;
  readonly shares: Objects<ShareObject>;
}

/** Tells teams what they have: the statuses of quotas and flavors, and in each namespace of a team a TenantShare. */
export class Shares {
  /** Kinds and names, such as `TenantShare/NAMESPACE/NAME`. */
  readonly queue = new WorkQueue<string>();
  readonly #view: ClusterView;
  readonly #api: SharesApi;
  readonly #decider: Decider;
  readonly #mayWrite: () => void;
  readonly #found: Informer<ShareObject>;

  constructor(view: ClusterView, api: SharesApi, decider: Decider, log: Logger, mayWrite: () => void) {
    this.#view = view;
    this.#api = api;
    this.#decider = decider;
    this.#mayWrite = mayWrite;
    this.#found = new Informer(api.shares.listWatch(), {
      changed: (key) => this.queue.add(`TenantShare/${key}`),
      failed: (error, retryMs) => log.warn({ kind: 'TenantShare', error, retryMs }, 'watch ended; starting it again'),
    });
  }

  start(): void {
    this.#found.start();
    this.decided();
  }

  stop(): Promise<void> {
    return this.#found.stop();
  }

  /** Everybody's figures may have changed. */
  decided(): void {
    const { teams } = this.#view;
    const all = [
      ...teams.quotas.list().map(({ metadata }) => `TenantQuota/${metadata.name}`),
      ...teams.flavors.list().map(({ metadata }) => `DeviceFlavor/${metadata.name}`),
      ...this.#wanted(),
      ...this.#found.list().map((share) => `TenantShare/${keyOf(share)}`),
    ];
    for (const key of all) this.queue.addAfter(key, SETTLE_MS);
  }

  /** Somebody may have written what is told of a quota or flavor. */
  changed(kind: string, name: string): void {
    if (kind !== 'Namespace') this.queue.add(`${kind}/${name}`);
  }

  async reconcile(key: string): Promise<void> {
    const [kind, ...rest] = key.split('/') as [string, string, string?];
    if (kind === 'TenantQuota') await this.#quota(rest[0]);
    else if (kind === 'DeviceFlavor') await this.#flavor(rest[0]);
    else await this.#share(rest[0], rest[1]!);
  }

  /** A TenantShare for each namespace that a quota is for. */
  #wanted(): string[] {
    const { quotas } = this.#decider.standings ?? {};
    return (quotas?.all ?? []).flatMap((quota) =>
      quotas!.namespacesOf(quota).map((namespace) => `TenantShare/${namespace}/${quota.name}`),
    );
  }

  async #quota(name: string): Promise<void> {
    const quota = this.#view.teams.quotas.get(name);
    const { standings } = this.#decider;
    // One that the last decision did not know yet is told of after the next.
    const known = standings?.quotas.all.find((each) => each.name === name);
    if (quota === undefined || known === undefined) return;
    const status = quotaStatus(known, standings!, quota.metadata.generation, quota.status, timestamp());
    if (isDeepStrictEqual(quota.status, status)) return;
    this.#mayWrite();
    await this.#api.quotas.applyStatus({ metadata: { name }, status } as QuotaObject, FIELD_MANAGER);
  }

  async #flavor(name: string): Promise<void> {
    const { teams, profiles, nodes } = this.#view;
    const flavor = teams.flavors.get(name);
    if (flavor === undefined) return;
    const found = flavorsOf({ flavors: teams.flavors.list(), nodes: nodes.list(), profiles: profiles.list() });
    const own = profiles
      .list()
      .filter(({ spec }) => found.get(deviceKey({ node: spec.nodeName, device: spec.device })) === name);
    const kinds = [...new Set(own.map(({ status: told }) => told?.device?.name ?? ''))].sort().join(', ');
    const status = { devices: own.length, kinds };
    if (isDeepStrictEqual(flavor.status, status)) return;
    this.#mayWrite();
    await this.#api.flavors.applyStatus({ metadata: { name }, status } as FlavorObject, FIELD_MANAGER);
  }

  async #share(namespace: string, name: string): Promise<void> {
    const { standings } = this.#decider;
    const found = this.#found.get(name, namespace);
    const quota = standings?.quotas.of(namespace);
    if (quota?.name !== name) {
      if (found === undefined) return;
      this.#mayWrite();
      await this.#api.shares.delete({ name, namespace });
      return;
    }
    const status = shareStatus(quota, namespace, standings!);
    if (isDeepStrictEqual(found?.status, status)) return;
    this.#mayWrite();
    await this.#api.shares.apply({ metadata: { name, namespace }, status }, FIELD_MANAGER);
  }
}
