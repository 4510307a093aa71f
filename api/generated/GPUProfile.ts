// Generated from crds/ by `make generate`; do not edit.

/**
 * What a device was measured to do; written by its agent.
 */
export interface GPUProfile {
  apiVersion?: string;
  kind?: string;
  metadata?: {};
  spec: {
    /**
     * Node that the device is of.
     */
    nodeName: string;
    /**
     * Which of the node's devices.
     */
    device: number;
  };
  status?: {
    /**
     * What the device is.
     */
    device?: {
      /**
       * Name of the hardware.
       */
      name: string;
      /**
       * ONNX Runtime execution provider that it was measured with.
       */
      executionProvider: string;
      /**
       * What models may take on it together.
       */
      memoryBytes?: number;
      /**
       * Version of its driver.
       */
      driverVersion?: string;
      /**
       * Version of ONNX Runtime.
       */
      runtimeVersion?: string;
      /**
       * Cores that one run may use (cpu provider).
       */
      threads?: number;
    };
    /**
     * What the dispatcher spends on a job; part of every E(n).
     */
    dispatchOverheadUs?: number;
    /**
     * The longest of `ingest`, for operators of version 0.2.
     */
    ingestUs?: number;
    /**
     * What frames take outside the device, by the form in which they come; taken from the deadlines and added to the jitter of the tenants that send them.
     */
    ingest?: {
      /**
       * How the frames come. Measured with the network's own shape, images with 640x480 pixels.
       */
      encoding: 'Tensor' | 'JSON' | 'JPEG' | 'PNG';
      /**
       * Longest time from a frame's arrival to the device and from its result to its answer, with the margin of WCETs.
       */
      ingestUs: number;
      /**
       * Of it, what making the frame ready was measured to take; live frames correct it.
       */
      preparedUs?: number;
    }[];
    /**
     * When it was last measured.
     */
    measuredAt?: string;
    /**
     * How long the last measurement took.
     */
    profilingSeconds?: number;
    /**
     * By which execution times the device is promised. Firm, by the WCETs, which have a margin: a promised frame is late only when the device is not what was measured. Soft, by the 99th percentiles, since only sums of runs matter: more is promised, of which at most 0.1 % may be late; becomes Firm when live frames show more.
     */
    promise?: 'Firm' | 'Soft';
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
      /**
       * Name of the InferenceModel.
       */
      name: string;
      /**
       * Digest of the file that was loaded.
       */
      sha256?: string;
      /**
       * Whether it can be served.
       */
      ready: boolean;
      /**
       * Why not.
       */
      message?: string;
      /**
       * What the model takes once it is loaded.
       */
      memoryBytes?: number;
    }[];
    /**
     * What was measured, per model and shape.
     *
     * @maxItems 1024
     */
    categories?: {
      /**
       * Name of the InferenceModel.
       */
      model: string;
      /**
       * Digest of the file that was measured.
       */
      sha256?: string;
      /**
       * Digest of everything the measurement depends on but the device; equal, the measurement is reused.
       */
      fingerprint?: string;
      /**
       * Channels, height, width.
       *
       * @minItems 3
       * @maxItems 3
       */
      shape: number[];
      /**
       * Why its frames run one by one; absent where frames in a batch are answered as they would be alone.
       */
      alone?: string;
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
        /**
         * Frames in the batch.
         */
        size: number;
        /**
         * Median duration of a run, in microseconds.
         */
        p50Us?: number;
        /**
         * 99th percentile of a run, in microseconds.
         */
        p99Us?: number;
        /**
         * E(n), what promises are made by, in microseconds.
         */
        wcetUs: number;
        /**
         * Number of runs measured.
         */
        runs?: number;
        /**
         * What its model takes beyond its weights once batches of this size have run.
         */
        memoryBytes?: number;
      }[];
    }[];
    /**
     * What is the case, one entry per type; docs/troubleshooting.md explains the reasons.
     *
     * @maxItems 32
     */
    conditions?: {
      /**
       * What the condition is about.
       */
      type: string;
      /**
       * Whether it is the case.
       */
      status: 'True' | 'False' | 'Unknown';
      /**
       * Why, in one word that does not change between versions.
       */
      reason: string;
      /**
       * Why, for people.
       */
      message: string;
      /**
       * Generation of the spec that it was said of.
       */
      observedGeneration?: number;
      /**
       * When the status last changed.
       */
      lastTransitionTime: string;
    }[];
  };
}
