import { describe, expect, test } from '@jest/globals';
import { Suspicion } from './suspicion.js';

const SECOND = 1_000_000;

describe('a tenant whose frames fail', () => {
  test('is kept apart after three within a minute, until a minute without any', () => {
    const suspicion = new Suspicion();
    expect([0, 50, 70].map((at) => suspicion.failed(at * SECOND))).toEqual([false, false, false]); // the first is forgotten
    expect(suspicion.apart(70 * SECOND)).toBe(false);
    expect(suspicion.failed(100 * SECOND)).toBe(true);
    expect(suspicion.failed(150 * SECOND)).toBe(false); // known already
    expect([209, 210].map((at) => suspicion.apart(at * SECOND))).toEqual([true, false]);
  });

  test('is not blamed for a device that was replaced', () => {
    const suspicion = new Suspicion();
    for (const at of [1, 2, 3]) suspicion.failed(at * SECOND);
    suspicion.clear();
    expect(suspicion.apart(3 * SECOND)).toBe(false);
    expect(suspicion.failed(4 * SECOND)).toBe(false);
  });
});
