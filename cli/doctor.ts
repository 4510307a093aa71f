import { availableParallelism, cpus, totalmem } from 'node:os';
import type { Division } from '../agent/device/cores.js';
import { divisionFor } from '../agent/device/cores.js';
import type { NvidiaGpu } from '../agent/device/machine.js';
import { nvidiaGpus } from '../agent/device/machine.js';
import type { Probe } from '../agent/device/providers/probe.js';
import { chosenOf, tryProviders } from '../agent/device/providers/probe.js';
import { runtimeVersion } from '../agent/device/providers/runtime.js';
import type { DeviceFlags } from './device-options.js';
import { cpuDivision } from './device-options.js';
import { table } from './table.js';

/** What this machine can run networks on. */
export interface Health {
  readonly onnxRuntime: string;
  readonly node: string;
  readonly processor: string;
  readonly cores: number;
  /** Which cores devices' runs have to themselves, and which the rest keeps to; absent where all share all. */
  readonly division?: Division;
  readonly memoryBytes: number;
  readonly nvidiaGpus: readonly NvidiaGpu[];
  /** What `--provider auto` takes. */
  readonly provider: string;
  readonly providers: readonly Probe[];
}

export async function examine(asked: DeviceFlags): Promise<Health> {
  const { cpuDevices, threads } = cpuDivision(availableParallelism(), asked);
  const providers = await tryProviders({ threads });
  const provider = chosenOf(providers);
  const division = divisionFor(
    Array.from({ length: provider === 'cpu' ? cpuDevices : 1 }, () => ({ provider, threads })),
  );
  return {
    onnxRuntime: runtimeVersion,
    node: process.versions.node,
    processor: cpus()[0]?.model ?? 'unknown processor',
    cores: availableParallelism(),
    ...(division === undefined ? {} : { division }),
    memoryBytes: totalmem(),
    nvidiaGpus: await nvidiaGpus(),
    provider,
    providers,
  };
}

export function healthTable({
  onnxRuntime,
  node,
  processor,
  cores,
  division,
  memoryBytes,
  provider,
  providers,
  ...health
}: Health): string {
  const rows = providers.map(({ provider: name, failure, tookMs }) => [
    name,
    failure === undefined ? 'yes' : 'no',
    failure === undefined ? `${(tookMs / 1000).toFixed(1)} s` : '',
    failure ?? (name === provider ? 'what --provider auto takes' : ''),
  ]);
  return [
    `ONNX Runtime ${onnxRuntime}, Node ${node}; ${cores} cores of ${processor}, ${gibibytes(memoryBytes)} of memory`,
    division === undefined
      ? 'devices and ingest share all cores'
      : `cores ${division.devices.map((own) => own.join('+')).join(', ')} for devices’ runs, ${division.ingest.join(', ')} for everything else`,
    ...health.nvidiaGpus.map(
      ({ name, driverVersion, totalBytes, usedBytes }, i) =>
        `GPU ${i}: ${name}, driver ${driverVersion}, ${gibibytes(totalBytes)} of memory, ${gibibytes(totalBytes - usedBytes)} free`,
    ),
    '',
    table(['PROVIDER', 'WORKS', 'FIRST ANSWER', ''], rows),
  ].join('\n');
}

const gibibytes = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
