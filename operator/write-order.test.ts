import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Change } from './write-order.js';
import { writeOrder } from './write-order.js';

const change = (node: string, gains: string[], losses: string[]): Change => ({
  node,
  gains: new Set(gains),
  losses: new Set(losses),
});

test('a tenant that moves is recorded at its new node before it is struck from its old one', () => {
  expect(writeOrder([change('old', [], ['t']), change('new', ['t'], [])])).toEqual([['new'], ['old']]);
  // A chain: a preempts b, which moves on.
  expect(
    writeOrder([change('first', ['a'], ['b']), change('second', ['b'], ['c']), change('third', ['c'], [])]),
  ).toEqual([['third'], ['second'], ['first']]);
});

test('nodes that have nothing to do with each other are written at once, and a circle is cut', () => {
  expect(writeOrder([change('a', ['x'], []), change('b', ['y'], ['z'])])).toEqual([['a', 'b']]);
  expect(writeOrder([change('a', ['x'], ['y']), change('b', ['y'], ['x'])])).toEqual([['a'], ['b']]);
});

test('every node is written exactly once, and only a circle breaks the order', () => {
  const tenants = ['a', 'b', 'c', 'd', 'e', 'f'];
  const move = fc.record({ tenant: fc.constantFrom(...tenants), from: fc.nat(5), to: fc.nat(5) });
  fc.assert(
    fc.property(fc.uniqueArray(move, { selector: ({ tenant }) => tenant, maxLength: 6 }), (moves) => {
      // Moves to higher numbers only cannot form a circle.
      const uphill = moves.filter(({ from, to }) => from < to);
      const changes = Array.from({ length: 6 }, (_, node) =>
        change(
          `${node}`,
          uphill.filter(({ to }) => to === node).map(({ tenant }) => tenant),
          uphill.filter(({ from }) => from === node).map(({ tenant }) => tenant),
        ),
      );
      const groups = writeOrder(changes);
      expect(groups.flat().sort()).toEqual(['0', '1', '2', '3', '4', '5']);
      const turn = (node: number): number => groups.findIndex((group) => group.includes(`${node}`));
      for (const { from, to } of uphill) expect(turn(to)).toBeLessThan(turn(from));
    }),
  );
});
