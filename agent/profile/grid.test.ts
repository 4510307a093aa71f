import { describe, expect, test } from '@jest/globals';
import { batchGrid, nextStep, worthwhile } from './grid.js';
import { msPerSize } from './measure.js';

describe('what is measured', () => {
  test('every small batch size, then ever coarser, the largest always', () => {
    expect(batchGrid(1)).toEqual([1]);
    expect(batchGrid(6)).toEqual([1, 2, 3, 4, 6]);
    expect(batchGrid(8)).toEqual([1, 2, 3, 4, 6, 8]);
    expect(batchGrid(64)).toEqual([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]);
    expect(batchGrid(500).at(-1)).toBe(500);
    expect(batchGrid(512).length).toBeLessThan(24);
  });

  test('where E(n) steps up, until the place of every step is known', () => {
    const waves = (size: number): { size: number; wcetUs: number } => ({ size, wcetUs: 1000 * Math.ceil(size / 5) });
    const measured = [1, 2, 3, 4, 6, 8, 12, 16].map(waves);
    for (let size = nextStep(measured); size !== undefined; size = nextStep(measured)) measured.push(waves(size));
    const sizes = measured.map(({ size }) => size);
    for (const last of [5, 10]) expect(sizes).toEqual(expect.arrayContaining([last, last + 1]));
    expect(sizes.length).toBeLessThan(14);
    expect(nextStep([1, 2, 3, 4, 6, 8, 12, 16].map((size) => ({ size, wcetUs: 500 + 100 * size })))).toBeUndefined();
    expect(nextStep([{ size: 1, wcetUs: 5 }])).toBeUndefined();
  });

  test('each size for as long as the time for all of them allows', () => {
    expect(msPerSize(10, 600_000)).toBe(2000);
    expect(msPerSize(3000, 600_000)).toBe(200);
    expect(msPerSize(0, 600_000)).toBe(2000);
  });

  test('sizes beyond the most efficient one are left to several runs', () => {
    const batches = [
      { size: 1, wcetUs: 1000 },
      { size: 2, wcetUs: 1500 },
      { size: 4, wcetUs: 2400 },
      { size: 8, wcetUs: 5200 },
    ];
    expect(worthwhile(batches).map(({ size }) => size)).toEqual([1, 2, 4]);
    expect(worthwhile(batches.slice(0, 1))).toHaveLength(1);
  });
});
