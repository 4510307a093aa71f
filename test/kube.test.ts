import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster } from '../kube/cluster.js';
import type { EventObject } from '../kube/events.js';
import { EVENTS, EventRecorder } from '../kube/events.js';
import { Informer } from '../kube/informer.js';
import { TENANTS } from '../kube/kinds.js';
import type { Lease } from '../kube/leader.js';
import { LEASES, elect } from '../kube/leader.js';
import { Objects } from '../kube/objects.js';
import type { TenantObject } from '../operator/objects.js';
import { ApiServer, until } from './support/api-server.js';
import { tenantPath } from './support/cluster.js';
import { tenantManifest } from './support/workspace.js';

/** What the client must survive, on a real API server. */

let api: ApiServer;
beforeAll(async () => {
  api = await ApiServer.start();
});
afterAll(() => api.stop());

/** A way to the API server that can fall silent without closing: what a pulled cable looks like. */
class Cable {
  readonly port: number;
  readonly connections = new Set<Socket>();
  opened = 0;
  /** New connections are as silent as those that were cut. */
  dead = false;
  readonly #server: ReturnType<typeof createServer>;

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
  }

  static async to(port: number): Promise<Cable> {
    const server = createServer((socket) => {
      const upstream = connect(port, '127.0.0.1');
      cable.connections.add(socket).add(upstream);
      cable.opened++;
      for (const each of [socket, upstream]) {
        each.on('error', () => each.destroy());
        each.on('close', () => {
          cable.connections.delete(each);
          (each === socket ? upstream : socket).destroy();
        });
      }
      if (!cable.dead) socket.pipe(upstream).pipe(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const cable: Cable = new Cable(server);
    return cable;
  }

  /** Nothing passes any more over the connections that there are; new ones work. */
  cut(): void {
    for (const each of this.connections) {
      each.unpipe();
      each.pause();
    }
  }

  close(): void {
    this.#server.close();
    for (const each of this.connections) each.destroy();
  }
}

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function clusterAt(port: number): Promise<Cluster> {
  const file = join(api.dir, `through-${port}.kubeconfig`);
  await writeFile(file, await api.kubeconfigFor(undefined, port));
  const cluster = Cluster.load(file);
  closing.push(() => cluster.close());
  return cluster;
}

function follow(cluster: Cluster): { names: () => string[]; failures: string[]; informer: Informer<TenantObject> } {
  const failures: string[] = [];
  const seen = new Set<string>();
  const informer = new Informer(new Objects<TenantObject>(cluster, TENANTS).listWatch(), {
    changed: (key, _object, gone) => void (gone ? seen.delete(key) : seen.add(key)),
    failed: (error) => failures.push(error),
  });
  informer.start();
  closing.push(() => informer.stop());
  return { names: () => [...seen].sort(), failures, informer };
}

const create = (name: string): Promise<unknown> => api.apply(tenantManifest(name) as Parameters<ApiServer['apply']>[0]);
const remove = (name: string): Promise<unknown> => api.must('DELETE', tenantPath(name));

describe('an informer', () => {
  test('survives an API server that goes and comes back with its history forgotten, and misses nothing', async () => {
    const { names, failures, informer } = follow(await clusterAt(api.port));
    await create('stays');
    await create('goes');
    await informer.synced();
    await until(() => names().join() === 'default/goes,default/stays', 'both');
    await api.down();
    await until(() => failures.length > 0, 'the failure to be told');
    await api.up();
    await remove('goes');
    await create('comes');
    await until(() => names().join() === 'default/comes,default/stays', 'what happened meanwhile');
    // Once more, with the watch's place in history compacted away: 410 Gone, and a new list.
    await api.down();
    await api.compact();
    await api.up();
    await remove('comes');
    await create('last');
    await until(() => names().join() === 'default/last,default/stays', 'what happened after the compaction');
    for (const name of ['stays', 'last']) await remove(name);
    await until(() => names().length === 0, 'both to go');
  });

  test('starts while there is no API server, and knows everything once there is one', async () => {
    await create('early');
    await api.down();
    const { names, informer } = follow(await clusterAt(api.port));
    let synced = false;
    void informer.synced().then(() => (synced = true));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(synced).toBe(false);
    await api.up();
    await informer.synced();
    expect(names()).toEqual(['default/early']);
    await remove('early');
  });

  test('notices a connection that has fallen silent without being closed', async () => {
    const cable = await Cable.to(api.port);
    closing.push(() => cable.close());
    const { names, informer } = follow(await clusterAt(cable.port));
    await informer.synced();
    cable.cut();
    await create('unheard');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(names()).toEqual([]);
    await until(() => names().length === 1, 'the event, over another connection');
    await remove('unheard');
  }, 90_000);
});

describe('the connection', () => {
  test('is used again for many requests', async () => {
    const cable = await Cable.to(api.port);
    closing.push(() => cable.close());
    const objects = new Objects<TenantObject>(await clusterAt(cable.port), TENANTS);
    for (let i = 0; i < 50; i++) expect(await objects.get('nobody', 'default')).toBeUndefined();
    expect(cable.opened).toBeLessThan(4); // client-node alone would have opened 50
  });

  test('gives up a request that nobody answers', async () => {
    const cable = await Cable.to(api.port);
    closing.push(() => cable.close());
    const objects = new Objects<TenantObject>(await clusterAt(cable.port), TENANTS);
    await objects.list();
    cable.dead = true;
    cable.cut();
    await expect(objects.list()).rejects.toThrow(/timeout/i);
  });
});

describe('a leader', () => {
  const quiet = { info: () => undefined, warn: () => undefined };

  test('that cannot renew stops before anyone else may take over, and leads again when it can', async () => {
    await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'election' } });
    const stop = new AbortController();
    closing.push(() => stop.abort());
    const cable = await Cable.to(api.port);
    closing.push(() => cable.close());
    const durationSeconds = 4;
    const history: { who: string; what: 'leads' | 'ends'; atMs: number }[] = [];
    const stand = async (who: string, cluster: Cluster): Promise<void> =>
      elect(
        new Objects<Lease>(cluster, LEASES),
        { leases: [{ namespace: 'election', name: 'test' }], identity: who, durationSeconds, log: quiet },
        stop.signal,
        async (term) => {
          if (!term.holds()) return; // the API server took longer than a term
          history.push({ who, what: 'leads', atMs: performance.now() });
          await new Promise((resolve) => term.signal.addEventListener('abort', resolve));
          expect(term.holds()).toBe(false);
          history.push({ who, what: 'ends', atMs: performance.now() });
        },
      );
    const first = stand('first', await clusterAt(cable.port));
    await until(() => history.length === 1, 'the first to lead');
    const second = stand('second', await clusterAt(api.port));
    // The first one's cable is pulled: new connections fail as well.
    cable.cut();
    cable.close();
    await until(() => history.length === 3, 'the second to take over');
    const [began, ended, taken] = history;
    expect([began, ended, taken].map((each) => `${each!.who} ${each!.what}`)).toEqual([
      'first leads',
      'first ends',
      'second leads',
    ]);
    expect(taken!.atMs - ended!.atMs).toBeGreaterThan(500);
    // The API server away for everybody: nobody leads; afterwards one does.
    await api.down();
    await until(() => history.length >= 4, 'the second to end');
    await api.up();
    // A server that is slow at first may cost a term that has just begun.
    await until(() => history.length >= 5, 'one to lead again');
    expect(history.slice(3, 5).map(({ what }) => what)).toEqual(['ends', 'leads']);
    stop.abort();
    await Promise.all([first, second]);
    // An orderly end leaves the lease free.
    const lease = await api.must<Lease>('GET', '/apis/coordination.k8s.io/v1/namespaces/election/leases/test');
    expect(lease.spec!.holderIdentity).toBe('');
  }, 90_000);
});

describe('Events', () => {
  test('that say the same are counted up, and a talkative object is held back', async () => {
    const events = new Objects<EventObject>(await clusterAt(api.port), EVENTS);
    const recorder = new EventRecorder(events, 'test');
    const about = {
      apiVersion: 'deeprt.dev/v1alpha1',
      kind: 'InferenceTenant',
      metadata: { name: 'talker', namespace: 'default', uid: 'u-1' },
    };
    const say = (note: string, nowMs: number): Promise<void> =>
      recorder.record(about, { type: 'Normal', reason: 'Said', action: 'Say', note }, nowMs);
    const now = Date.now();
    for (let i = 0; i < 3; i++) await say('the same', now + i);
    const list = async (): Promise<EventObject[]> =>
      (await events.list()).items.filter((event) => (event['regarding'] as { name: string }).name === 'talker');
    expect(await list()).toMatchObject([{ note: 'the same', series: { count: 3 } }]);
    for (let i = 0; i < 100; i++) await say(`something else ${i}`, now + 10);
    expect(await list()).toHaveLength(23); // 25 at once, two of which went into the series
    await say('much later', now + 3_600_000);
    expect((await list()).at(-1)).toMatchObject({ note: 'much later' });
  });
});
