import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { isCuda, nvidiaGpus } from '../agent/device/machine.js';
import type { DeviceOptions } from '../agent/device/messages.js';
import { chosenOf, probe, tryProviders } from '../agent/device/providers/probe.js';
import type { Provider } from '../agent/device/providers/providers.js';
import { PROVIDERS } from '../agent/device/providers/providers.js';
import type { Promised } from '../sched/promise.js';
import { BadInput } from './directory.js';

/** Of a CPU node's cores, the part that receives and decodes frames. */
const INGEST_SHARE = 0.25;

const ACCELERATED = PROVIDERS.filter((provider) => provider !== 'cpu');

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
  if (provider === 'auto') provider = chosenOf(await tryProviders({ threads }, ACCELERATED));
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

function devicesArgument(text: string): number[] {
  const ids = text.split(',').map(Number);
  if (ids.some((id) => !Number.isInteger(id) || id < 0 || id > 63) || new Set(ids).size < ids.length)
    throw new InvalidArgumentError('give device numbers, each once, such as 0,1');
  return ids;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4 };

/** A Kubernetes quantity with a binary suffix. */
function memoryArgument(text: string): number {
  const [, value, unit] = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|)$/.exec(text) ?? [];
  const bytes = Math.floor(Number(value) * (UNITS[unit ?? ''] ?? NaN));
  if (!(bytes > 0)) throw new InvalidArgumentError('give an amount of memory such as 512Mi or 6Gi');
  return bytes;
}

function coresArgument(text: string): number {
  const cores = Number(text);
  if (!Number.isInteger(cores) || cores < 1 || cores > 256)
    throw new InvalidArgumentError('give a number from 1 to 256');
  return cores;
}

export const threadsOption = (): Option =>
  new Option(
    '--threads <n>',
    'cores that one run may use (cpu provider); 1 when not given, or with --cpu-devices an equal share of all cores but a quarter',
  ).argParser(coresArgument);

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
    .addOption(threadsOption())
    .addOption(
      new Option(
        '--devices <ids>',
        'GPUs to serve on, by the provider’s numbers (cuda, tensorrt); all when not given; webgpu has device 0 only, and for the cpu provider there is --cpu-devices',
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
