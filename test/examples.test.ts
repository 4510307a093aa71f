import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RunningAgent } from './support/cluster.js';
import { TestCluster } from './support/cluster.js';

/** What the README's cluster part does: the examples, real networks, one agent, kubectl. */

const EXAMPLES = new URL('../../examples/', import.meta.url).pathname;
const ADMITTED = ['archive', 'entrance-north', 'entrance-south', 'parking', 'plates', 'signs'];
const LONGEST_PROFILING_MS = 240_000;

let cluster: TestCluster;
let agent: RunningAgent;
beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.deploy();
  await cluster.node('edge-1');
  await cluster.operator();
  agent = await cluster.agent('edge-1', { modelDir: EXAMPLES });
}, 600_000);
afterAll(() => cluster.stop());

test(
  'kubectl apply -f examples/: tenants become Admitted, Programmed, Ready and are answered in time; one is refused, with reasons',
  async () => {
    expect(cluster.api.kubectl('apply', '-f', EXAMPLES).code).toBe(0);
    // The device is measured first, one network after another.
    for (const name of ADMITTED) await cluster.condition(name, 'Admitted', 'True', undefined, LONGEST_PROFILING_MS);
    for (const name of ADMITTED)
      for (const type of ['Programmed', 'Ready'] as const) await cluster.condition(name, type, 'True');
    const { message } = await cluster.condition(
      'crowd-count',
      'Admitted',
      'False',
      'UtilizationExceeded',
      LONGEST_PROFILING_MS,
    );
    expect(message).toMatch(/^edge-1: utilization would be \d+\.\d+, most of it for text-detector@3x320x320; /);
    const { output } = cluster.api.kubectl('describe', 'itn', 'crowd-count');
    expect(output).toContain(message);
    // How much room the others leave is this machine's affair.
    expect(message).toMatch(
      /would fit now: |no lower rate, longer deadline or smaller number of streams that was tried fits now/,
    );
    expect(/Offer:\s+(Deadline|Frames Per Second|Streams):/.test(output)).toBe(message.includes('would fit now: '));
    expect(output).toMatch(/Warning\s+UtilizationExceeded\s+.*deeprt-operator\s+edge-1: utilization would be/);
    const table = cluster.api.kubectl('get', 'itn').output;
    expect(table).toMatch(
      /entrance-north\s+text-detector\s+3\s+3\s+400ms\s+True\s+Admitted\s+3x3fps\/400ms\s+True\s+edge-1\s+0\.\d{3}\s+0/,
    );
    expect(table).toMatch(/crowd-count\s+text-detector\s+16\s+30\s+300ms\s+False/);

    for (const [tenant, frame] of [
      ['entrance-north', 'entrance-1.jpg'],
      ['parking', 'parking-1.jpg'],
      ['signs', 'signs-1.jpg'],
      ['plates', 'plates-1.jpg'],
    ] as const) {
      const body = await readFile(`${EXAMPLES}frames/${frame}`);
      for (let i = 0; i < 5; i++) {
        const response = await fetch(`${agent.url}/v2/models/default.${tenant}/infer`, {
          method: 'POST',
          headers: { 'content-type': 'image/jpeg' },
          body,
        });
        const answer = (await response.json()) as { parameters: { deadline_met: boolean }; outputs: object[] };
        expect([tenant, response.status, answer.parameters?.deadline_met]).toEqual([tenant, 200, true]);
        expect(answer.outputs.length).toBeGreaterThan(0);
        await new Promise((resolve) => setTimeout(resolve, 600));
      }
    }
    expect(await cluster.brokenPromises()).toEqual([]);
  },
  LONGEST_PROFILING_MS + 120_000,
);
