/** A pod, as far as its ports go. */
export interface PodWithPorts {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly containers: readonly {
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
      readonly readinessProbe?: { readonly httpGet?: { readonly scheme?: string } };
    }[];
  };
}

const USUAL_PORT = 8081;

/** The path by which the API server hands requests on to a port of a pod, by the port's name. */
export function podProxy(namespace: string, { metadata, spec }: PodWithPorts, name: string): string {
  const container = spec.containers.find(({ ports }) => ports?.some((port) => port.name === name));
  const port = container?.ports?.find((each) => each.name === name)?.containerPort ?? USUAL_PORT;
  const scheme = container?.readinessProbe?.httpGet?.scheme === 'HTTPS' ? 'https:' : '';
  return `/api/v1/namespaces/${namespace}/pods/${scheme}${metadata.name}:${port}/proxy`;
}
