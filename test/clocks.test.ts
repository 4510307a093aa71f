import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { inferJson } from './support/cli.js';
import type { Process } from './support/cli.js';
import { GROUP, TestCluster } from './support/cluster.js';
import { skewedClock } from './support/skewed-clock.js';
import { echoNetwork } from './support/workspace.js';

/** Wall clocks of operators and agent that are wrong by an hour, and set by hours while they run: nothing comes of it. */

const HOUR_MS = 3_600_000;
/** Longer than an agent may be silent here. */
const WATCHED_MS = 24_000;

let cluster: TestCluster;
let operators: Process[];
const clocks: string[] = [];
const clock = async (offsetMs: number): Promise<string> => {
  const file = await cluster.file('clock', `${offsetMs}`);
  clocks.push(file);
  return skewedClock(file);
};
beforeAll(async () => {
  cluster = await TestCluster.start();
  const network = echoNetwork();
  await writeFile(join(cluster.api.dir, 'echo.onnx'), network);
  const sha256 = createHash('sha256').update(network).digest('hex');
  await cluster.model('echo', sha256, { source: 'file:echo.onnx' });
  await cluster.deploy();
  await cluster.node('edge-1');
  // Long enough for the machine to stand still once.
  const lease = ['--lease-duration', '10s'];
  operators = [
    await cluster.operatorWith(await clock(HOUR_MS), ...lease),
    await cluster.operatorWith(await clock(-HOUR_MS), ...lease),
  ];
}, 240_000);
afterAll(() => cluster.stop());

test('nothing is declared silent, lost or withdrawn, and one operator goes on leading', async () => {
  const agent = await cluster.agent('edge-1', { nodeOptions: await clock(-HOUR_MS) });
  await cluster.tenant('gate');
  await cluster.condition('gate', 'Ready', 'True', 'Serving', 90_000);
  const { status } = (await cluster.getTenant('gate'))!;
  const wrong: unknown[] = [];
  let turn = 0;
  for (const untilMs = performance.now() + WATCHED_MS; performance.now() < untilMs; turn++) {
    // Every clock is set by two hours, forth and back.
    if (turn % 12 === 0)
      for (const [i, file] of clocks.entries())
        await writeFile(file, `${(turn / 12 + i) % 2 === 0 ? HOUR_MS : -HOUR_MS}`);
    const now = (await cluster.getTenant('gate'))?.status;
    const gist = ({ conditions, placements }: NonNullable<typeof now>): unknown => [
      conditions?.map((each) => [each.type, each.status, each.lastTransitionTime]),
      placements?.map(({ node, ready }) => [node, ready]),
    ];
    if (JSON.stringify(gist(now!)) !== JSON.stringify(gist(status!))) wrong.push(now);
    const answer = await inferJson(agent.url, 'gate', {});
    if (answer.status !== 200) wrong.push(answer);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  expect(wrong).toEqual([]);
  const led = operators.map((operator) => operator.log().filter(({ msg }) => msg === 'leading').length);
  expect(led.sort()).toEqual([0, 1]);
  expect(operators.flatMap((operator) => operator.log().filter(({ level }) => level === 'error'))).toEqual([]);
  // A newcomer is decided as ever.
  await cluster.tenant('dock');
  await cluster.condition('dock', 'Ready', 'True', 'Serving', 30_000);
  const { items } = await cluster.api.must<{ items: object[] }>('GET', `${GROUP}/nodeschedules`);
  expect(items).toHaveLength(1);
}, 180_000);
