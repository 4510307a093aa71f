import { CoreV1Api, PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import type { Cluster } from './cluster.js';
import { statusOf } from './cluster.js';
import type { KubeObject, List, Selector, Watchable } from './objects.js';
import { watchOf } from './objects.js';

/** The parts of a Node that placement looks at. */
export interface NodeObject extends KubeObject {
  readonly spec?: {
    readonly unschedulable?: boolean;
    readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
  };
}

/** The parts of a Pod that tell where it is reached. */
export interface PodObject extends KubeObject {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: { readonly podIPs?: readonly { readonly ip: string }[] };
}

/** Pods of one namespace and label. */
export class Pods {
  readonly #cluster: Cluster;
  readonly #api: CoreV1Api;
  readonly #namespace: string;
  readonly #labelSelector: string;

  constructor(cluster: Cluster, namespace: string, labelSelector: string) {
    this.#cluster = cluster;
    this.#api = cluster.makeApiClient(CoreV1Api);
    this.#namespace = namespace;
    this.#labelSelector = labelSelector;
  }

  listWatch(): Watchable<PodObject> {
    const [namespace, labelSelector] = [this.#namespace, this.#labelSelector];
    const listAll = async (): Promise<List<PodObject>> =>
      (await this.#api.listNamespacedPod({ namespace, labelSelector })) as unknown as List<PodObject>;
    return watchOf<PodObject>(this.#cluster, `/api/v1/namespaces/${namespace}/pods`, listAll, { labelSelector });
  }
}

/** Nodes are of the core group, which has clients of its own. */
export class Nodes {
  readonly #cluster: Cluster;
  readonly #api: CoreV1Api;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#api = cluster.makeApiClient(CoreV1Api);
  }

  async get(name: string): Promise<NodeObject | undefined> {
    try {
      return (await this.#api.readNode({ name })) as unknown as NodeObject;
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  async list(): Promise<List<NodeObject>> {
    return (await this.#api.listNode()) as unknown as List<NodeObject>;
  }

  listWatch(): Watchable<NodeObject> {
    return watchOf<NodeObject>(this.#cluster, '/api/v1/nodes', () => this.list());
  }
}

/** So are namespaces. */
export class Namespaces {
  readonly #cluster: Cluster;
  readonly #api: CoreV1Api;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#api = cluster.makeApiClient(CoreV1Api);
  }

  async list(): Promise<List<KubeObject>> {
    return (await this.#api.listNamespace()) as unknown as List<KubeObject>;
  }

  listWatch(): Watchable<KubeObject> {
    return watchOf<KubeObject>(this.#cluster, '/api/v1/namespaces', () => this.list());
  }
}

/** Services are of the core group as well. */
export class Services<T extends KubeObject & { spec: object }> {
  readonly #cluster: Cluster;
  readonly #api: CoreV1Api;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#api = cluster.makeApiClient(CoreV1Api);
  }

  /** Undefined when there is none. */
  async get(name: string, namespace: string): Promise<T | undefined> {
    try {
      return (await this.#api.readNamespacedService({ name, namespace })) as unknown as T;
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  listWatch(selector: Selector = {}): Watchable<T> {
    const listAll = async (): Promise<List<T>> =>
      (await this.#api.listServiceForAllNamespaces(selector)) as unknown as List<T>;
    return watchOf<T>(this.#cluster, '/api/v1/services', listAll, selector);
  }

  /** Server-side apply. */
  async apply(object: T, fieldManager: string): Promise<void> {
    const { name, namespace } = object.metadata;
    await this.#api.patchNamespacedService(
      {
        name,
        namespace: namespace ?? 'default',
        body: { apiVersion: 'v1', kind: 'Service', ...object },
        fieldManager,
        force: true,
      },
      setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply),
    );
  }

  /** RFC 7386: also what others own becomes as it is said here. */
  async merge(object: T, fieldManager: string): Promise<void> {
    const { name, namespace } = object.metadata;
    await this.#api.patchNamespacedService(
      { name, namespace: namespace ?? 'default', body: object, fieldManager },
      setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
    );
  }
}
