import { describe, expect, test } from '@jest/globals';
import { ingestUsOf } from '../../api/ingest.js';
import { seededRandom } from '../../sched/arrivals.js';
import { ingestFigure, usualWorstUs } from './ingest-load.js';
import { IngestWatch } from './ingest-watch.js';
import type { Profile } from './profiler.js';

const profile: Profile = {
  apiVersion: 'deeprt.dev/v1alpha1',
  kind: 'GPUProfile',
  metadata: { name: 'n-0', namespace: '' },
  spec: { nodeName: 'n', device: 0 },
  status: { ingestUs: 20_000, ingest: [ingestFigure('Tensor', 1000, 500), ingestFigure('JPEG', 10_000, 500)] },
};

describe('what frames take outside the device', () => {
  test('is not decided by single stalls of the machine', () => {
    const measure = (seed: number): number => {
      const random = seededRandom(seed);
      return usualWorstUs(
        Array.from({ length: 1000 }, () => 5000 + 4000 * random() ** 4 + (random() < 0.002 ? 50_000 : 0)),
      );
    };
    const figures = Array.from({ length: 20 }, (_, seed) => measure(seed));
    expect(Math.max(...figures) / Math.min(...figures)).toBeLessThan(1.2);
  });

  test('is paid for by the form that a tenant sends', () => {
    const { ingest } = profile.status!;
    expect(ingestUsOf({ ingest: ingest! }, 'Tensor')).toBe(2800);
    expect(ingestUsOf({ ingest: ingest! }, 'JPEG')).toBe(13_600);
    expect(ingestUsOf({ ingest: ingest! })).toBe(13_600);
    expect(ingestUsOf({ ingestUs: 20_000 }, 'Tensor')).toBe(20_000);
  });

  test('follows live frames both ways, upwards sooner, each form by itself', () => {
    const watch = new IngestWatch();
    const note = (frames: number, us: number): void => {
      for (let i = 0; i < frames; i++) watch.note('JPEG', us);
    };
    note(90, 20_000);
    expect(watch.corrected(profile)).toBeUndefined();
    note(10, 20_000);
    const slower = watch.corrected(profile)!;
    expect(slower.status!.ingest).toEqual([profile.status!.ingest![0], ingestFigure('JPEG', 20_000, 500)]);
    expect(slower.status!.ingestUs).toBe(25_600);
    expect(watch.corrected(slower)).toBeUndefined();
    note(400, 5000);
    expect(watch.corrected(slower)).toBeUndefined();
    note(100, 5000);
    expect(watch.corrected(slower)!.status!.ingest![1]).toEqual(ingestFigure('JPEG', 5000, 500));
    const steady = new IngestWatch();
    for (let i = 0; i < 1000; i++) steady.note('JPEG', 9000);
    expect(steady.corrected(profile)).toBeUndefined();
  });
});
