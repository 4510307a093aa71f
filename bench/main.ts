/**
 * `make bench`: measures what docs/performance.md states, in one run, and says which aims are met.
 * `make bench ONLY="sched cluster"` measures some of it.
 */
import { table } from '../cli/table.js';
import { benchAdaptation } from './adaptation.js';
import { benchAgent } from './agent.js';
import { benchCapacity } from './capacity.js';
import { benchCluster } from './cluster.js';
import type { Figure } from './figure.js';
import { benchFleet } from './fleet.js';
import { benchGoodput } from './goodput.js';
import { benchIngest } from './ingest.js';
import { benchJudge } from './judge.js';
import { benchSched } from './sched.js';
import { benchScale } from './scale.js';
import { benchSession } from './session.js';
import { benchSoft } from './soft.js';
import { benchStages } from './stages.js';
import { benchUi } from './ui.js';

const benches: Readonly<Record<string, () => Figure[] | Promise<Figure[]>>> = {
  sched: benchSched,
  capacity: benchCapacity,
  goodput: benchGoodput,
  soft: benchSoft,
  judge: benchJudge,
  adaptation: benchAdaptation,
  agent: benchAgent,
  session: benchSession,
  stages: benchStages,
  ingest: benchIngest,
  cluster: benchCluster,
  scale: benchScale,
  fleet: benchFleet,
  ui: benchUi,
};
const only = process.argv.slice(2);
const unknown = only.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`there is no bench "${unknown.join(', ')}"; there are ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}
const figures: Figure[] = [];
for (const [name, bench] of Object.entries(benches))
  if (only.length === 0 || only.includes(name)) figures.push(...(await bench()));
const rows = figures.map(({ name, value, unit, aim, met }) => [
  name,
  `${value.toPrecision(3)} ${unit}`,
  aim ?? '',
  met === undefined ? '' : met ? 'met' : 'MISSED',
]);
console.log(`\n${table(['FIGURE', 'MEASURED', 'AIM', ''], rows)}`);
