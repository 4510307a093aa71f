import { describe, expect, test } from '@jest/globals';
import type { DeviceService } from '../serving/service.js';
import { measureFactors } from './correction.js';
import type { ProfiledCategory } from './profile.js';

describe('a category whose time depends on what its frames hold', () => {
  const category = {
    model: 'nms',
    shape: [1, 64, 64],
    byContent: true,
    batches: [{ size: 1, p50Us: 1000, p99Us: 1100, wcetUs: 1320 }],
  } as unknown as ProfiledCategory;
  const shown = new Map([['nms@1x64x64', { runs: 40, median: 2.5, p95OfWcet: 3 }]]);
  // No run of noise is made, so nothing is asked of the device.
  const factor = async (before: typeof shown, since: typeof shown): Promise<number | undefined> => {
    const { factors } = await measureFactors({} as DeviceService, [category], new Map(), before, () =>
      Promise.resolve(since),
    );
    return factors.get('nms@1x64x64');
  };

  test('is corrected by the live runs that raised the suspicion, where there were none since', async () => {
    expect(await factor(shown, new Map())).toBe(3);
  });

  test('is corrected by newer ones where there are, downwards too', async () => {
    expect(await factor(shown, new Map([['nms@1x64x64', { runs: 40, median: 0.4, p95OfWcet: 0.3 }]]))).toBe(0.4);
  });
});

describe('a category that strays again soon after it was corrected', () => {
  const category = {
    model: 'busy',
    shape: [3, 8, 8],
    batches: [{ size: 1, p50Us: 1000, p99Us: 1000, wcetUs: 1000 }],
  } as unknown as ProfiledCategory;
  const shown = new Map([['busy@3x8x8', { runs: 400, median: 1.05, p95OfWcet: 1.6 }]]);
  const since = new Map([['busy@3x8x8', { runs: 2, median: 1, p95OfWcet: 0.9 }]]);
  const factor = async (restless: ReadonlySet<string>): Promise<number | undefined> => {
    const live = (): Promise<typeof since> => Promise.resolve(since);
    const { factors } = await measureFactors({} as DeviceService, [category], new Map(), shown, live, restless);
    return factors.get('busy@3x8x8');
  };

  test('is corrected by what its live runs exceed their WCET by', async () => {
    expect(await factor(new Set(['busy@3x8x8']))).toBe(1.6);
  });

  test('the first time by what measuring again shows', async () => {
    expect(await factor(new Set())).toBe(1);
  });
});
