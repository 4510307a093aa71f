import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { seededRandom } from '../sched/arrivals.js';
import { until } from './support/api-server.js';
import type { Process } from './support/cli.js';
import type { Tenant } from './support/cluster.js';
import { GROUP, TestCluster, tenantPath } from './support/cluster.js';

/** A crash at any instant loses nothing that was promised, and promises nothing twice. */

const TENANTS = 200;
const NODES = 8;
/** KILLS=50 makes a day of it. */
const KILLS = Number(process.env['KILLS'] ?? 8);
const LONGEST_LIFE_MS = 500;

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start();
  await cluster.model();
  for (let i = 0; i < NODES; i++) {
    await cluster.node(`edge-${i}`);
    await cluster.profile(`edge-${i}`, { slow: 1 + i / 4 });
  }
});
afterEach(() => cluster.stop());

const tenants = async (): Promise<Tenant[]> =>
  (await cluster.api.must<{ items: Tenant[] }>('GET', `${GROUP}/inferencetenants`)).items;
const admitted = (tenant: Tenant): boolean =>
  tenant.status?.conditions?.find(({ type }) => type === 'Admitted')?.status === 'True';
/** Whether it has what it was told, or more. */
const keeps = (tenant: Tenant): boolean =>
  admitted(tenant) || tenant.status?.conditions?.some(({ type }) => type === 'PreviousPromise') === true;
const decided = (tenant: Tenant): boolean =>
  tenant.status?.conditions?.some(({ type }) => type === 'Admitted') === true &&
  tenant.status.observedGeneration === tenant.metadata.generation;

/**
 * Applies a part of the tenants, more than fit in all, at the start of each life of an operator, some of them changed at
 * once; `disturb` does its worst while they are decided. Where somebody is promised something is written twice, in the
 * node's record and in the tenant's status: one of both is spoiled each time, perhaps just before the operator is killed.
 */
async function admitUnder(
  disturb: (life: (share: number) => Promise<void>) => Promise<void>,
  spoiled: 'records' | 'statuses',
  seed: number,
): Promise<void> {
  const random = seededRandom(seed);
  const told = new Set<string>();
  let applied = 0;
  await disturb(async (share) => {
    const batch = Array.from({ length: TENANTS / KILLS }, () => `t${applied++}`);
    const applying = batch.map(async (name) => {
      const streams = 1 + Math.floor(random() * 8);
      const spec = {
        streams,
        framesPerSecond: 10 + 10 * Math.floor(random() * 3),
        deadline: `${100 + 50 * Math.floor(random() * 5)}ms`,
        placement: { allowSplit: random() < 0.2, strategy: random() < 0.5 ? 'Spread' : 'Pack' },
      };
      const changes = random() < 0.2;
      await cluster.tenant(name, spec);
      if (changes) await cluster.tenant(name, { ...spec, streams: streams + 1 });
    });
    await new Promise((resolve) => setTimeout(resolve, share * LONGEST_LIFE_MS));
    for (const tenant of await tenants()) if (admitted(tenant)) told.add(tenant.metadata.name);
    const [victim] = [...told].slice(Math.floor(random() * told.size));
    if (spoiled === 'records')
      await cluster.api.request('DELETE', `${GROUP}/nodeschedules/edge-${Math.floor(random() * NODES)}`);
    else if (victim !== undefined) await cluster.api.request('PATCH', `${tenantPath(victim)}/status`, { status: null });
    await Promise.all(applying);
  });
  await until(async () => (await tenants()).every(decided), `all ${TENANTS} to be decided`);
  const all = await tenants();
  expect(all).toHaveLength(TENANTS);
  expect(told.size).toBeGreaterThan(0);
  expect(all.filter(admitted).length).toBeLessThan(TENANTS);
  // Nobody of higher priority came, no profile changed, no node went: who was told yes keeps it.
  const lost = all.filter((tenant) => told.has(tenant.metadata.name) && !keeps(tenant));
  expect(lost.map(({ spec, status }) => ({ spec, status }))).toEqual([]);
  await until(async () => (await cluster.brokenPromises()).length === 0, 'all promises to hold', undefined, 5000).catch(
    () => undefined,
  );
  expect(await cluster.brokenPromises()).toEqual([]);
}

describe('the operator is killed at random instants during 200 admissions', () => {
  test('alone, and started again each time', async () => {
    const random = seededRandom(7);
    let operator = await cluster.operator('--lease-duration', '2s');
    await admitUnder(
      async (life) => {
        for (let i = 0; i < KILLS; i++) {
          await operator.logged(({ msg }) => msg === 'leading');
          await life(random());
          await operator.kill('SIGKILL');
          operator = await cluster.operator('--lease-duration', '2s');
        }
      },
      'records',
      1,
    );
  });

  test('as the leader of two, each time replaced by a new one', async () => {
    const random = seededRandom(8);
    const operators = [
      await cluster.operator('--lease-duration', '2s'),
      await cluster.operator('--lease-duration', '2s'),
    ];
    const leads = (process: Process): boolean => {
      const lines = process.log().filter(({ msg }) => msg === 'leading' || msg === 'not leading any more');
      return lines.at(-1)?.msg === 'leading';
    };
    await admitUnder(
      async (life) => {
        for (let i = 0; i < KILLS; i++) {
          await until(() => operators.filter(leads).length === 1, 'one to lead, and only one');
          const leader = operators.findIndex(leads);
          await life(random());
          await operators[leader]!.kill('SIGKILL');
          operators[leader] = await cluster.operator('--lease-duration', '2s');
        }
      },
      'statuses',
      2,
    );
  });
});

test('a leader that is stopped in mid-flight and wakes up later writes nothing any more', async () => {
  const sleeper = await cluster.operator('--lease-duration', '2s');
  await sleeper.logged(({ msg }) => msg === 'leading');
  await cluster.tenant('before');
  await cluster.admitted('before');
  process.kill(sleeper.pid, 'SIGSTOP');
  const next = await cluster.operator('--lease-duration', '2s');
  await next.logged(({ msg }) => msg === 'leading');
  for (let i = 0; i < 20; i++) await cluster.tenant(`t${i}`, { streams: 8, framesPerSecond: 30 });
  process.kill(sleeper.pid, 'SIGCONT');
  await sleeper.logged(({ msg }) => msg === 'not leading any more');
  await until(async () => (await tenants()).every(decided), 'all to be decided');
  expect(await cluster.brokenPromises()).toEqual([]);
  // Both wrote records; not one was decided twice on the same state.
  expect(sleeper.log().filter(({ msg }) => msg === 'tenant admitted')).toHaveLength(1);
});
