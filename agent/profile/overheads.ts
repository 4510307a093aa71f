import { createHistogram } from 'node:perf_hooks';
import type { DeviceService } from '../serving/service.js';
import { MARGIN } from './profile.js';

const SAMPLES = 200;
const CHANNEL_SAMPLES = 100;

/** p99 of a message's way to the device's thread and back, in microseconds. */
export async function measureChannel(service: DeviceService): Promise<number> {
  const times = createHistogram({ lowest: 1, highest: 10_000_000, figures: 3 });
  for (let i = 0; i < CHANNEL_SAMPLES; i++) {
    times.record(Math.max(1, await service.device.roundTrip()));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return times.percentile(99);
}

/** p99 of what the device's thread spends on a run beside running it, with the WCET's margin. */
export async function measureDispatchOverhead(service: DeviceService): Promise<number> {
  const turns = createHistogram({ lowest: 1, highest: 10_000_000, figures: 3 });
  for (let i = 0; i < SAMPLES; i++) turns.record(Math.max(1, await service.device.turnUs()));
  return Math.ceil(turns.percentile(99) * MARGIN) + 100;
}
