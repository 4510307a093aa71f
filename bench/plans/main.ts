/**
 * `make plans`: how latency and throughput of networks respond to execution plans (the paper's study): one frame after the other,
 * several callers at once, or batches. Measured on every provider that works here, written into docs/evaluation/.
 * `make plans ONLY="cpu resnet-50"`: some providers and networks only, told and not written.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hardwareOf } from '../../agent/device/machine.js';
import { probe } from '../../agent/device/providers/probe.js';
import { PROVIDERS } from '../../agent/device/providers/providers.js';
import { CORES, measurePlans } from './measure.js';
import type { Measured, Study } from './report.js';
import { drawStudy, json, report, verdict } from './report.js';
import type { Subject } from './subjects.js';
import { subjects } from './subjects.js';

const FOLDER = fileURLToPath(new URL('../../../docs/evaluation/', import.meta.url));

const only = process.argv.slice(2);
const providers = PROVIDERS.filter((provider) => only.includes(provider));
const networks = only.filter((word) => !(providers as string[]).includes(word));

async function studied(all: readonly Subject[], provider: (typeof PROVIDERS)[number]): Promise<Study> {
  const { name } = await hardwareOf({ provider, threads: CORES });
  const measured: Measured[] = [];
  for (const { network, shape, model } of all) {
    const one = { network, shape, points: await measurePlans(model, provider) };
    measured.push(one);
    console.log(`${(performance.now() / 1000).toFixed(0)}s: ${provider}, ${network} ${shape}: ${verdict(one).text}`);
  }
  return { provider, device: name, measured };
}

const work = await mkdtemp(join(tmpdir(), 'deeprt-plans-'));
try {
  const studies: Study[] = [];
  const all = await subjects(work, networks);
  for (const provider of providers.length > 0 ? providers : PROVIDERS)
    if ((await probe({ provider, threads: CORES })).failure === undefined) studies.push(await studied(all, provider));
  if (only.length === 0) {
    await mkdir(FOLDER, { recursive: true });
    for (const study of studies) await drawStudy(join(FOLDER, `plans-${study.provider}.svg`), study);
    await writeFile(join(FOLDER, 'plans.md'), report(studies));
    await writeFile(join(FOLDER, 'plans.json'), json(studies));
  }
} finally {
  await rm(work, { recursive: true, force: true });
}
