import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Resident } from './memory.js';
import { modelBytes, toUnload } from './memory.js';

describe('what a model takes', () => {
  const memory = {
    weightsBytes: 100,
    workspaceBytes: new Map([
      ['3x8x8', 10],
      ['3x16x16', 40],
    ]),
  };

  test('is its weights and the largest of the workspaces of the shapes that it serves', () => {
    expect(modelBytes(memory, [])).toBe(100);
    expect(modelBytes(memory, [[3, 8, 8]])).toBe(110);
    expect(
      modelBytes(memory, [
        [3, 8, 8],
        [3, 16, 16],
      ]),
    ).toBe(140);
    expect(modelBytes(memory, [[3, 9, 9]])).toBe(100);
  });
});

describe('room for a model', () => {
  const resident = (name: string, bytes: number, lastPromised: number, promised = false): Resident => ({
    name,
    bytes,
    lastPromised,
    promised,
  });

  test('is made by unloading the least recently promised first, and no more than needed', () => {
    const residents = [resident('a', 30, 5), resident('b', 30, 0), resident('c', 30, 2), resident('d', 10, 9, true)];
    expect(toUnload(residents, 0, 100)).toEqual([]);
    expect(toUnload(residents, 20, 100)).toEqual(['b']);
    expect(toUnload(residents, 50, 100)).toEqual(['b', 'c']);
    expect(toUnload(residents, 90, 100)).toEqual(['b', 'c', 'a']);
    expect(toUnload(residents, 91, 100)).toBeUndefined();
  });

  test('never costs what was promised, and suffices', () => {
    const residents = fc.array(
      fc.record({ name: fc.uuid(), bytes: fc.nat(50), lastPromised: fc.nat(9), promised: fc.boolean() }),
    );
    fc.assert(
      fc.property(residents, fc.nat(200), fc.nat(300), (all, bytes, limit) => {
        const going = toUnload(all, bytes, limit);
        const staying = (names: readonly string[]): number =>
          all.filter(({ name }) => !names.includes(name)).reduce((sum, each) => sum + each.bytes, 0);
        const idle = all.filter(({ promised }) => !promised).map(({ name }) => name);
        if (going === undefined) expect(staying(idle) + bytes).toBeGreaterThan(limit);
        else {
          expect(going.every((name) => idle.includes(name))).toBe(true);
          expect(staying(going) + bytes).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });
});
