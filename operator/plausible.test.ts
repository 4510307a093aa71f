import { expect, test } from '@jest/globals';
import type { ProfileObject } from './objects.js';
import { implausible } from './plausible.js';

const profile = (nodeName: string, wcetUs: number, name = 'H100'): ProfileObject => ({
  metadata: { name: `${nodeName}-0` },
  spec: { nodeName, device: 0 },
  status: {
    device: { name, executionProvider: 'cuda' },
    categories: [{ model: 'echo', shape: [3, 8, 8], batches: [{ size: 1, wcetUs }] }],
  },
});

test('figures out of all proportion are told apart from those of a faster kind of device', () => {
  const fleet = [profile('a', 2000), profile('b', 2500), profile('c', 1800)];
  expect([...implausible(fleet)]).toEqual([]);
  const liar = implausible([...fleet, profile('liar', 20)]);
  expect([...liar]).toEqual([['liar', 'echo@3x8x8 on H100 (cuda) takes 20us, and 2000us on other nodes']]);
  expect([...implausible([...fleet, profile('new', 20, 'H900')])]).toEqual([]);
  // With so few of a kind nobody knows who is the odd one.
  expect([...implausible([profile('a', 2000), profile('b', 20)])]).toEqual([]);
  // A slow one among fast ones is no reason to doubt these.
  expect([...implausible([profile('slow', 90_000), profile('b', 2000), profile('c', 2000)])]).toEqual([]);
  expect([...implausible([])]).toEqual([]);
});
