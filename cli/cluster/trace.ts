import type { LateFrame } from '../../agent/serving/late-frames.js';
import type { Cluster } from '../../kube/cluster.js';
import type { TenantObject } from '../../operator/objects.js';
import { table } from '../table.js';
import type { PodWithPorts } from './pods.js';
import { podProxy } from './pods.js';

interface AgentPod extends PodWithPorts {
  readonly spec: PodWithPorts['spec'] & { readonly nodeName?: string };
}

export interface Traced extends LateFrame {
  readonly node: string;
}

const SELECTOR = 'app.kubernetes.io/name=deeprt,app.kubernetes.io/component=agent';

/**
 * The last promised frames of a tenant that were late or given up, by the agents that serve it; asked through the API server's
 * proxy to pods.
 *
 * @throws ApiException where the user may not, Error where no agent is found
 */
export async function traceOf(cluster: Cluster, tenant: TenantObject, namespace: string): Promise<Traced[]> {
  const { name, namespace: own = '' } = tenant.metadata;
  const nodes = new Set((tenant.status?.placements ?? []).map(({ node }) => node));
  const query = new URLSearchParams({ labelSelector: SELECTOR }).toString();
  const { items } = JSON.parse(await cluster.read(`/api/v1/namespaces/${namespace}/pods?${query}`)) as {
    items: AgentPod[];
  };
  const pods = items.filter(({ spec }) => nodes.has(spec.nodeName ?? ''));
  if (pods.length === 0)
    throw new Error(
      `no agent's pod in ${namespace} serves ${own}/${name}; where agents run otherwise, ask their --admin port: /late?tenant=${own}/${name}`,
    );
  const all = await Promise.all(
    pods.map(async (pod) => {
      const asked = new URLSearchParams({ tenant: `${own}/${name}` }).toString();
      const path = `${podProxy(namespace, pod, 'admin')}/late?${asked}`;
      const { frames } = JSON.parse(await cluster.read(path)) as { frames: LateFrame[] };
      return frames.map((frame) => ({ ...frame, node: pod.spec.nodeName ?? '' }));
    }),
  );
  return all.flat().sort((a, b) => (a.at < b.at ? 1 : -1));
}

export function traceText(frames: readonly Traced[]): string {
  if (frames.length === 0) return 'no promised frame was late or given up since the agents started';
  const ms = (us: number | undefined): string => (us === undefined ? '' : `${(us / 1000).toFixed(1)}ms`);
  const rows = frames.map(({ at, node, cause, code, latencyUs, deadlineUs, spentUs, batch, runs }) => {
    const [longest] = runs;
    return [
      at,
      node,
      cause,
      code ?? 'late',
      `${ms(latencyUs)}/${ms(deadlineUs)}`,
      ms(spentUs.input),
      ms(spentUs.queue),
      ms(spentUs.run),
      ms(spentUs.answer),
      batch === undefined ? '' : `${batch}`,
      longest === undefined
        ? ''
        : `${longest.frames} of ${longest.category}, ${ms(longest.us)} of ${ms(longest.wcetUs)}`,
    ];
  });
  const head = [
    'AT',
    'NODE',
    'CAUSE',
    'ENDED',
    'LATENCY',
    'INPUT',
    'QUEUE',
    'RUN',
    'ANSWER',
    'BATCH',
    'LONGEST RUN MEANWHILE',
  ];
  return table(head, rows);
}
