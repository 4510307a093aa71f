import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { isCuda, nvidiaGpus } from '../agent/device/machine.js';
import type { DeviceOptions } from '../agent/device/messages.js';
import { chooseProvider, probe } from '../agent/device/providers/probe.js';
import type { Provider } from '../agent/device/providers/providers.js';
import { PROVIDERS } from '../agent/device/providers/providers.js';
import { parseDurationUs } from '../api/duration.js';
import type { Fault } from '../sched/faults.js';
import type { Promised } from '../sched/promise.js';
import { BadInput } from './directory.js';

/** Options and arguments that several commands share. */

export interface Address {
  readonly host: string;
  readonly port: number;
}

export function durationArgument(text: string): number {
  try {
    const us = parseDurationUs(text);
    if (us === 0) throw new RangeError('a duration must be longer than zero');
    return us;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** An option whose default `--help` shows as people write it. */
export const durationOption = (flags: string, description: string, standard: string): Option =>
  new Option(flags, description).argParser(durationArgument).default(durationArgument(standard), standard);

/** The same of an address with a port. */
export const listenOption = (flags: string, description: string, standard: string): Option =>
  new Option(flags, description).argParser(listenArgument).default(listenArgument(standard), standard);

export function listenArgument(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new InvalidArgumentError('give an address and a port, such as 127.0.0.1:8080');
  return { host: (match[1] ?? match[2])!, port };
}

export function seedArgument(text: string): number {
  const seed = Number(text);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new InvalidArgumentError('a seed is a non-negative integer');
  return seed;
}

const FAULT_FIELDS: Readonly<Record<Fault['kind'], readonly string[]>> = {
  overrun: ['from', 'for', 'factor', 'category'],
  drift: ['from', 'factor', 'category'],
  hang: ['from', 'for', 'category'],
};

/** A fault such as `overrun:factor=2,from=5s,for=2s,category=text-detector@3x160x160`; collects repeats. */
export function faultArgument(text: string, before: readonly Fault[] = []): Fault[] {
  const [kind, fields = ''] = text.split(':', 2) as [Fault['kind'], string?];
  const known = FAULT_FIELDS[kind];
  if (known === undefined) throw new InvalidArgumentError(`a fault is ${Object.keys(FAULT_FIELDS).join(', ')}`);
  const pairs = fields.split(',').filter((field) => field !== '');
  const values = new Map(pairs.map((pair): [string, string] => [pair.split('=')[0]!, pair.split('=')[1] ?? '']));
  for (const name of values.keys())
    if (!known.includes(name)) throw new InvalidArgumentError(`${kind} knows ${known.join(', ')}, not "${name}"`);
  const time = (name: string, otherwise: string): number => parseDurationUs(values.get(name) ?? otherwise);
  const factor = Number(values.get('factor') ?? 2);
  if (!(factor > 0 && factor <= 1000)) throw new InvalidArgumentError('factor must be above 0 and at most 1000');
  const category = values.get('category');
  try {
    const times = { fromUs: time('from', '0s'), forUs: time('for', kind === 'hang' ? '500ms' : '2s') };
    return [...before, { kind, factor, ...times, ...(category === undefined ? {} : { category }) }];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** Of a CPU node's cores, the part that receives and decodes frames. */
const INGEST_SHARE = 0.25;

/** What the options about devices say. */
export interface DeviceFlags {
  readonly provider: Provider | 'auto';
  readonly threads?: number;
  readonly devices?: readonly number[];
  readonly cpuDevices?: number;
  readonly deviceMemory?: number;
  readonly promise?: 'firm' | 'soft';
}

/** Devices and threads of each on a CPU node. Several devices of one thread carry more than one of several: a run rarely uses all of them throughout. */
export function cpuDivision(cores: number, asked: DeviceFlags): { cpuDevices: number; threads: number } {
  const most = Math.max(1, cores - Math.ceil(cores * INGEST_SHARE));
  const cpuDevices = asked.cpuDevices ?? Math.max(1, Math.floor(most / (asked.threads ?? 1)));
  return { cpuDevices, threads: asked.threads ?? Math.max(1, Math.floor(most / cpuDevices)) };
}

/**
 * The devices as asked for; for `auto` with the first provider that works on this machine.
 *
 * @throws BadInput saying why the provider that was asked for does not work here
 */
export async function deviceOptions(asked: DeviceFlags): Promise<DeviceOptions[]> {
  const cores = availableParallelism();
  const { cpuDevices, threads } = cpuDivision(cores, asked);
  let { provider } = asked;
  if (provider === 'auto') provider = (await chooseProvider({ threads })).provider;
  else if (provider !== 'cpu') {
    const { failure } = await probe({ provider, threads, deviceId: asked.devices?.[0] ?? 0 });
    if (failure !== undefined) throw new BadInput(`--provider ${provider} does not work here: ${failure}`);
  }
  const known = isCuda(provider) ? (await nvidiaGpus()).map((_, i) => i) : [0];
  const ids = asked.devices ?? (known.length === 0 ? [0] : known);
  if (provider === 'webgpu' && ids.join() !== '0')
    throw new BadInput(`--devices ${ids.join()}: the webgpu provider only has device 0, the system's default adapter`);
  if (asked.cpuDevices !== undefined && provider !== 'cpu')
    throw new BadInput(
      `--cpu-devices ${asked.cpuDevices}: only the cpu provider has them, and this machine serves with ${provider}`,
    );
  if (provider === 'cpu' && asked.cpuDevices !== undefined && cpuDevices * threads > cores)
    throw new BadInput(
      `--cpu-devices ${cpuDevices} with ${threads} threads each need ${cpuDevices * threads} cores; there are ${cores}`,
    );
  const memory = asked.deviceMemory === undefined ? {} : { memoryBytes: asked.deviceMemory };
  if (provider === 'cpu')
    return Array.from({ length: asked.devices?.length ?? cpuDevices }, (_, deviceId) => ({
      provider,
      threads,
      deviceId,
      ...memory,
    }));
  return ids.map((deviceId) => ({ provider, threads, deviceId, ...memory }));
}

export function devicesArgument(text: string): number[] {
  const ids = text.split(',').map(Number);
  if (ids.some((id) => !Number.isInteger(id) || id < 0 || id > 63) || new Set(ids).size < ids.length)
    throw new InvalidArgumentError('give device numbers, each once, such as 0,1');
  return ids;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4 };

/** A Kubernetes quantity with a binary suffix. */
export function memoryArgument(text: string): number {
  const [, value, unit] = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|)$/.exec(text) ?? [];
  const bytes = Math.floor(Number(value) * (UNITS[unit ?? ''] ?? NaN));
  if (!(bytes > 0)) throw new InvalidArgumentError('give an amount of memory such as 512Mi or 6Gi');
  return bytes;
}

export function coresArgument(text: string): number {
  const cores = Number(text);
  if (!Number.isInteger(cores) || cores < 1 || cores > 256)
    throw new InvalidArgumentError('give a number from 1 to 256');
  return cores;
}

export const threadsOption = (): Option =>
  new Option('--threads <n>', 'cores that one run may use (CPU provider); 1 when not given').argParser(coresArgument);

/** Which devices, and how much of them. */
export const withDeviceOptions = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--provider <name>',
        'ONNX Runtime execution provider; auto takes the first of the others that works here (deeprt doctor)',
      )
        .choices(['auto', ...PROVIDERS])
        .default('auto'),
    )
    .addOption(
      new Option('--threads <n>', 'cores that one run may use (CPU provider); 1 when not given').argParser(
        coresArgument,
      ),
    )
    .addOption(
      new Option(
        '--devices <ids>',
        'which of the machine’s devices to serve on, as the provider counts them; with cuda and tensorrt all when not given, otherwise 0',
      ).argParser(devicesArgument),
    )
    .addOption(
      new Option(
        '--cpu-devices <n>',
        'into how many devices of --threads cores each a CPU node is divided; all cores but a quarter, for ingest, when not given',
      ).argParser(coresArgument),
    )
    .addOption(
      new Option(
        '--device-memory <amount>',
        'how much of each device’s memory models may take, such as 6Gi; what is free at the start, less a tenth, when not given',
      ).argParser(memoryArgument),
    )
    .addOption(
      new Option(
        '--promise <kind>',
        'by which execution times devices are promised: firm, with a margin on what was measured; soft, without, so that more is promised and at most 0.1 % of it may be late',
      )
        .choices(['firm', 'soft'])
        .default('firm'),
    );

export const promisedBy = ({ promise }: DeviceFlags): Promised => (promise === 'soft' ? 'Soft' : 'Firm');
export const stateOption = (): Option =>
  new Option('--state <dir>', 'where measurements and promises are kept across runs').default(
    join(process.env['XDG_STATE_HOME'] ?? join(process.env['HOME'] ?? tmpdir(), '.local', 'state'), 'deeprt'),
  );
export const modelsFromOption = (): Option =>
  new Option(
    '--models-from <url...>',
    'beginnings of URLs that models may come from, such as https://models.example.com/ or file:///models;\nanywhere when not given',
  ).argParser((url: string, before: string[] | undefined) => [...(before ?? []), sourcesArgument(url)]);

function sourcesArgument(url: string): string {
  if (/^(file|https?):/.test(url) && (URL.canParse(url) || /^https?:$/.test(url))) return url;
  throw new InvalidArgumentError('it must begin with file:, http: or https:');
}

export const logOption = (): Option =>
  new Option('--log <form>', 'log lines on stderr')
    .choices(['text', 'json'])
    .default(process.stderr.isTTY ? 'text' : 'json');

/** Resolves at the first SIGINT or SIGTERM, or when the time is over. */
export function untilStopped(durationUs: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer =
      durationUs === undefined ? setInterval(() => undefined, 1 << 30) : setTimeout(finish, durationUs / 1000);
    function finish(): void {
      clearTimeout(timer);
      process.off('SIGINT', finish);
      process.off('SIGTERM', finish);
      resolve();
    }
    process.on('SIGINT', finish);
    process.on('SIGTERM', finish);
  });
}

/** Resolves so long after the signal is aborted. */
export async function aborted(signal: AbortSignal, afterMs = 0): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await new Promise((resolve) => setTimeout(resolve, afterMs).unref());
}

/** Aborted at the first SIGINT or SIGTERM. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}
