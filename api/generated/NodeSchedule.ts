// Generated from crds/ by `make generate`; do not edit.

/**
 * What a node's agent was programmed with; the record of what was promised.
 */
export interface NodeSchedule {
  apiVersion?: string;
  kind?: string;
  metadata?: {};
  spec: {
    nodeName: string;
    /**
     * @maxItems 64
     */
    devices?: {
      device: number;
      /**
       * Longest best-effort run that may block real-time jobs.
       */
      bestEffortUs?: number;
      /**
       * @maxItems 1024
       */
      categories: {
        name: string;
        model: string;
        /**
         * @minItems 3
         * @maxItems 3
         */
        shape: number[];
        class: 'RealTime' | 'BestEffort';
        windowUs?: number;
        windowOffsetUs?: number;
        relativeDeadlineUs?: number;
        /**
         * @maxItems 10000
         */
        tenants: {
          namespace: string;
          name: string;
          generation?: number;
          streams: number;
          periodUs: number;
          jitterUs: number;
          deadlineUs?: number;
          /**
           * The smallest shape that its frames may be degraded to; absent, never.
           *
           * @minItems 3
           * @maxItems 3
           */
          minShape?: number[];
          lateFrames?: 'Serve' | 'Drop';
        }[];
      }[];
    }[];
  };
  status?: {
    observedGeneration?: number;
    /**
     * Where the agent takes frames, address and port.
     */
    endpoint?: string;
    /**
     * When the agent last reported; it does so at least every half minute.
     */
    reportedAt?: string;
    /**
     * What the node did for each tenant since its agent started.
     *
     * @maxItems 10000
     */
    tenants?: {
      namespace: string;
      name: string;
      framesPerSecond?: number;
      misses?: number;
      /**
       * Its frames are computed at a smaller shape, because the device is behind.
       */
      degraded?: {
        /**
         * @minItems 3
         * @maxItems 3
         */
        shape: number[];
        since: string;
      };
    }[];
    /**
     * @maxItems 64
     */
    devices?: {
      device: number;
      /**
       * Why nothing can be served on it now; absent when all is well.
       */
      failure?: string;
      framesPerSecond?: number;
      misses?: number;
      overruns?: number;
    }[];
    /**
     * @maxItems 32
     */
    conditions?: {
      type: string;
      status: 'True' | 'False' | 'Unknown';
      reason: string;
      message: string;
      observedGeneration?: number;
      lastTransitionTime: string;
    }[];
  };
}
