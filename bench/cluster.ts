import { readFile } from 'node:fs/promises';
import { Cluster } from '../kube/cluster.js';
import { Informer } from '../kube/informer.js';
import { TENANTS } from '../kube/kinds.js';
import { Objects } from '../kube/objects.js';
import type { TenantObject } from '../operator/objects.js';
import { seededRandom } from '../sched/arrivals.js';
import type { ApiServer } from '../test/support/api-server.js';
import { until } from '../test/support/api-server.js';
import { TestCluster, tenantPath } from '../test/support/cluster.js';
import { tenantManifest } from '../test/support/workspace.js';
import type { Figure } from './figure.js';

const NODES = 50;
const TENANT_COUNT = 1000;
const APPLIERS = 16;

/** The control plane: 1,000 tenants over 50 nodes with recorded profiles, on a real API server and etcd on this machine. */
export async function benchCluster(): Promise<Figure[]> {
  const cluster = await TestCluster.start();
  try {
    await cluster.model();
    for (let i = 0; i < NODES; i++) {
      await cluster.node(`edge-${i}`);
      await cluster.profile(`edge-${i}`, { slow: 1 + (i % 5) / 4 });
    }
    const operator = await cluster.operator();
    // An API server sets up a kind's storage at its first use: that is over before the clock starts.
    await cluster.tenant('first');
    await cluster.admitted('first');
    await until(async () => (await cluster.schedule(`edge-${NODES - 1}`)) !== undefined, 'all nodes to have a record');

    const appliedMs = new Map<string, number>();
    const admittedMs = new Map<string, number>();
    const connection = Cluster.load(cluster.api.kubeconfig);
    const informer = new Informer(new Objects<TenantObject>(connection, TENANTS).listWatch(), {
      changed: (_key, { metadata: { name }, status }) => {
        const admitted = status?.conditions?.find(({ type }) => type === 'Admitted');
        if (admitted?.status === 'True' && appliedMs.has(name) && !admittedMs.has(name))
          admittedMs.set(name, performance.now());
      },
    });
    informer.start();
    await informer.synced();

    const random = seededRandom(3);
    let next = 0;
    const startMs = performance.now();
    const applier = async (): Promise<void> => {
      for (let i = next++; i < TENANT_COUNT; i = next++) {
        const manifest = tenantManifest(`t${i}`, {
          framesPerSecond: [5, 10, 15][Math.floor(random() * 3)],
          deadline: `${[100, 150, 250, 400][Math.floor(random() * 4)]}ms`,
          jitter: '5ms',
        });
        appliedMs.set(`t${i}`, performance.now());
        await cluster.api.must('POST', '/apis/deeprt.dev/v1alpha1/namespaces/default/inferencetenants', manifest);
      }
    };
    await Promise.all(Array.from({ length: APPLIERS }, applier));
    await until(() => admittedMs.size === TENANT_COUNT, 'all tenants to be admitted', undefined, 120_000);
    const seconds = (Math.max(...admittedMs.values()) - startMs) / 1000;
    const latencies = [...admittedMs].map(([name, ms]) => ms - appliedMs.get(name)!).sort((a, b) => a - b);
    const at = (share: number): number => latencies[Math.floor(share * (latencies.length - 1))]!;
    const peak = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${operator.pid}/status`, 'utf8'))![1]!;
    const broken = await cluster.brokenPromises();
    if (broken.length > 0) throw new Error(broken.join('\n'));
    const status = (await cluster.getTenant('t0'))!.status!;
    await informer.stop();
    await connection.close();
    await operator.kill('SIGTERM');
    const bare = await bareWrites(cluster, status);
    const perSecond = TENANT_COUNT / seconds;
    return [
      {
        name: 'tenants admitted, 1,000 over 50 nodes',
        value: perSecond,
        unit: '1/s',
        aim: '>= 200 /s',
        met: perSecond >= 200,
      },
      { name: 'the same against the bare writes it takes, without an operator', value: perSecond / bare, unit: 'x' },
      { name: 'from apply to Admitted, p50', value: at(0.5), unit: 'ms' },
      { name: 'from apply to Admitted, p99', value: at(0.99), unit: 'ms', aim: '<= 2000 ms', met: at(0.99) <= 2000 },
      { name: 'operator memory at its highest', value: Number(peak) / 1024, unit: 'MiB' },
    ];
  } finally {
    await cluster.stop();
  }
}

/** Tenants a second for which the API server alone can do what each takes at least: create, finalizer, status. */
async function bareWrites(cluster: TestCluster, status: object): Promise<number> {
  let next = 0;
  const startMs = performance.now();
  const writer = async (): Promise<void> => {
    for (let i = next++; i < TENANT_COUNT; i = next++) {
      const manifest = tenantManifest(`bare${i}`, { jitter: '5ms' }) as Parameters<ApiServer['apply']>[0];
      const path = tenantPath(`bare${i}`);
      await cluster.api.must('POST', path.replace(/\/[^/]+$/, ''), manifest);
      await cluster.api.must('PATCH', path, { metadata: { finalizers: ['deeprt.dev/withdraw'] } });
      const { apiVersion, kind, metadata } = manifest;
      await cluster.api.must(
        'PATCH',
        `${path}/status?fieldManager=bench&force=true`,
        { apiVersion, kind, metadata, status },
        { type: 'application/apply-patch+yaml' },
      );
    }
  };
  await Promise.all(Array.from({ length: APPLIERS }, writer));
  return (1000 * TENANT_COUNT) / (performance.now() - startMs);
}
