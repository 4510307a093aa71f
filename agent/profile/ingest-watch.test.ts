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
    let nowUs = 0;
    const note = (frames: number, us: number, seconds: number): void => {
      for (let i = 0; i < frames; i++) watch.note('JPEG', us, (nowUs += (seconds * 1e6) / frames));
    };
    note(400, 20_000, 10);
    expect(watch.corrected(profile, nowUs)).toBeUndefined();
    note(200, 20_000, 6);
    const slower = watch.corrected(profile, nowUs)!;
    expect(slower.status!.ingest).toEqual([profile.status!.ingest![0], ingestFigure('JPEG', 20_000, 500)]);
    expect(slower.status!.ingestUs).toBe(25_600);
    expect(watch.corrected(slower, nowUs)).toBeUndefined();
    note(600, 5000, 20);
    expect(watch.corrected(slower, nowUs)).toBeUndefined();
    note(600, 5000, 11);
    expect(watch.corrected(slower, nowUs)!.status!.ingest![1]).toEqual(ingestFigure('JPEG', 5000, 500));
    note(1000, 9000, 60);
    expect(watch.corrected(profile, nowUs)).toBeUndefined();
  });
});
