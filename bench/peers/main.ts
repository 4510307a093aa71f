/**
 * `make bench-peers`: the same networks, cores, threads and cameras served by this project and by others, offered from a
 * quarter to four times what the device does in single frames, interleaved in one run. Prints tables, draws docs/peers.svg.
 * `make bench-peers ONLY="DeepRT Triton"` takes some of the systems, LOADS="100 200" some of the loads.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allowedCores, pinProcess } from '../../agent/device/cores.js';
import { table } from '../../cli/table.js';
import { draw } from '../plot.js';
import type { Cameras, Tally } from './cameras.js';
import { play } from './cameras.js';
import { networks } from './networks.js';
import { environment } from './environment.js';
import type { System, Tenant } from './systems.js';
import { bentoml, deeprt, litserve, triton } from './systems.js';

const repo = fileURLToPath(new URL('../../../', import.meta.url));
const LOADS = (process.env['LOADS'] ?? '25 50 75 100 150 200 300 400').split(' ').map(Number);
const CORES = allowedCores() ?? [];
const [WARM_UP_MS, FOR_MS] = [2000, 8000];
const CAMERA_FPS = 25;
/** Each tenant's network, how much of the device's time it asks for at 100 %, and its deadline. */
const TENANTS = [
  { tenant: 'signs', network: 'text-direction', share: 0.15, deadlineMs: 50 },
  { tenant: 'plates', network: 'text-reader', share: 0.35, deadlineMs: 100 },
  { tenant: 'halls', network: 'text-detector', share: 0.5, deadlineMs: 200 },
];

/** One system at one load. */
interface Cell {
  readonly system: string;
  readonly load: number;
  readonly tallies: ReadonlyMap<string, Tally>;
}

const sumOf = ({ tallies }: Cell, figure: (tally: Tally) => number): number =>
  [...tallies.values()].reduce((sum, tally) => sum + figure(tally), 0);
const perSecond = (cell: Cell, figure: (tally: Tally) => number): number => sumOf(cell, figure) / (FOR_MS / 1000);

function percentile(values: readonly number[], share: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? '' : sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(0);
}

async function measure(system: System, tenants: readonly Tenant[], load: number): Promise<Cell> {
  const dir = await mkdtemp(join(tmpdir(), 'deeprt-peers-'));
  try {
    const running = await system.start(tenants, dir);
    try {
      // Real cameras do not take turns with what a system runs its networks on.
      pinProcess(CORES.slice(0, 1));
      const plays = tenants.map((tenant) => ({ cameras: tenant.cameras, sender: running.senderOf(tenant) }));
      return { system: system.name, load, tallies: await play(running.url, plays, WARM_UP_MS, FOR_MS, load) };
    } finally {
      pinProcess(CORES);
      await running.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function report(cells: readonly Cell[], systems: readonly System[]): void {
  const goodput = LOADS.map((load) => {
    const row = systems.map(({ name }) => cells.find((cell) => cell.system === name && cell.load === load));
    const offered = row.find((cell) => cell !== undefined);
    return [
      `${load} %`,
      offered === undefined ? '' : perSecond(offered, ({ sent }) => sent).toFixed(0),
      ...row.map((cell) => (cell === undefined ? '' : perSecond(cell, ({ inTime }) => inTime).toFixed(0))),
    ];
  });
  const head = ['LOAD', 'OFFERED', ...systems.map(({ name }) => name.toUpperCase())];
  console.log(`\nframes in time a second\n${table(head, goodput)}`);
  const rows = cells.flatMap(({ system, load, tallies }) =>
    [...tallies].map(([tenant, { sent, inTime, late, refused, promisedLate, latenciesMs }]) => [
      `${load} %`,
      system,
      tenant,
      `${((100 * inTime) / sent).toFixed(1)} %`,
      String(late),
      String(refused),
      system === 'DeepRT' ? String(promisedLate) : '',
      percentile(latenciesMs, 0.5),
      percentile(latenciesMs, 0.99),
    ]),
  );
  const columns = ['LOAD', 'SYSTEM', 'TENANT', 'IN TIME', 'LATE', 'REFUSED', 'PROMISED LATE', 'P50 MS', 'P99 MS'];
  console.log(`\nby tenant\n${table(columns, rows)}`);
}

const env = environment();
const state = await mkdtemp(join(tmpdir(), 'deeprt-peers-state-'));
try {
  const all = [deeprt(state), triton(env, false), triton(env, true), bentoml(env), litserve(env)];
  const only = process.env['ONLY'];
  const systems = all.filter(({ name }) => only === undefined || only.split(',').includes(name));
  const known = await networks(TENANTS.map(({ network }) => network));
  const cameras = (load: number): Tenant[] =>
    TENANTS.map(({ tenant, network: name, share, deadlineMs }) => {
      const network = known.get(name)!;
      const fps = (load / 100) * share * (1e6 / network.singleUs);
      const streams = Math.max(1, Math.round(fps / CAMERA_FPS));
      const own = fps / streams;
      const played: Cameras = { tenant, streams, fps: own, deadlineMs, jitterMs: Math.min(5, 100 / own) };
      return { cameras: played, network };
    });
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}`;
  const singles = [...known.values()].map(({ name, singleUs }) => `${name} ${(singleUs / 1000).toFixed(2)} ms`);
  console.log(`${machine}; a single frame on one thread: ${singles.join(', ')}`);
  for (const { name, settings } of systems) console.log(`${name}: ${settings}`);
  const cells: Cell[] = [];
  for (const load of LOADS)
    for (const system of systems) {
      const cell = await measure(system, cameras(load), load);
      cells.push(cell);
      const offered = perSecond(cell, ({ sent }) => sent);
      console.log(
        `${load} % ${system.name}: ${perSecond(cell, ({ inTime }) => inTime).toFixed(0)} of ${offered.toFixed(0)} in time`,
      );
    }
  report(cells, systems);
  const fps = cells.map((cell) => ({
    load: cell.load,
    system: cell.system,
    fps: perSecond(cell, ({ inTime }) => inTime),
  }));
  await draw(join(repo, 'docs', 'peers.svg'), {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    width: 560,
    height: 280,
    data: { values: fps },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'load', type: 'quantitative', title: 'offered, % of what the device does in single frames' },
      y: { field: 'fps', type: 'quantitative', title: 'frames in time a second' },
      color: { field: 'system', type: 'nominal', title: '', sort: systems.map(({ name }) => name) },
    },
  });
} finally {
  await rm(state, { recursive: true, force: true });
}
