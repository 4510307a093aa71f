// Generated from crds/ by `make generate`; do not edit.

/**
 * What a device was measured to do; written by its agent.
 */
export interface GPUProfile {
  apiVersion?: string;
  kind?: string;
  metadata?: {};
  spec: {
    nodeName: string;
    device: number;
  };
  status?: {
    device?: {
      name: string;
      executionProvider: string;
      /**
       * What models may take on it together.
       */
      memoryBytes?: number;
      driverVersion?: string;
      runtimeVersion?: string;
      threads?: number;
    };
    /**
     * What the dispatcher spends on a job; part of every E(n).
     */
    dispatchOverheadUs?: number;
    /**
     * Longest time from a frame's arrival to its window and from its result to its answer; taken from every deadline and added to every jitter.
     */
    ingestUs?: number;
    measuredAt?: string;
    /**
     * How long the last measurement took.
     */
    profilingSeconds?: number;
    /**
     * By which part a second look at medians differed from the first, at most; 0.1 is a tenth.
     */
    unsteadiness?: number;
    /**
     * What else ran while measuring, and the margin on top of it.
     */
    load?: string;
    /**
     * Which models of the catalogue can be served, and why not the others.
     *
     * @maxItems 1024
     */
    models?: {
      name: string;
      sha256?: string;
      ready: boolean;
      message?: string;
      /**
       * What the model takes once it is loaded.
       */
      memoryBytes?: number;
    }[];
    /**
     * @maxItems 1024
     */
    categories?: {
      model: string;
      sha256?: string;
      /**
       * Digest of everything the measurement depends on but the device; equal, the measurement is reused.
       */
      fingerprint?: string;
      /**
       * @minItems 3
       * @maxItems 3
       */
      shape: number[];
      /**
       * Per frame, to make it from a frame of the model's largest shape.
       */
      resizeUs?: number;
      /**
       * E(n) at the measured batch sizes.
       *
       * @minItems 1
       * @maxItems 512
       */
      batches: {
        size: number;
        p50Us?: number;
        p99Us?: number;
        wcetUs: number;
        runs?: number;
        /**
         * What its model takes beyond its weights once batches of this size have run.
         */
        memoryBytes?: number;
      }[];
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
