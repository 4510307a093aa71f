import { isDeepStrictEqual } from 'node:util';
import { NAMESPACE_NAME } from '../api/names.js';
import { sendersOf } from '../api/senders.js';
import type { Cluster } from '../kube/cluster.js';
import { reasonOf } from '../kube/cluster.js';
import { NETWORK_POLICIES } from '../kube/kinds.js';
import type { Logger } from '../kube/log.js';
import type { KubeObject, Meta } from '../kube/objects.js';
import { Objects } from '../kube/objects.js';
import type { TenantObject } from './objects.js';

interface NetworkPolicy extends KubeObject {
  readonly spec?: { readonly ingress?: readonly object[] };
}

/** The label that every namespace has with its name. */
const NAME_LABEL = 'kubernetes.io/metadata.name';

/** Namespaces that frames come from: those with tenants, and those whose service accounts may send to one. */
export function namespacesOf(tenants: readonly TenantObject[]): string[] {
  const all = tenants.flatMap((tenant) => [
    tenant.metadata.namespace ?? '',
    ...(sendersOf(tenant)?.serviceAccounts ?? []).map(({ namespace }) => namespace),
  ]);
  // Objects may be older than the rule of what a namespace is called; one of them must not keep out all others.
  return [...new Set(all)].filter((namespace) => NAMESPACE_NAME.test(namespace)).sort();
}

/** Keeps a NetworkPolicy's ingress to what tenants' namespaces need; everything else of it is its maker's. */
export class FramesPolicy {
  readonly #policies: Objects<NetworkPolicy>;
  readonly #at: Required<Pick<Meta, 'name' | 'namespace'>>;
  readonly #ports: readonly string[];
  readonly #log: Logger;
  #running = false;
  #told = '';

  /** @param ports of the agents that frames come in by */
  constructor(cluster: Cluster, at: Required<Pick<Meta, 'name' | 'namespace'>>, ports: readonly string[], log: Logger) {
    this.#policies = new Objects(cluster, NETWORK_POLICIES);
    this.#at = at;
    this.#ports = ports;
    this.#log = log;
  }

  /** Lets these namespaces send frames, and no others. */
  async allow(namespaces: readonly string[]): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      const wanted = ingressFor(namespaces, this.#ports);
      const found = await this.#policies.get(this.#at.name, this.#at.namespace);
      if (found === undefined) throw new Error(`there is no NetworkPolicy ${this.#at.namespace}/${this.#at.name}`);
      if (!isDeepStrictEqual(found.spec?.ingress ?? [], wanted))
        await this.#policies.merge(this.#at, { spec: { ingress: wanted } });
      this.#told = '';
    } catch (error) {
      const message = reasonOf(error);
      if (message !== this.#told)
        this.#log.warn({ error: message }, 'the namespaces that may send frames are not up to date');
      this.#told = message;
    } finally {
      this.#running = false;
    }
  }
}

const ingressFor = (namespaces: readonly string[], ports: readonly string[]): object[] =>
  namespaces.length === 0
    ? []
    : [
        {
          ports: ports.map((port) => ({ port, protocol: 'TCP' })),
          from: [
            { namespaceSelector: { matchExpressions: [{ key: NAME_LABEL, operator: 'In', values: [...namespaces] }] } },
          ],
        },
      ];
