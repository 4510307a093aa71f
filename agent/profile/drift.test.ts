import { describe, expect, test } from '@jest/globals';
import type { Ran } from '../device/messages.js';
import { DriftEstimate, Persistence, verdictOn } from './drift.js';
import type { ProfiledCategory } from './profile.js';

const category: ProfiledCategory = {
  model: 'echo',
  shape: [3, 8, 8],
  batches: [
    { size: 1, p50Us: 1000, p99Us: 1100, wcetUs: 1320 },
    { size: 4, p50Us: 3000, p99Us: 3300, wcetUs: 3960 },
  ],
};
const ran = (frames: number, us: number, more: Partial<Ran> = {}): Ran => ({
  kind: 'ran',
  category: 'echo@3x8x8',
  runKind: 'visit',
  promised: 1,
  frames,
  startUs: 0,
  endUs: us,
  wcetUs: 0,
  rung: 0,
  penaltyUs: 0,
  nextRung: 0,
  ...more,
});

describe('drift', () => {
  test('is told from the last seconds’ runs, whatever their batch sizes and shapes', async () => {
    const estimate = new DriftEstimate();
    estimate.expect([category], () => 'echo@3x8x8');
    const nowMs = Date.now();
    for (let i = 0; i < 20; i++) {
      estimate.note(ran(1, 1300), nowMs);
      estimate.note(ran(4, 3900, { runKind: 'eager' }), nowMs);
      estimate.note(ran(1, 650, { rung: 1, wcetUs: 660 }), nowMs);
      estimate.note(ran(1, 9000, { category: 'other@3x8x8' }), nowMs);
    }
    const drift = (await estimate.drifts(nowMs)).get('echo@3x8x8')!;
    expect(drift.runs).toBe(60);
    expect(drift.median).toBeCloseTo(1.3, 2);
    expect(drift.p95OfWcet).toBeCloseTo(1300 / 1320, 2);
    expect((await estimate.drifts(nowMs + 11_000)).size).toBe(0);
  });

  test('counts once it lasts, in one direction', () => {
    const persistence = new Persistence();
    const off = new Map([['a', { runs: 100, median: 1.3, p95OfWcet: 1.1 }]]);
    const fine = new Map([['a', { runs: 100, median: 1, p95OfWcet: 0.8 }]]);
    const fast = new Map([['a', { runs: 100, median: 0.5, p95OfWcet: 0.4 }]]);
    expect(persistence.look(off, 0)).toEqual([]);
    expect(persistence.look(off, 11_000)).toEqual([]);
    expect(persistence.look(fine, 11_500)).toEqual([]);
    expect(persistence.look(off, 12_000)).toEqual([]);
    expect(persistence.look(fast, 20_000)).toEqual([]);
    expect(persistence.look(off, 22_000)).toEqual([]);
    expect(persistence.look(off, 37_000)).toEqual(['a']);
  });

  test('needs enough runs, and more than the usual variation', () => {
    expect(verdictOn({ runs: 10, median: 2, p95OfWcet: 2 })).toBeUndefined();
    expect(verdictOn({ runs: 100, median: 1.05, p95OfWcet: 0.9 })).toBeUndefined();
    expect(verdictOn({ runs: 100, median: 1.3, p95OfWcet: 0.95 })).toBeUndefined();
    expect(verdictOn({ runs: 100, median: 1.05, p95OfWcet: 1.2 })).toBe('slower');
    expect(verdictOn({ runs: 100, median: 0.7, p95OfWcet: 0.5 })).toBe('faster');
    expect(verdictOn({ runs: 100, median: 0.7, p95OfWcet: 0.7 })).toBeUndefined();
  });
});
