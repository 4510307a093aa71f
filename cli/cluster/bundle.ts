import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { VERSION } from '../../api/version.js';
import { timestamp } from '../../kube/clock.js';
import type { Cluster } from '../../kube/cluster.js';
import { reasonOf } from '../../kube/cluster.js';
import { capacityOf, capacityText } from './capacity.js';
import { check, findingsText } from './check.js';
import { adminProxy, isAgent, podsIn } from './pods.js';
import { readCluster, snapshotOf } from './reading.js';

const GROUP = '/apis/deeprt.dev/v1alpha1';
const LOG_LINES = 2000;

/**
 * Collects in a folder what somebody needs to know who helps from afar: all objects, the operators' and agents' logs and metrics,
 * and what `check` and `capacity` say. Secrets are not read, and credentials in addresses of models are left out.
 *
 * @returns what could not be read, and why
 */
export async function collect(
  cluster: Cluster,
  dir: string,
  system: readonly string[],
  leases: string,
): Promise<string[]> {
  const missing: string[] = [];
  const file = async (name: string, content: () => Promise<string>): Promise<void> => {
    try {
      await writeFile(join(dir, name), withoutCredentials(await content()));
    } catch (error) {
      missing.push(`${name}: ${reasonOf(error)}`);
    }
  };
  const objects = (name: string, path: string): Promise<void> =>
    file(`${name}.yaml`, async () => stringify(withoutFields(JSON.parse(await cluster.read(path)))));
  for (const folder of ['', 'logs', 'metrics', 'late']) await mkdir(join(dir, folder), { recursive: true });

  await file('about.txt', () => Promise.resolve(`deeprt ${VERSION}\ncollected at ${timestamp()}\n`));
  const kinds = [
    ...['inferencetenants', 'inferencemodels', 'gpuprofiles', 'nodeschedules'],
    ...['tenantquotas', 'deviceflavors', 'tenantshares'],
  ];
  for (const kind of kinds) await objects(kind, `${GROUP}/${kind}`);
  await objects('nodes', '/api/v1/nodes');
  await objects('priorityclasses', '/apis/scheduling.k8s.io/v1/priorityclasses');
  for (const namespace of system) await objects(`pods-${namespace}`, `/api/v1/namespaces/${namespace}/pods`);
  await objects('events', `/api/v1/events`);
  await file('check.txt', async () => findingsText(await check(cluster, await readCluster(cluster), system, leases)));
  await file('capacity.txt', async () => {
    const reading = await readCluster(cluster);
    return capacityText(capacityOf(reading, snapshotOf(reading)));
  });

  const pods = await podsIn(cluster, system).catch(() => []); // said of pods-*.yaml
  for (const pod of pods) {
    const { name, namespace } = pod.metadata;
    for (const { name: container } of pod.spec.containers)
      await file(`logs/${name}-${container}.log`, () =>
        cluster.read(`/api/v1/namespaces/${namespace}/pods/${name}/log?container=${container}&tailLines=${LOG_LINES}`),
      );
    const proxy = adminProxy(pod);
    await file(`metrics/${name}.txt`, () => cluster.read(`${proxy}/metrics`));
    if (isAgent(pod)) await file(`late/${name}.json`, () => cluster.read(`${proxy}/late`));
  }
  return missing;
}

/** What only servers need to know of an object. */
function withoutFields(list: unknown): unknown {
  return JSON.parse(
    JSON.stringify(list, (key, value: unknown) =>
      key === 'managedFields' || key === 'kubectl.kubernetes.io/last-applied-configuration' ? undefined : value,
    ),
  );
}

/** User information in URLs (RFC 3986, 3.2.1), and what follows a question mark: signatures of stores are there. */
const withoutCredentials = (text: string): string =>
  text
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, '$1left-out@')
    .replace(/(\bhttps?:\/\/[^\s"'?]+)\?[^\s"']+/gi, '$1?left-out');
