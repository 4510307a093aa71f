import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { DeviceService } from '../agent/serving/service.js';
import { readCatalogue } from '../cli/directory.js';
import { newLogger } from '../cli/log.js';
import { Standalone } from '../cli/standalone.js';
import { atRate, DEEPRT, EXAMPLES, FRAMES, modelManifests, tenantManifests } from '../hack/example-manifests.js';
import type { Figure } from './figure.js';

const LOAD_SECONDS = 20;
/** The demo scales the examples up by about this much on a machine with two cores. */
const RATE_FACTOR = 2.5;
const RESOLUTION_MS = 1;
const TURNS = 1000;

async function scaledExamples(work: string): Promise<string> {
  const dir = join(work, 'manifests');
  await mkdir(dir);
  const catalogue = await readCatalogue(EXAMPLES);
  const tenants = catalogue.tenants.map((tenant) => ({
    ...tenant,
    spec: atRate(tenant.spec, tenant.spec.framesPerSecond! * RATE_FACTOR),
  }));
  await writeFile(join(dir, 'all.yaml'), `${modelManifests(catalogue)}---\n${tenantManifests(tenants)}`);
  return dir;
}

/** p99 of what the device's thread spends on a run beside running it, with nothing else to do. */
async function turnP99Us(): Promise<number> {
  const service = await DeviceService.start({ provider: 'cpu', threads: 1 });
  const turns = createHistogram();
  for (let i = 0; i < TURNS; i++) turns.record(Math.max(1, await service.device.turnUs()));
  await service.stop();
  return turns.percentile(99);
}

/** The agent under the example tenants' load from a process of its own: how late the main thread is. */
export async function benchAgent(): Promise<Figure[]> {
  const turnUs = await turnP99Us();
  const stateDir = await mkdtemp(join(tmpdir(), 'deeprt-bench-'));
  const dir = await scaledExamples(stateDir);
  const standalone = await Standalone.start({
    dir,
    stateDir,
    devices: [{ provider: 'cpu', threads: 1 }],
    listen: { listen: { host: '127.0.0.1', port: 0 } },
    log: newLogger('text'),
  });
  try {
    const loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    loop.enable();
    const load = spawn(
      process.execPath,
      [DEEPRT, 'load', '-f', dir, '--target', standalone.url, '--duration', `${LOAD_SECONDS}s`, '--frames', FRAMES],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    await once(load, 'exit');
    loop.disable();
    // The monitor's timer itself is part of what it reports.
    const loopP99Ms = loop.percentile(99) / 1e6 - RESOLUTION_MS;
    return [
      {
        name: 'a turn of the device’s loop beside the run itself, p99',
        value: turnUs,
        unit: 'us',
        aim: '<= 500 us',
        met: turnUs <= 500,
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
