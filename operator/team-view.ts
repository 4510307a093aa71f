import type { Cluster } from '../kube/cluster.js';
import { Informer } from '../kube/informer.js';
import { FLAVORS, QUOTAS } from '../kube/kinds.js';
import type { KubeObject, Watchable } from '../kube/objects.js';
import { Objects } from '../kube/objects.js';
import { Namespaces } from '../kube/core-objects.js';
import type { FlavorObject, QuotaObject } from './objects.js';

export interface TeamListener {
  /** Who may have what may have changed. */
  readonly world: () => void;
  /** Something of a quota or flavor has changed, what is told of it included. */
  readonly team: (kind: string, name: string) => void;
  readonly failed: (kind: string, error: string, retryMs: number) => void;
}

/** A local copy of all that says which team a namespace is of, and what it may have. */
export class TeamView {
  readonly quotas: Informer<QuotaObject>;
  readonly flavors: Informer<FlavorObject>;
  readonly namespaces: Informer<KubeObject>;

  constructor(cluster: Cluster, { world, team, failed }: TeamListener) {
    const known = new Map<string, string>();
    /** Follows a kind, and tells only of changes of what counts. */
    const informer = <T extends KubeObject>(
      kind: string,
      watch: Watchable<T>,
      counts: (object: T) => unknown,
    ): Informer<T> =>
      new Informer<T>(watch, {
        changed: (key, object, gone) => {
          team(kind, key);
          const id = `${kind}/${key}`;
          const now = gone ? undefined : JSON.stringify(counts(object));
          if (known.get(id) === now) return;
          if (now === undefined) known.delete(id);
          else known.set(id, now);
          world();
        },
        failed: (error, retryMs) => failed(kind, error, retryMs),
      });
    // What is told of a quota or flavor decides nothing.
    const spec = ({ metadata: { uid, generation } }: KubeObject): unknown => [uid, generation];
    this.quotas = informer(QUOTAS.kind, new Objects<QuotaObject>(cluster, QUOTAS).listWatch(), spec);
    this.flavors = informer(FLAVORS.kind, new Objects<FlavorObject>(cluster, FLAVORS).listWatch(), spec);
    this.namespaces = informer('Namespace', new Namespaces(cluster).listWatch(), ({ metadata }) => metadata.labels);
  }

  get all(): Informer<KubeObject>[] {
    return [this.quotas, this.flavors, this.namespaces];
  }
}
