import { expect, test } from '@jest/globals';
import type { FramePool } from '../device/frame-pool.js';
import type { Slot } from './slots.js';
import { Slots } from './slots.js';
import type { ServedTenant } from './tenant.js';

/** A pool that counts, and holds no memory. */
function poolOf(slots: number): FramePool {
  let left = slots;
  const pool = {
    slots,
    slotBytes: 1,
    get left() {
      return left;
    },
    take: () => (left > 0 ? left-- : undefined),
    give: () => left++,
  };
  return pool as unknown as FramePool;
}

function slotsFor(count: number, tenants: number): { slots: Slots; all: ServedTenant[] } {
  const slots = new Slots({ newPool: (_bytes, many) => poolOf(many), retire: () => undefined });
  slots.grow([{ name: 'c/spare', slotBytes: 1, slots: count }]);
  const terms = { category: 'c', slots: 1, beside: tenants - 1 };
  const all = Array.from({ length: tenants }, () => ({ terms, spareInFlight: 0 }) as unknown as ServedTenant);
  return { slots, all };
}

test.each([
  [13, 3],
  [54, 4],
])('of %i slots for spare frames, floods leave a camera among %i tenants what it needs', (count, tenants) => {
  const { slots, all } = slotsFor(count, tenants);
  const [camera, ...floods] = all as [ServedTenant, ...ServedTenant[]];
  const taken: { tenant: ServedTenant; slot: Slot; untilMs: number }[] = [];
  let [sent, served] = [0, 0];
  for (let ms = 0; ms < 10_000; ms++) {
    for (const each of taken.splice(0))
      if (each.untilMs <= ms) slots.give(each.tenant, each.slot);
      else taken.push(each);
    const take = (tenant: ServedTenant): boolean => {
      const slot = slots.take(tenant, false);
      if (slot !== undefined) taken.push({ tenant, slot, untilMs: ms + 60 });
      return slot !== undefined;
    };
    for (const flood of floods) take(flood);
    if (ms % 33 === 0) [sent, served] = [sent + 1, served + (take(camera) ? 1 : 0)];
  }
  expect(served).toBeGreaterThan(0.99 * sent);
});

test('whoever sends alone has most of them', () => {
  for (const tenants of [2, 4, 100]) {
    const { slots, all } = slotsFor(54, tenants);
    let taken = 0;
    while (slots.take(all[0]!, false) !== undefined) taken++;
    expect(taken).toBeGreaterThanOrEqual(27);
  }
});
