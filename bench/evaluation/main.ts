/**
 * `make evaluation`: the rules that DeepRT is compared with, on the workloads of bench/workloads, in virtual time on synthetic devices.
 * Writes tables and plots into docs/evaluation/. `make evaluation ONLY="cam drift"`: some workloads only.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rounded } from '../figure.js';
import { markdown } from '../markdown.js';
import { plot, tablesOf } from './report.js';
import { RULES } from './rules.js';
import type { Cell } from './study.js';
import { NETWORKS, falseRejects, mostCameras, study } from './study.js';
import { workloads } from './workload.js';

const FOLDER = fileURLToPath(new URL('../../../docs/evaluation/', import.meta.url));
/** What the tables and plots show; baselines.json has all. */
const SHOWN_NETWORKS = 4;
const SHOWN_LOADS: readonly number[] = [0.5, 1, 1.5, 2];
const DEVICE =
  'a synthetic GPU-like device, E(n) = a + b·n with a of 2–8 ms and b of 0.5–2 ms, runs of 60–85 % of that';

const only = process.argv.slice(2);
const files = workloads().filter(({ name }) => only.length === 0 || only.includes(name));

const started = performance.now();
const cells: Cell[] = [];
for (const file of files) {
  console.log(`${((performance.now() - started) / 1000).toFixed(0)}s: ${file.name}`);
  cells.push(...study(file));
}
const capacity = files.map((file) => {
  console.log(`${((performance.now() - started) / 1000).toFixed(0)}s: the most cameras of ${file.name}`);
  return { file, most: mostCameras(file, SHOWN_NETWORKS), rejects: falseRejects(file, SHOWN_NETWORKS) };
});
await mkdir(FOLDER, { recursive: true });
const columns = Object.keys(cells[0]!) as (keyof Cell)[];
const lines = cells.map((cell) =>
  JSON.stringify(
    columns.map((column) => cell[column]),
    rounded,
  ),
);
await writeFile(
  join(FOLDER, 'baselines.json'),
  `{"device":${JSON.stringify(DEVICE)},"columns":${JSON.stringify(columns)},"rows":[\n${lines.join(',\n')}\n]}\n`,
);
const plotted = cells.filter(({ networks }) => networks === SHOWN_NETWORKS);
const shown = plotted.filter(({ load }) => SHOWN_LOADS.includes(load));
const subtitle = `in virtual time on ${DEVICE}; ${SHOWN_NETWORKS} networks, three seeds`;
const missedTitle = 'Frames missed, of all, by what is offered (0.0001: none)';
await plot(join(FOLDER, 'goodput.svg'), 'goodput', 'Frames in time, by what is offered', subtitle, plotted);
await plot(join(FOLDER, 'missed.svg'), 'missed', missedTitle, subtitle, plotted);

const sources = markdown(
  ['rule', 'what it does, and where it comes from'],
  RULES.map(({ name, source }) => [name, source]),
);
const most = markdown(
  ['workload', ...RULES.map(({ name }) => name)],
  capacity.map(({ file, most: by }) => [file.name, ...RULES.map(({ name }) => by.get(name)!.toFixed(0))]),
);
const rejects = markdown(
  ['workload', 'refused', 'of them servable'],
  capacity.map(({ file, rejects: { refused, wrongly } }) => [file.name, refused, wrongly]),
);
const goodputOf = (workload: string, load: number, rule: string): number =>
  cells.find(
    (cell) =>
      cell.workload === workload && cell.load === load && cell.rule === rule && cell.networks === SHOWN_NETWORKS,
  )!.goodput;
const comparison = files.map(({ name }) => [
  name,
  ...['Clockwork-like', 'BATCH-Delay'].flatMap((other) =>
    SHOWN_LOADS.map((load) => (goodputOf(name, load, 'ours') / goodputOf(name, load, other)).toFixed(2)),
  ),
]);
const broken = cells.filter(({ rule, promisedMissed }) => rule === 'ours' && promisedMissed > 0);
const text = `<!-- written by make evaluation -->
# The rules compared

Each rule serves the same frames of the same cameras, in virtual time on ${DEVICE}.
The device is synthetic: no figure here is of a machine.
Cameras are drawn until their frames, in batches of eight, would keep the device busy for the load named; ${NETWORKS.join(', ')} networks, three seeds of ten seconds each.
The tables show ${SHOWN_NETWORKS} networks; [baselines.json](baselines.json) has all of it.

${sources}

Nexus-like, Clockwork-like and Symphony-like are the batching rules of these systems on one device, written from their papers, without what they do across devices.
Every rule but SEDF, BATCH, BATCH-Delay and AIMD gives up frames that cannot be in time any more.
DeepRT (paper) and "ours, no spare" answer only the frames of cameras that they admit; the others' count as missed.

![Frames in time by rule and offered load](goodput.svg)

![Frames missed by rule and offered load](missed.svg)

## Promised frames

Of all promised frames of ours, in ${cells.filter(({ rule }) => rule === 'ours').length} cells, those of ${broken.length} cells missed any.
A frame that comes earlier than its camera declared is no promised one, and the others lose nothing by it.

## Where ours is ahead, and where behind

Frames in time, as parts of what Clockwork-like and BATCH-Delay have in time at the same load:

${markdown(['workload', ...SHOWN_LOADS.map((load) => `${load}: of Clockwork-like`), ...SHOWN_LOADS.map((load) => `${load}: of BATCH-Delay`)], comparison)}

Clockwork-like promises nothing and so keeps no time free: which camera misses is a matter of its deadline, and at load 2 there are cameras of which it misses most frames.
Ours turns to each promised category as often as its deadlines need in the worst case, also where the frames that it is kept for do not come together, and what is left between visits takes smaller batches; the more categories, the more that costs.
BATCH-Delay knows no deadlines: beyond what the device can do it answers all frames late.

## The most cameras at one miss in a hundred

${most}

## Refused, though some rule would have served it

Of the cameras that ours refuses at load 1, those that some rule without promises served in three trials without a single miss, beside all that were admitted.
That is no proof that they could be promised: a promise holds for every phase and jitter, a trial shows three.

${rejects}

## By workload

${tablesOf(files, shown)}
`;
await writeFile(join(FOLDER, 'baselines.md'), text);
console.log(`${((performance.now() - started) / 1000).toFixed(0)}s: done; docs/evaluation/baselines.md`);
