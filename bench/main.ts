/** `make bench`: measures what docs/performance.md states, in one run, and says which aims are met. */
import { table } from '../cli/table.js';
import { benchAgent } from './agent.js';
import { benchCluster } from './cluster.js';
import { benchIngest } from './ingest.js';
import { benchSched } from './sched.js';

const figures = [...benchSched(), ...(await benchAgent()), ...(await benchIngest()), ...(await benchCluster())];
const rows = figures.map(({ name, value, unit, aim, met }) => [
  name,
  `${value.toPrecision(3)} ${unit}`,
  aim ?? '',
  met === undefined ? '' : met ? 'met' : 'MISSED',
]);
console.log(`\n${table(['FIGURE', 'MEASURED', 'AIM', ''], rows)}`);
