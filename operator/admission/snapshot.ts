import type { ResourceOf } from '../../api/manifests.js';
import type { Device } from './device.js';
import type { NodeInfo } from './node.js';
import type { DevicePlan } from './plan.js';
import type { Quotas } from './quotas.js';
import type { Settled } from './plans.js';
import type { TenantRequest } from './request.js';

/** What a tenant was told. */
export interface Told {
  /** The generation of its request that was promised; undefined: one before what it asks for now. */
  readonly generation?: number;
  /** Streams by device (`deviceKey`). */
  readonly streams: ReadonlyMap<string, number>;
}

/** Everything that a decision may depend on. */
export interface Snapshot {
  readonly models: ReadonlyMap<string, ResourceOf<'InferenceModel'>>;
  readonly devices: readonly Device[];
  /** Nodes by name; one that is not told of is taken to be ready, without labels or taints. */
  readonly nodes?: ReadonlyMap<string, NodeInfo>;
  /** What all tenants ask for, in the order in which they are to be decided. */
  readonly requests: readonly TenantRequest[];
  /** What was promised before; decisions are sticky. */
  readonly promised?: readonly DevicePlan[];
  /** What tenants were told that they are promised: one whose record was lost goes back where it was. */
  readonly told?: ReadonlyMap<string, Told>;
  /** Keys of the tenants to decide on; all that have no place, or ask for something new, when absent. */
  readonly due?: ReadonlySet<string>;
  /** What teams may have; undefined: nobody is limited. */
  readonly quotas?: Quotas | undefined;
  /** Keys of tenants whose notice to give back what they borrowed has run out. */
  readonly noticed?: ReadonlySet<string>;
  /** How the decision before left everybody, if nothing but the tenants that are due has changed since: what it costs then depends on them. */
  readonly settled?: Settled;
}
