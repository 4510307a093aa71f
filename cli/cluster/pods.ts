import type { Cluster } from '../../kube/cluster.js';

/** A pod of an operator or agent, as far as questions go. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly nodeName?: string;
    readonly containers: readonly {
      readonly name: string;
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
      readonly readinessProbe?: { readonly httpGet?: { readonly scheme?: string } };
    }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const USUAL_PORT = 8081;
const SELECTOR = new URLSearchParams({ labelSelector: 'app.kubernetes.io/name=deeprt' }).toString();

/** The pods of operators and agents in some namespaces. @throws ApiException where they may not be listed */
export async function podsIn(cluster: Cluster, namespaces: readonly string[]): Promise<Pod[]> {
  const lists = await Promise.all(
    namespaces.map((namespace) => cluster.read(`/api/v1/namespaces/${namespace}/pods?${SELECTOR}`)),
  );
  return lists.flatMap((text) => (JSON.parse(text) as { items: Pod[] }).items);
}

const isOf =
  (component: string) =>
  ({ metadata }: Pod): boolean =>
    metadata.labels?.['app.kubernetes.io/component'] === component;

export const isAgent = isOf('agent');
export const isOperator = isOf('operator');

/** The path by which the API server hands requests on to a pod's port for health and metrics. */
export function adminProxy(pod: Pod): string {
  const { metadata, spec } = pod;
  const called = isAgent(pod) ? 'admin' : 'metrics';
  const container = spec.containers.find(({ ports }) => ports?.some((port) => port.name === called));
  const port = container?.ports?.find(({ name }) => name === called)?.containerPort ?? USUAL_PORT;
  const scheme = container?.readinessProbe?.httpGet?.scheme === 'HTTPS' ? 'https:' : '';
  return `/api/v1/namespaces/${metadata.namespace}/pods/${scheme}${metadata.name}:${port}/proxy`;
}
