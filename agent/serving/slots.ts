import type { FramePool } from '../device/frame-pool.js';
import type { PoolSize } from './program.js';
import { SPARE_SLOTS, poolName } from './program.js';
import type { ServedTenant } from './tenant.js';

/** A slot of shared memory that a frame is written into before it is submitted or given back. */
export interface Slot {
  readonly pool: FramePool;
  readonly index: number;
  /** Whether its frame is one of those that its tenant was promised. */
  readonly promised: boolean;
}

/** Where pools come from and go to. */
export interface Pools {
  newPool(slotBytes: number, slots: number): FramePool;
  retire(pool: FramePool): void;
}

/** So many slots for spare frames are kept free for each tenant that does not use them, as far as half of all allow that. */
const KEPT_FREE = 4;

/**
 * A device's slots: promised and spare frames of each category have pools of their own. Where the spare ones' is small, whoever sends
 * much leaves some to whoever sends little.
 */
export class Slots {
  readonly #memory: Pools;
  /** Slots that spare frames have, by pool and tenant. */
  readonly #spare = new WeakMap<FramePool, Map<ServedTenant, number>>();
  readonly #pools = new Map<string, FramePool>();

  constructor(memory: Pools) {
    this.#memory = memory;
  }

  /** Whether one more spare frame of this tenant may be on its way. */
  hasRoomForSpare(tenant: ServedTenant): boolean {
    return tenant.spareInFlight < SPARE_SLOTS;
  }

  /** A slot for a frame of this tenant; undefined when too many frames wait. */
  take(tenant: ServedTenant, promised: boolean): Slot | undefined {
    const full = promised ? tenant.promisedInFlight >= tenant.terms.slots : !this.hasRoomForSpare(tenant);
    if (full) return undefined;
    const pool = this.#pools.get(poolName(tenant.terms.category, promised));
    if (pool === undefined || (!promised && !this.#leavesEnough(tenant, pool))) return undefined;
    const index = pool.take();
    if (index === undefined) return undefined;
    if (promised) tenant.promisedInFlight++;
    else this.#note(pool, tenant, 1);
    return { pool, index, promised };
  }

  give(tenant: ServedTenant, { pool, index, promised }: Slot): void {
    if (promised) tenant.promisedInFlight--;
    else this.#note(pool, tenant, -1);
    pool.give(index);
  }

  #note(pool: FramePool, tenant: ServedTenant, more: number): void {
    tenant.spareInFlight += more;
    const counts = this.#spare.get(pool) ?? new Map<ServedTenant, number>();
    this.#spare.set(pool, counts);
    const count = (counts.get(tenant) ?? 0) + more;
    if (count > 0) counts.set(tenant, count);
    else counts.delete(tenant);
  }

  /** Whether others have what they may need where this tenant takes one more slot than its part. */
  #leavesEnough(tenant: ServedTenant, pool: FramePool): boolean {
    const { slots, left } = pool;
    const { beside } = tenant.terms;
    const counts = this.#spare.get(pool);
    const part = Math.max(1, Math.floor(slots / (1 + beside)));
    if ((counts?.get(tenant) ?? 0) < part) return true;
    const each = Math.min(part, KEPT_FREE);
    let kept = beside * each;
    for (const [other, count] of counts ?? []) if (other !== tenant) kept -= Math.min(each, count);
    return left > Math.min(kept, slots / 2);
  }

  /** Makes pools as large as these; larger ones stay. */
  grow(sizes: readonly PoolSize[]): void {
    for (const { name, slotBytes, slots } of sizes) {
      const known = this.#pools.get(name);
      if (known !== undefined && known.slotBytes === slotBytes && known.slots >= slots) continue;
      if (known !== undefined) this.#memory.retire(known);
      this.#pools.set(name, this.#memory.newPool(slotBytes, slots));
    }
  }

  /** Gives back the pools of all other categories. */
  keepOnly(categories: readonly { readonly name: string }[]): void {
    const needed = new Set(categories.flatMap(({ name }) => [poolName(name, true), poolName(name, false)]));
    for (const [name, pool] of this.#pools)
      if (!needed.has(name)) {
        this.#pools.delete(name);
        this.#memory.retire(pool);
      }
  }
}
