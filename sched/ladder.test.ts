import { describe, expect, test } from '@jest/globals';
import { deepestRung, ladderOf } from './ladder.js';
import { WcetTable } from './wcet.js';

const step = (shape: readonly number[], one: number, four: number): { shape: readonly number[]; wcet: WcetTable } => ({
  shape,
  wcet: new WcetTable([
    { batch: 1, wcetUs: one },
    { batch: 4, wcetUs: four },
  ]),
});
const measured = [
  step([3, 64, 64], 500, 900),
  step([3, 320, 320], 9000, 30_000),
  step([3, 224, 224], 5000, 16_000),
  step([3, 160, 160], 4900, 17_000),
  step([1, 160, 160], 100, 200),
];
const shapes = (ladder: readonly { shape: readonly number[] }[]): string[] =>
  ladder.map(({ shape }) => shape.join('x'));

describe('the ladder of shapes', () => {
  test('starts at the shape asked for and goes down to those that are faster at every batch size', () => {
    expect(shapes(ladderOf([3, 320, 320], measured))).toEqual(['3x320x320', '3x224x224', '3x64x64']);
    expect(shapes(ladderOf([3, 224, 224], measured))).toEqual(['3x224x224', '3x64x64']);
    expect(ladderOf([3, 128, 128], measured)).toEqual([]);
  });

  test('ends for a tenant at the last shape that it allows', () => {
    const ladder = ladderOf([3, 320, 320], measured);
    expect(deepestRung(undefined, ladder)).toBe(0);
    expect(deepestRung([3, 320, 320], ladder)).toBe(0);
    expect(deepestRung([3, 200, 200], ladder)).toBe(1);
    expect(deepestRung([3, 64, 64], ladder)).toBe(2);
    expect(deepestRung([3, 100, 20], ladder)).toBe(1);
  });
});
