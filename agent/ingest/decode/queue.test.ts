import { describe, expect, test } from '@jest/globals';
import type { Queued } from './queue.js';
import { DecodeQueue } from './queue.js';

const job = (tenant: string, more: Partial<Queued> = {}): Queued => ({
  tenant,
  promised: false,
  dueUs: Infinity,
  costUs: 1000,
  ...more,
});

describe('frames that wait to be decoded', () => {
  test('promised ones come by deadline', () => {
    const queue = new DecodeQueue<Queued>();
    for (const dueUs of [50, 10, 40, 20, 30]) queue.push(job('a', { promised: true, dueUs }));
    expect(Array.from({ length: 6 }, () => queue.nextPromised()?.dueUs)).toEqual([10, 20, 30, 40, 50, undefined]);
  });

  test('spare ones share the time, whoever sends more or dearer ones', () => {
    const queue = new DecodeQueue<Queued>();
    for (let i = 0; i < 100; i++) queue.push(job('flood', { costUs: 4000 }));
    for (let i = 0; i < 20; i++) queue.push(job('modest'));
    const spentUs = { flood: 0, modest: 0 };
    for (let i = 0; i < 20; i++) {
      const { tenant, costUs } = queue.nextSpare()!;
      spentUs[tenant as 'flood' | 'modest'] += costUs;
    }
    expect(Math.abs(spentUs.flood - spentUs.modest)).toBeLessThanOrEqual(4000);
  });

  test('who was away has saved nothing up', () => {
    const queue = new DecodeQueue<Queued>();
    for (let i = 0; i < 40; i++) queue.push(job('here'));
    for (let i = 0; i < 30; i++) queue.nextSpare();
    for (let i = 0; i < 10; i++) queue.push(job('late'));
    const next = Array.from({ length: 8 }, () => queue.nextSpare()!.tenant);
    expect(next.filter((tenant) => tenant === 'here').length).toBeGreaterThanOrEqual(3);
  });
});
