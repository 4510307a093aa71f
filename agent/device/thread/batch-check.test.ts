import { describe, expect, test } from '@jest/globals';
import type { OutputTensor } from '../../frames.js';
import { differenceOf } from './batch-check.js';

const output = (dims: readonly number[], values: readonly number[]): OutputTensor[] => [
  { name: 'y', type: 'float32', dims, data: new Float32Array(values) },
];

describe('answers in a batch', () => {
  const alone = [output([1, 2], [1, 2]), output([1, 2], [3, NaN])];

  test('are those of each frame alone, but for the order in which kernels add up', () => {
    expect(differenceOf(alone, output([2, 2], [1.001, 2, 3, NaN]))).toBeUndefined();
  });

  test('that are another frame’s, or nobody’s, are told', () => {
    expect(differenceOf(alone, output([2, 2], [3, NaN, 1, 2]))).toMatch(/frame 1 of a batch of 2 gets another value/);
    expect(differenceOf(alone, output([1, 4], [1, 2, 3, NaN]))).toMatch(
      /shape \[1, 4\], whose first axis is not the batch/,
    );
    expect(differenceOf(alone, output([2, 3], [1, 2, 0, 3, NaN, 0]))).toMatch(/has 2 values for a frame alone and 3/);
  });
});
