// Generated from crds/ by `make generate`; do not edit.

/**
 * What a team's namespaces may be promised together of each kind of device.
 */
export interface TenantQuota {
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
   * Whose quota it is, and how much.
   */
  spec: {
    /**
     * The team's namespaces, by their labels; of several quotas that select one, the first by name counts.
     */
    namespaceSelector: {
      /**
       * Labels that they have.
       */
      matchLabels?: {
        [k: string]: string;
      };
      /**
       * What must hold of their labels besides.
       *
       * @maxItems 16
       */
      matchExpressions?: {
        /**
         * The label's key.
         */
        key: string;
        /**
         * How it is compared.
         */
        operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
        /**
         * What it is compared with.
         *
         * @maxItems 64
         */
        values?: string[];
      }[];
    };
    /**
     * Quotas of the same cohort lend each other what they do not use.
     */
    cohort?: string;
    /**
     * How much the team may borrow in proportion to others; who has borrowed most for its weight gives back first.
     */
    weight?: number;
    /**
     * Shares by kind of device. Of kinds that are not named, and of devices of no kind, the team gets nothing.
     *
     * @minItems 1
     * @maxItems 16
     */
    flavors: {
      /**
       * A DeviceFlavor.
       */
      name: string;
      /**
       * What the team's promises may cost together, in device-milliseconds a second; a device that is always busy does 1000. A tenant costs streams × rate × the time of one frame alone.
       */
      nominalQuota: number;
      /**
       * What it may have beyond that while others of the cohort do not use theirs; as much as there is, when absent.
       */
      borrowingLimit?: number;
      /**
       * What others may have of it while it is not used; all of it when absent.
       */
      lendingLimit?: number;
    }[];
    /**
     * PriorityClasses that the team's tenants may name; any when absent.
     *
     * @maxItems 32
     */
    priorityClassNames?: string[];
    /**
     * How many tenants may be promised anything.
     */
    maxTenants?: number;
    /**
     * How many streams they may have together.
     */
    maxStreams?: number;
  };
  /**
   * What the team has.
   */
  status?: {
    /**
     * Generation that the status is about.
     */
    observedGeneration?: number;
    /**
     * Active says whether the quota is in force.
     */
    conditions?: {
      /**
       * Active.
       */
      type: string;
      /**
       * True or False.
       */
      status: 'True' | 'False' | 'Unknown';
      /**
       * Why
       */
      reason: string;
      /**
       * Why
       */
      message: string;
      /**
       * Since when.
       */
      lastTransitionTime: string;
      /**
       * Generation that it is about.
       */
      observedGeneration?: number;
    }[];
    /**
     * How many namespaces it is for.
     */
    namespaces?: number;
    /**
     * How many tenants are promised something.
     */
    tenants?: number;
    /**
     * How many streams they have.
     */
    streams?: number;
    /**
     * How many tenants are not promised what they ask for.
     */
    pendingTenants?: number;
    /**
     * What promises cost of each flavor, of its nominal quota, in a few words.
     */
    used?: string;
    /**
     * What they cost beyond nominal quotas, in device-milliseconds a second.
     */
    borrowed?: number;
    /**
     * The same by kind of device, in device-milliseconds a second.
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
       * What is promised costs so much.
       */
      used: number;
      /**
       * Of it, beyond the nominal quota.
       */
      borrowed: number;
      /**
       * What tenants without a promise would cost here.
       */
      pending: number;
    }[];
  };
}
