import type { ResourceOf } from '../../api/manifests.js';
import { hardwareOf } from '../device/machine.js';
import type { DeviceOptions } from '../device/messages.js';
import { runtimeVersion } from '../device/providers/runtime.js';

export type Profile = ResourceOf<'GPUProfile'>;
export type ProfiledCategory = NonNullable<NonNullable<Profile['status']>['categories']>[number];

/** WCET = margin × p99, measured while the agent's own ingest runs beside it. */
export const MARGIN = 1.2;
/** Many frames of a stage add up: this quantile of what one takes is counted, and the margin. */
export const USUAL = 0.75;
/** Called as profiling goes on: what is measured and the share that is done. */
export type Progress = (what: string, share: number) => void;

/** What the device is: all that a measurement depends on besides the network, and the memory that models may take. */
export async function deviceDescription(
  options: DeviceOptions,
  memoryBytes: number,
): Promise<NonNullable<NonNullable<Profile['status']>['device']>> {
  return {
    ...(await hardwareOf(options)),
    executionProvider: options.provider,
    runtimeVersion,
    threads: options.threads,
    memoryBytes,
  };
}
