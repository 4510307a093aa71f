import { describe, expect, test } from '@jest/globals';
import { batchGrid, worthwhile } from './profiler.js';

describe('what is measured', () => {
  test('every small batch size, then ever coarser, the largest always', () => {
    expect(batchGrid(1)).toEqual([1]);
    expect(batchGrid(6)).toEqual([1, 2, 3, 4, 6]);
    expect(batchGrid(8)).toEqual([1, 2, 3, 4, 6, 8]);
    expect(batchGrid(64)).toEqual([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]);
    expect(batchGrid(500).at(-1)).toBe(500);
    expect(batchGrid(512).length).toBeLessThan(24);
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
