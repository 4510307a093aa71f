/** Kinds of Kubernetes' own that decisions look at, as far as they do. */
export interface KubernetesKinds {
  Namespace: object;
  Node: {
    readonly spec?: { readonly unschedulable?: boolean; readonly taints?: readonly Taint[] };
    readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  };
  PriorityClass: {
    readonly value: number;
    readonly globalDefault?: boolean;
    readonly preemptionPolicy?: 'Never' | 'PreemptLowerPriority';
  };
}

interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

/** A kind's version, and what of it must be right; the API server has checked the rest. */
interface Known {
  readonly apiVersion: string;
  readonly schema: object;
}

const text = { type: 'string' };
const list = (properties: Readonly<Record<string, object>>, required: readonly string[]): object => ({
  type: 'array',
  items: { type: 'object', required, properties },
});
const schemaOf = (properties: object = {}, required: readonly string[] = []): object => ({
  type: 'object',
  required: ['metadata', ...required],
  properties: {
    metadata: { type: 'object', properties: { labels: { type: ['object', 'null'], additionalProperties: text } } },
    ...properties,
  },
});

export const KUBERNETES_KINDS: { readonly [K in keyof KubernetesKinds]: Known } = {
  Namespace: { apiVersion: 'v1', schema: schemaOf() },
  Node: {
    apiVersion: 'v1',
    schema: schemaOf({
      spec: {
        type: 'object',
        properties: {
          unschedulable: { type: 'boolean' },
          taints: list({ key: text, value: text, effect: text }, ['key', 'effect']),
        },
      },
      status: {
        type: 'object',
        properties: { conditions: list({ type: text, status: text }, ['type', 'status']) },
      },
    }),
  },
  PriorityClass: {
    apiVersion: 'scheduling.k8s.io/v1',
    schema: schemaOf(
      {
        value: { type: 'integer', minimum: -2147483648, maximum: 2147483647 },
        globalDefault: { type: 'boolean' },
        preemptionPolicy: { enum: ['Never', 'PreemptLowerPriority'] },
      },
      ['value'],
    ),
  },
};
