import { CustomObjectsApi, ListWatch, PatchStrategy, Watch, setHeaderOptions } from '@kubernetes/client-node';
import type { Cluster } from './cluster.js';
import { statusOf } from './cluster.js';

export interface Meta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly object[];
}

/** What every object of the API has. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: Meta;
}

/** A kind of the API as its paths know it; `group` is '' for the core group. */
export interface KindRef {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
}

export interface List<T> {
  readonly items: T[];
  readonly metadata?: { readonly resourceVersion?: string };
}

export interface Selector {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** Reads and writes objects of one kind, as plain JSON. */
export class Objects<T extends KubeObject> {
  readonly ref: KindRef;
  readonly #cluster: Cluster;
  readonly #api: CustomObjectsApi;

  constructor(cluster: Cluster, ref: KindRef) {
    if (ref.group === '') throw new Error(`${ref.kind} is of the core group; see core-objects.ts`);
    this.ref = ref;
    this.#cluster = cluster;
    this.#api = cluster.makeApiClient(CustomObjectsApi);
  }

  get apiVersion(): string {
    return `${this.ref.group}/${this.ref.version}`;
  }

  /** Those of every namespace, or of one. */
  async list(selector: Selector = {}, namespace?: string): Promise<List<T>> {
    const asked = { ...this.ref, ...selector };
    return (await (namespace === undefined
      ? this.#api.listClusterCustomObject(asked)
      : this.#api.listNamespacedCustomObject({ ...asked, namespace }))) as List<T>;
  }

  /** Undefined when there is none. */
  async get(name: string, namespace?: string): Promise<T | undefined> {
    try {
      return (await (namespace === undefined
        ? this.#api.getClusterCustomObject({ ...this.ref, name })
        : this.#api.getNamespacedCustomObject({ ...this.ref, name, namespace }))) as T;
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  async create(object: T): Promise<T> {
    const { namespace } = object.metadata;
    const body = { apiVersion: this.apiVersion, kind: this.ref.kind, ...object };
    return (await (namespace === undefined
      ? this.#api.createClusterCustomObject({ ...this.ref, body })
      : this.#api.createNamespacedCustomObject({ ...this.ref, namespace, body }))) as T;
  }

  /** Replaces the object if it still has the resourceVersion that `object` carries; else fails with 409. */
  async replace(object: T): Promise<T> {
    const { namespace, name } = object.metadata;
    const body = { apiVersion: this.apiVersion, kind: this.ref.kind, ...object };
    return (await (namespace === undefined
      ? this.#api.replaceClusterCustomObject({ ...this.ref, name, body })
      : this.#api.replaceNamespacedCustomObject({ ...this.ref, name, namespace, body }))) as T;
  }

  /** RFC 7386; with a resourceVersion in it, fails with 409 when the object has another by now. */
  async merge({ name, namespace }: Pick<Meta, 'name' | 'namespace'>, body: object): Promise<T> {
    const options = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
    return (await (namespace === undefined
      ? this.#api.patchClusterCustomObject({ ...this.ref, name, body }, options)
      : this.#api.patchNamespacedCustomObject({ ...this.ref, name, namespace, body }, options))) as T;
  }

  /** RFC 6902, for objects without a namespace; fails with 422 where a `test` among the operations does not hold. */
  async patch(name: string, operations: readonly object[]): Promise<T> {
    const options = setHeaderOptions('Content-Type', PatchStrategy.JsonPatch);
    return (await this.#api.patchClusterCustomObject({ ...this.ref, name, body: operations }, options)) as T;
  }

  /** Server-side apply (KEP-555): the manager owns exactly the fields of `object`. */
  apply(object: T, fieldManager: string): Promise<T> {
    return this.#apply(object, fieldManager, '');
  }

  /** The same for the status subresource. */
  applyStatus(object: T, fieldManager: string): Promise<T> {
    return this.#apply(object, fieldManager, 'Status');
  }

  async #apply(object: T, fieldManager: string, part: '' | 'Status'): Promise<T> {
    const { name, namespace } = object.metadata;
    const body = { apiVersion: this.apiVersion, kind: this.ref.kind, ...object };
    const options = setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply);
    const request = { ...this.ref, name, body, fieldManager, force: true };
    return (await (namespace === undefined
      ? this.#api[`patchClusterCustomObject${part}`](request, options)
      : this.#api[`patchNamespacedCustomObject${part}`]({ ...request, namespace }, options))) as T;
  }

  /** Says whether there was one. */
  async delete({ name, namespace }: Pick<Meta, 'name' | 'namespace'>): Promise<boolean> {
    try {
      await (namespace === undefined
        ? this.#api.deleteClusterCustomObject({ ...this.ref, name })
        : this.#api.deleteNamespacedCustomObject({ ...this.ref, name, namespace }));
      return true;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  listWatch(selector: Selector = {}): Watchable<T> {
    const path = `/apis/${this.apiVersion}/${this.ref.plural}`;
    return watchOf<T>(this.#cluster, path, () => this.list(selector), selector);
  }
}

/** What is used of client-node's ListWatch, whose own types promise Dates where the API sends text. */
export interface Watchable<T> {
  on(verb: 'add' | 'update' | 'delete', callback: (object: T) => void): void;
  on(verb: 'error', callback: (error: unknown) => void): void;
  start(): Promise<void>;
  stop(): Promise<void>;
  get(name: string, namespace?: string): T | undefined;
  list(): readonly T[];
}

/** A watch of all objects at a path. */
export function watchOf<T extends KubeObject>(
  cluster: Cluster,
  path: string,
  listAll: () => Promise<List<T>>,
  { labelSelector, fieldSelector }: Selector = {},
): Watchable<T> {
  const watch = new Watch(cluster);
  return new ListWatch(path, watch, listAll as never, false, labelSelector, fieldSelector) as unknown as Watchable<T>;
}
