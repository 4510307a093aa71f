import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { readCatalogue } from '../cli/directory.js';
import { Agent } from '../agent/agent.js';
import { newLogger } from '../cli/log.js';
import { Standalone } from '../cli/standalone.js';
import { DEEPRT, EXAMPLES, FRAMES, modelManifests, tenantManifests } from '../hack/example-manifests.js';
import type { Figure } from './figure.js';

const LOAD_SECONDS = 20;
/** The demo scales the examples up by about this much on a machine with two cores. */
const RATE_FACTOR = 2.5;
const RESOLUTION_MS = 1;
const WAKE_UPS = 1000;

async function scaledExamples(work: string): Promise<string> {
  const dir = join(work, 'manifests');
  await mkdir(dir);
  const catalogue = await readCatalogue(EXAMPLES);
  const tenants = catalogue.tenants.map((tenant) => ({
    ...tenant,
    spec: { ...tenant.spec, framesPerSecond: tenant.spec.framesPerSecond! * RATE_FACTOR },
  }));
  await writeFile(join(dir, 'all.yaml'), `${modelManifests(catalogue)}---\n${tenantManifests(tenants)}`);
  return dir;
}

/** p99 of how late the device's thread wakes for an instant, with nothing else to do. */
async function idleLatenessUs(): Promise<number> {
  const agent = await Agent.start({ provider: 'cpu', threads: 1 });
  const lateness = createHistogram();
  for (let i = 0; i < WAKE_UPS; i++)
    lateness.record(Math.max(1, await agent.device.wakeLateness(2000 + (i % 10) * 700)));
  await agent.stop();
  return lateness.percentile(99);
}

/** The agent under the example tenants' load from a process of its own: how late jobs start, how late the main thread is. */
export async function benchAgent(): Promise<Figure[]> {
  const idleP99Us = await idleLatenessUs();
  const stateDir = await mkdtemp(join(tmpdir(), 'deeprt-bench-'));
  const dir = await scaledExamples(stateDir);
  const standalone = await Standalone.start({
    dir,
    stateDir,
    devices: [{ provider: 'cpu', threads: 1 }],
    host: '127.0.0.1',
    port: 0,
    log: newLogger('text'),
  });
  try {
    const { lateness } = standalone.devices.metrics;
    const loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    lateness.reset();
    loop.enable();
    const load = spawn(
      process.execPath,
      [DEEPRT, 'load', '-f', dir, '--target', standalone.url, '--duration', `${LOAD_SECONDS}s`, '--frames', FRAMES],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    await once(load, 'exit');
    loop.disable();
    const buckets = (await lateness.get()).values.filter(
      ({ metricName }) => metricName === 'deeprt_dispatch_lateness_seconds_bucket',
    );
    const upTo = (le: number | string): number =>
      buckets.find(({ labels }) => (labels as { le?: number | string }).le === le)?.value ?? 0;
    const share = upTo(0.0005) / upTo('+Inf');
    // The monitor's timer itself is part of what it reports.
    const loopP99Ms = loop.percentile(99) / 1e6 - RESOLUTION_MS;
    return [
      {
        name: 'lateness of the dispatcher, machine otherwise idle, p99',
        value: idleP99Us,
        unit: 'us',
        aim: '<= 500 us',
        met: idleP99Us <= 500,
      },
      {
        name: `jobs started within 0.5 ms of plan, cameras on the same cores (${upTo('+Inf')} jobs)`,
        value: share * 100,
        unit: '%',
        aim: '>= 99 %',
        met: share >= 0.99,
      },
      {
        name: 'event-loop delay of the main thread, p99',
        value: loopP99Ms,
        unit: 'ms',
        aim: '<= 5 ms',
        met: loopP99Ms <= 5,
      },
    ];
  } finally {
    await standalone.stop();
    await rm(stateDir, { recursive: true, force: true });
  }
}
