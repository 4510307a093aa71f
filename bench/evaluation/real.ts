/**
 * `make evaluation-cpu`: the same rules and cameras as `make evaluation`, each run executed by ONNX Runtime on a core of this machine.
 * Writes docs/evaluation/cpu.md, its figures and its plot.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runtimeVersion } from '../../agent/device/providers/runtime.js';
import { rounded } from '../figure.js';
import { markdown } from '../markdown.js';
import { subjects } from '../plans/subjects.js';
import { measure } from './measure.js';
import { RealDevice } from './real-device.js';
import { plot, tablesOf } from './report.js';
import { RULES } from './rules.js';
import type { Cell } from './study.js';
import { cellOf } from './study.js';
import { drawn, framesOf, workloads } from './workload.js';

const FOLDER = fileURLToPath(new URL('../../../docs/evaluation/', import.meta.url));
/** Networks of which a frame takes a core some milliseconds. */
const NETWORKS = ['text-direction 3x48x96', 'text-direction 3x48x192', 'mobilenet-v2 3x96x96', 'resnet-50 3x96x96'];
const WORKLOADS = ['cam', 'cam30', 'mixed'];
const LOADS = [0.5, 1, 1.5] as const;
const SEEDS = [1, 2] as const;
const SECONDS = 6;

const files = workloads().filter(({ name }) => WORKLOADS.includes(name));
const folder = await mkdtemp(join(tmpdir(), 'deeprt-evaluation-'));
const known = await subjects(folder, []);
const models = NETWORKS.map((name) => {
  const found = known.find(({ network, shape }) => `${network} ${shape}` === name);
  if (found === undefined)
    throw new Error(
      `no network ${name}; there are ${known.map(({ network, shape }) => `${network} ${shape}`).join(', ')}`,
    );
  return found.model;
});
const device = await RealDevice.open(models);
try {
  const tables = device.tables();
  const cells: Cell[] = [];
  for (const file of files)
    for (const load of LOADS) {
      console.log(`${file.name} at ${load}`);
      const trials = SEEDS.map((seed) => {
        const set = drawn(file, tables, load, seed, SECONDS);
        return { set, frames: framesOf(set, seed) };
      });
      // Rules take turns, so that a slow minute of the machine is nobody's alone.
      const measured = trials.map(({ set, frames }) =>
        RULES.map(({ serve }) => measure(set, frames, serve(set, frames, device.execute), SECONDS * 1e6)),
      );
      for (const [i, { name }] of RULES.entries())
        cells.push(
          cellOf(
            file.name,
            NETWORKS.length,
            load,
            name,
            measured.map((all) => all[i]!),
            SECONDS,
          ),
        );
    }
  const machine = `one core of ${cpus()[0]?.model ?? 'a processor'}, ONNX Runtime ${runtimeVersion}`;
  await writeFile(join(FOLDER, 'cpu.json'), `${JSON.stringify({ machine, cells }, rounded, 1)}\n`);
  const subtitle = `runs on ${machine}; ${NETWORKS.length} networks, ${SEEDS.length} seeds`;
  await plot(join(FOLDER, 'goodput-cpu.svg'), 'goodput', 'Frames in time, by what is offered', subtitle, cells);
  const measured = markdown(
    ['network', 'E(1) ms', 'E(4) ms', 'E(16) ms'],
    tables.map((table, i) => [NETWORKS[i]!, ...[1, 4, 16].map((size) => (table.at(size) / 1000).toFixed(1))]),
  );
  const text = `<!-- written by make evaluation-cpu -->
# The rules compared, on a real device

The rules and cameras of [the comparison](baselines.md), each run executed by ONNX Runtime on ${machine}.
What a run takes is real; the time between runs is skipped, and frames come when their cameras say.
E(n) is measured before, p99 of 60 runs with the margin of 1.2 that profiles have:

${measured}

Runs that take longer than their E(n) make promised frames late; on a machine that others use, too, there are such.
Cameras are drawn until their frames, in batches of eight, would keep the core busy for the load named; ${SEEDS.length} seeds of ${SECONDS} seconds each.

![Frames in time by rule and offered load](goodput-cpu.svg)

${tablesOf(files, cells)}
`;
  await writeFile(join(FOLDER, 'cpu.md'), text);
  console.log('done; docs/evaluation/cpu.md');
} finally {
  await device.close();
  await rm(folder, { recursive: true, force: true });
}
