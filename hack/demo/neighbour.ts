import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { ResourceOf } from '../../api/manifests.js';
import type { StandaloneReport } from '../../cli/report.js';
import { table } from '../../cli/table.js';
import { children, play, serve, stopped } from './processes.js';

/** A neighbour on the same machine: when it comes, how long it stays, and how soon tenants must be back in time. */
export const HOG = { fromSecond: 4, seconds: 6, recoverySeconds: 2, afterSeconds: 4 };

export interface Episode {
  readonly adaptation: boolean;
  readonly sent: number;
  /** Of all promised tenants. */
  readonly missesBySecond: readonly number[];
  readonly overruns: number;
  readonly degraded: number;
}

/** Plays the cameras while processes that compute nothing of use take half of the cores for a while. */
export async function disturbed(
  work: string,
  profile: ResourceOf<'GPUProfile'>,
  adaptation: boolean,
): Promise<Episode> {
  const { server, url } = await serve(work, profile, adaptation ? [] : ['--no-adaptation']);
  const seconds = HOG.fromSecond + HOG.seconds + HOG.recoverySeconds + HOG.afterSeconds;
  const spin = `const until = Date.now() + ${HOG.seconds * 1000}; while (Date.now() < until);`;
  const timer = setTimeout(() => {
    for (let i = 0; i < Math.max(1, Math.floor(availableParallelism() / 2)); i++)
      children.push(spawn(process.execPath, ['-e', spin], { stdio: 'ignore' }));
  }, HOG.fromSecond * 1000);
  const loaded = await play(work, url, seconds);
  clearTimeout(timer);
  await stopped(server.child);
  const {
    devices: [device],
    tenants,
  } = JSON.parse(server.output()) as StandaloneReport;
  const admitted = new Set(tenants.filter((tenant) => tenant.admitted).map(({ name }) => name));
  const promised = loaded.filter(({ name, deadlineMs }) => admitted.has(name) && deadlineMs !== null);
  return {
    adaptation,
    sent: promised.reduce((sum, tenant) => sum + tenant.sent, 0),
    missesBySecond: Array.from({ length: seconds }, (_, i) =>
      promised.reduce((sum, { missesBySecond }) => sum + (missesBySecond[i] ?? 0), 0),
    ),
    overruns: device!.overruns,
    degraded: tenants.reduce((sum, tenant) => sum + tenant.degraded, 0),
  };
}

export function episodeTable(episodes: readonly Episode[]): string {
  const { fromSecond, seconds, recoverySeconds } = HOG;
  const parts = [0, fromSecond, fromSecond + seconds, fromSecond + seconds + recoverySeconds, Infinity];
  const head = [
    'ADAPTATION',
    'SENT',
    'MISSES BEFORE',
    'DURING',
    `${recoverySeconds}s AFTER`,
    'LATER',
    'OVERRUNS',
    'DEGRADED',
  ];
  const rows = episodes.map(({ adaptation, sent, missesBySecond, overruns, degraded }) => [
    adaptation ? 'with' : 'without',
    String(sent),
    ...parts.slice(1).map((to, i) => String(missesBySecond.slice(parts[i], to).reduce((a, b) => a + b, 0))),
    String(overruns),
    String(degraded),
  ]);
  return table(head, rows);
}
