import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { seededRandom } from '../sched/arrivals.js';
import { Cameras } from './support/cameras.js';
import type { Running } from './support/cli.js';
import { inferJson, standalone } from './support/cli.js';
import type { Workspace } from './support/workspace.js';
import { echoNetwork, newWorkspace, tenantManifest } from './support/workspace.js';

/** `kill -9` of the agent at random instants, under load, while its manifests change. */

/** KILLS=50 makes minutes of it. */
const KILLS = Number(process.env['KILLS'] ?? 4);
const PROMISED = ['p', 'q', 'r'];
const PERIOD_MS = 50;
const ELEMENTS = 192;

let workspace: Workspace;
let running: Running | undefined;
const cameras = new Cameras();

beforeEach(async () => {
  workspace = await newWorkspace();
});
afterEach(() => cameras.stop());
afterEach(async () => {
  await running?.kill('SIGKILL');
  await workspace.dispose();
});

/** What the tenants were told last in this life. */
function verdicts(): Map<string, { admitted: boolean; message: string }> {
  const lines = running!.log() as { tenant?: string; admitted?: boolean; message?: string }[];
  return new Map(
    lines.flatMap(({ tenant, admitted, message = '' }) =>
      tenant === undefined || admitted === undefined ? [] : [[tenant.replace('default/', ''), { admitted, message }]],
    ),
  );
}

test('nothing that was promised is lost, and no answer is another frame’s', async () => {
  const random = seededRandom(17);
  const terms = { framesPerSecond: 1000 / PERIOD_MS, jitter: '40ms', deadline: '500ms' };
  await workspace.write('model.yaml', await workspace.model('echo', echoNetwork()));
  for (const name of PROMISED) await workspace.write(`${name}.yaml`, tenantManifest(name, terms));
  running = await standalone(workspace);

  let frames = 0;
  const answered = new Map<number | string, number>();
  const wrong: object[] = [];
  const count = (what: number | string): void => void answered.set(what, (answered.get(what) ?? 0) + 1);
  const send = async (tenant: string): Promise<void> => {
    const number = ++frames;
    try {
      const response = await inferJson(running!.url, tenant, { data: Array(ELEMENTS).fill(number) });
      const { outputs } = (await response.json()) as { outputs?: { data: number[] }[] };
      count(response.status);
      if (response.status === 200 && outputs?.[0]?.data.every((value) => value === number) !== true)
        wrong.push({ tenant, number, outputs });
    } catch {
      count('nobody there');
    }
  };
  for (const tenant of PROMISED) cameras.add(() => send(tenant), PERIOD_MS);

  /** Come and go beside the others; more than fit in all, and first in the order of files. */
  let others: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const next = `a${kill}`;
    await workspace.write(`${next}.yaml`, tenantManifest(next, { ...terms, streams: 5 + Math.floor(60 * random()) }));
    others.push(next);
    const gone = others.filter(() => random() < 0.2);
    for (const name of gone) await rm(join(workspace.dir, `${name}.yaml`));
    others = others.filter((name) => !gone.includes(name));
    await setTimeout(1000 * random());
    const told = [...verdicts()].flatMap(([name, { admitted }]) => (admitted && !gone.includes(name) ? [name] : []));
    await running.kill('SIGKILL');
    running = await standalone(workspace);
    const now = verdicts();
    for (const name of [...PROMISED, ...told]) {
      const { admitted, message } = now.get(name)!;
      // The machine may have become slower meanwhile, which costs the last who came.
      const slower = !PROMISED.includes(name) && message.includes('profile has changed');
      expect([name, admitted || slower, message]).toEqual([name, true, message]);
    }
    for (const name of PROMISED) expect((await inferJson(running.url, name, {})).status).toBe(200);
  }
  await setTimeout(500);
  await cameras.stop();
  expect(wrong).toEqual([]);
  expect([...answered.keys()].filter((what) => ![200, 429, 503, 'nobody there'].includes(what))).toEqual([]);
  expect(answered.get(200)).toBeGreaterThan(KILLS * PROMISED.length);
}, 600_000);
