// Generated from crds/ by `make generate`; do not edit.

/**
 * What a namespace's team has of its TenantQuota, for those who may read the namespace only. Written by the operator, one in each namespace that a quota is for, by the quota's name.
 */
export interface TenantShare {
  /**
   * deeprt.dev/v1alpha1.
   */
  apiVersion?: string;
  /**
   * The kind of object.
   */
  kind?: string;
  metadata?: {};
  /**
   * The team's share, and what of it this namespace has.
   */
  status?: {
    /**
     * Quotas of the same cohort lend each other what they do not use.
     */
    cohort?: string;
    /**
     * What the team's promises cost of each flavor, of its nominal quota, in a few words.
     */
    used?: string;
    /**
     * What this namespace's promises cost, in device-milliseconds a second.
     */
    usedHere?: number;
    /**
     * What the team's promises cost beyond nominal quotas.
     */
    borrowed?: number;
    /**
     * How many of the team's tenants are not promised what they ask for.
     */
    pendingTenants?: number;
    /**
     * The same by kind of device.
     */
    flavors?: {
      /**
       * The DeviceFlavor.
       */
      name: string;
      /**
       * The nominal quota.
       */
      nominal: number;
      /**
       * What the team's promises cost.
       */
      used: number;
      /**
       * What this namespace's promises cost.
       */
      usedHere: number;
      /**
       * What the team's cost beyond the nominal quota.
       */
      borrowed: number;
    }[];
  };
}
