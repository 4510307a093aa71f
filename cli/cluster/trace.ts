import type { LateFrame } from '../../agent/serving/late-frames.js';
import type { Cluster } from '../../kube/cluster.js';
import { statusOf } from '../../kube/cluster.js';
import type { TenantObject } from '../../operator/objects.js';
import { table } from '../table.js';
import { adminProxy, isAgent, podsIn } from './pods.js';

export interface Traced extends LateFrame {
  readonly node: string;
}

/**
 * The last promised frames of a tenant that were late or given up, by the agents that serve it; asked through the API server's
 * proxy to pods.
 *
 * @param namespaces where agents run
 * @throws ApiException where the user may not, Error where no agent is found
 */
export async function traceOf(
  cluster: Cluster,
  tenant: TenantObject,
  namespaces: readonly string[],
): Promise<Traced[]> {
  const { name, namespace: own = '' } = tenant.metadata;
  const nodes = new Set((tenant.status?.placements ?? []).map(({ node }) => node));
  const all = await podsIn(cluster, namespaces);
  const pods = all.filter((pod) => isAgent(pod) && nodes.has(pod.spec.nodeName ?? ''));
  if (pods.length === 0)
    throw new Error(
      `no agent's pod in ${namespaces.join(', ')} (--system-namespace) serves ${own}/${name}; where agents run otherwise, ask their --admin port: /late?tenant=${own}/${name}`,
    );
  const told = await Promise.all(
    pods.map(async (pod) => {
      const asked = new URLSearchParams({ tenant: `${own}/${name}` }).toString();
      const path = `${adminProxy(pod)}/late?${asked}`;
      const { frames } = JSON.parse(await readOf(cluster, path, pod.metadata.name)) as { frames: LateFrame[] };
      return frames.map((frame) => ({ ...frame, node: pod.spec.nodeName ?? '' }));
    }),
  );
  return told.flat().sort((a, b) => (a.at < b.at ? 1 : -1));
}

/** The API server keeps its clients' tokens to itself: an agent that asks for one (--review-readers) is asked directly. */
async function readOf(cluster: Cluster, path: string, pod: string): Promise<string> {
  try {
    return await cluster.read(path);
  } catch (error) {
    if (statusOf(error) !== 401) throw error;
    throw new Error(
      `${pod} tells who shows it a token, which the API server does not hand on; forward its port (kubectl port-forward) and ask /late there with a token (docs/operations.md, "Who may read")`,
      { cause: error },
    );
  }
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
