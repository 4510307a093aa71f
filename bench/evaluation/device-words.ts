import type { LoadedModel } from '../../agent/device/messages.js';

/** What a device's thread and its caller share: words of 32 bits, and what the first of them says. */
export const [STATE, MODEL, COUNT, TOOK_US, LENGTH] = [0, 1, 2, 3, 4] as const;
export const [STARTING, ASKED, DONE] = [0, 1, 2] as const;

export interface DeviceData {
  readonly models: readonly LoadedModel[];
  readonly shared: SharedArrayBuffer;
}
