import { describe, expect, test } from '@jest/globals';
import { divide, parseCores } from './cores.js';

describe('cores', () => {
  test('are read as Linux writes them', () => {
    expect(parseCores('0-2,5,7-8')).toEqual([0, 1, 2, 5, 7, 8]);
  });

  test('are divided between devices and ingest, none twice', () => {
    expect(divide([0, 1], [1])).toEqual({ devices: [[1]], ingest: [0] });
    expect(divide([0, 1, 2, 3, 6, 7], [2, 2])).toEqual({
      devices: [
        [6, 7],
        [2, 3],
      ],
      ingest: [0, 1],
    });
  });

  test('are shared where none would be left for ingest', () => {
    expect(divide([0], [1])).toBeUndefined();
    expect(divide([0, 1], [1, 1])).toBeUndefined();
    expect(divide([0, 1], [4])).toBeUndefined();
  });
});
