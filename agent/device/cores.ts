import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { SessionSettings } from './providers/providers.js';

/** Which cores each device's thread has to itself, and which receive and decode frames. */
export interface Division {
  readonly devices: readonly (readonly number[])[];
  readonly ingest: readonly number[];
}

/** A list as Linux writes it, such as `0-2,5`. */
export const parseCores = (list: string): number[] =>
  list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number) as [number, number?];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });

/** The cores that this process may use: of the machine, of its cgroup's cpuset. Undefined where that cannot be told. */
export function allowedCores(): number[] | undefined {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return list === undefined ? undefined : parseCores(list);
  } catch {
    return undefined;
  }
}

/**
 * Cores of their own for each device's runs, from the last on; the rest for ingest. Undefined where that would leave
 * ingest none: then all share all.
 *
 * @param threads of each device
 */
export function divide(cores: readonly number[], threads: readonly number[]): Division | undefined {
  const left = [...cores];
  const devices = threads.map((count) => left.splice(Math.max(0, left.length - count)));
  return left.length === 0 || devices.some((own, i) => own.length < threads[i]!)
    ? undefined
    : { devices, ingest: left };
}

/** How this process's cores are divided between devices and ingest; undefined where all share all. */
export function divisionFor(devices: readonly SessionSettings[]): Division | undefined {
  const cores = allowedCores() ?? [];
  // A share of time on more cores than that many is no set of cores.
  if (cores.length > availableParallelism()) return undefined;
  return divide(
    cores,
    devices.map(({ provider, threads }) => (provider === 'cpu' ? threads : 1)),
  );
}

/** Gives devices cores of their own and keeps this process to the others, where the platform can and there are enough. */
export function apart<D extends SessionSettings>(
  devices: readonly D[],
): (D & { readonly cores?: readonly number[] })[] {
  const division = divisionFor(devices);
  if (division === undefined || !pinProcess(division.ingest)) return [...devices];
  return devices.map((device, i) => ({ ...device, cores: division.devices[i]! }));
}

/** Keeps this thread, and those that it starts from now on, to some cores. Returns whether the platform can. */
export function pinThread(cores: readonly number[]): boolean {
  return taskset('-pc', cores, readlinkSync('/proc/thread-self').split('/').at(-1)!);
}

/** Keeps all threads of a process, and whatever they start from now on, to some cores. Returns whether the platform can. */
export function pinProcess(cores: readonly number[], pid = process.pid): boolean {
  return taskset('-apc', cores, `${pid}`);
}

function taskset(flags: string, cores: readonly number[], id: string): boolean {
  try {
    execFileSync('taskset', [flags, cores.join(','), id], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
