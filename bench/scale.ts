import { readFile } from 'node:fs/promises';
import { Cluster } from '../kube/cluster.js';
import { Informer } from '../kube/informer.js';
import { TENANTS } from '../kube/kinds.js';
import { Objects } from '../kube/objects.js';
import type { TenantObject } from '../operator/objects.js';
import { until } from '../test/support/api-server.js';
import { TestCluster } from '../test/support/cluster.js';
import { tenantManifest } from '../test/support/workspace.js';
import type { Figure } from './figure.js';
import { median } from './figure.js';

const NODES = 200;
const FEW = 250;
const MANY = 2000;
const APPLIERS = 16;
const MORE = 40;
const LOST = NODES / 10;
const GRACE_MS = 2000;

/** How the control plane grows: one more tenant beside few and beside many, and many tenants whose nodes are lost. */
export async function benchScale(): Promise<Figure[]> {
  const cluster = await TestCluster.start();
  const connection = Cluster.load(cluster.api.kubeconfig);
  try {
    await cluster.model();
    await inParallel(NODES, async (i) => {
      await cluster.node(`edge-${i}`);
      await cluster.profile(`edge-${i}`, { slow: 1 + (i % 5) / 4 });
    });
    const operator = await cluster.operator();
    await cluster.tenant('first');
    await cluster.admitted('first');

    const admitted = new Map<string, { readonly atMs: number; readonly node: string | undefined }>();
    const informer = new Informer(new Objects<TenantObject>(connection, TENANTS).listWatch(), {
      changed: (_key, { metadata: { name }, status }) => {
        const holds = status?.conditions?.find(({ type }) => type === 'Admitted')?.status === 'True';
        const node = status?.placements?.[0]?.node;
        if (holds && admitted.get(name)?.node !== node) admitted.set(name, { atMs: performance.now(), node });
      },
    });
    informer.start();
    await informer.synced();

    const apply = (name: string, i: number): Promise<unknown> =>
      cluster.api.must(
        'POST',
        '/apis/deeprt.dev/v1alpha1/namespaces/default/inferencetenants',
        tenantManifest(name, {
          framesPerSecond: [5, 10, 15][i % 3],
          deadline: `${[100, 150, 250, 400][i % 4]}ms`,
          jitter: '5ms',
        }),
      );
    let applied = 0;
    const fill = async (count: number): Promise<number> => {
      const [from, startMs] = [applied, performance.now()];
      await inParallel(count - from, (i) => apply(`t${from + i}`, from + i));
      applied = count;
      await until(() => admitted.size >= applied, 'all tenants to be admitted', undefined, 120_000);
      return (1000 * (count - from)) / (performance.now() - startMs);
    };
    const oneMore = async (): Promise<number> => {
      const took: number[] = [];
      for (let i = 0; i < MORE; i++) {
        const name = `t${applied}`;
        const startMs = performance.now();
        await apply(name, applied++);
        await until(() => admitted.has(name), `${name} to be admitted`);
        took.push(admitted.get(name)!.atMs - startMs);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return median(took);
    };
    await fill(FEW);
    const besideFewMs = await oneMore();
    const perSecond = await fill(MANY);
    const besideManyMs = await oneMore();

    const onLost = [...admitted].filter(([, { node }]) => Number(node?.slice(5)) < LOST).map(([name]) => name);
    const startMs = performance.now();
    await inParallel(LOST, (i) => cluster.node(`edge-${i}`, { ready: false }));
    const moved = (name: string): boolean => Number(admitted.get(name)?.node?.slice(5)) >= LOST;
    await until(() => onLost.every(moved), 'the tenants of lost nodes to be placed elsewhere', undefined, 60_000);
    const replacedMs = Math.max(...onLost.map((name) => admitted.get(name)!.atMs)) - startMs - GRACE_MS;
    const peak = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${operator.pid}/status`, 'utf8'))![1]!;
    const broken = await cluster.brokenPromises();
    if (broken.length > 0) throw new Error(broken.join('\n'));
    await informer.stop();
    const growth = besideManyMs / besideFewMs;
    return [
      { name: `tenants admitted, ${FEW} to ${MANY} over ${NODES} nodes`, value: perSecond, unit: '1/s' },
      { name: `one more tenant beside ${FEW}, from apply to Admitted, median`, value: besideFewMs, unit: 'ms' },
      { name: `the same beside ${MANY}`, value: growth, unit: 'x', aim: '<= 1.3 x', met: growth <= 1.3 },
      {
        name: `${onLost.length} tenants of ${LOST} lost nodes placed elsewhere, beyond the grace`,
        value: replacedMs,
        unit: 'ms',
        aim: '<= 1000 ms',
        met: replacedMs <= 1000,
      },
      { name: 'operator memory at its highest', value: Number(peak) / 1024, unit: 'MiB' },
    ];
  } finally {
    await connection.close();
    await cluster.stop();
  }
}

async function inParallel(count: number, act: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await act(i);
  };
  await Promise.all(Array.from({ length: APPLIERS }, worker));
}
