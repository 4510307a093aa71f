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

/** A device's slots: promised and spare frames of each category have pools of their own. */
export class Slots {
  readonly #memory: Pools;
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
    const index = pool?.take();
    if (pool === undefined || index === undefined) return undefined;
    if (promised) tenant.promisedInFlight++;
    else tenant.spareInFlight++;
    return { pool, index, promised };
  }

  give(tenant: ServedTenant, { pool, index, promised }: Slot): void {
    if (promised) tenant.promisedInFlight--;
    else tenant.spareInFlight--;
    pool.give(index);
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
