// Generated from crds/ by `make generate`; do not edit.

/**
 * What a device was measured to do; written by its agent.
 */
export interface GPUProfile {
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
   * Which device it is.
   */
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
  /**
   * What was measured.
   */
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
     * Of agents of version 0.2; `stages` takes its place.
     */
    ingestUs?: number;
    /**
     * What frames take on their way to the device and back, on the node's other cores. Live frames correct it.
     */
    stages?: {
      /**
       * The longest that receiving is usually held up by something else than frames, in microseconds.
       */
      blockingUs: number;
      /**
       * A message's way to the device's thread and back, in microseconds.
       */
      channelUs: number;
      /**
       * How many images are decoded at once.
       */
      workers: number;
      /**
       * Whether the one decode worker shares its core with receiving.
       */
      sharedCore: boolean;
      /**
       * What receiving a frame and handing it over takes of the event loop.
       */
      receive: {
        /**
         * How the frame comes.
         */
        form: 'Tensor' | 'JSON' | 'Image';
        /**
         * Of each frame.
         */
        perFrameUs: number;
        /**
         * Of each KiB of its body.
         */
        perKiBUs: number;
      }[];
      /**
       * What writing an answer takes of the event loop.
       */
      answer: {
        /**
         * How outputs are written.
         */
        form: 'Binary' | 'JSON';
        /**
         * Of each answer.
         */
        perFrameUs: number;
        /**
         * Of each KiB of outputs.
         */
        perKiBUs: number;
      }[];
      /**
       * What making a tensor of a frame takes of a decode worker, where that is not done while it is received.
       */
      decode: {
        /**
         * What kind of image; JSON is a tensor in JSON.
         */
        form: 'JPEG' | 'ProgressiveJPEG' | 'PNG' | 'InterlacedPNG' | 'PNG16' | 'JSON';
        /**
         * Of each frame.
         */
        perFrameUs: number;
        /**
         * Of each million of its pixels, or of bytes of JSON.
         */
        perMillionUs: number;
      }[];
    };
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
       * What frames hold decides how long a run takes, so that live runs alone correct the figures.
       */
      byContent?: boolean;
      /**
       * Digest of everything the measurement depends on but the device; equal, the measurement is reused.
       */
      fingerprint?: string;
      /**
       * Channels, height, width.
       *
       * @minItems 1
       * @maxItems 6
       */
      shape: number[];
      /**
       * Why its frames run one by one; absent where frames in a batch are answered as they would be alone.
       */
      alone?: string;
      /**
       * One frame as a tensor, in bytes.
       */
      frameBytes?: number;
      /**
       * Outputs of one frame, in bytes.
       */
      answerBytes?: number;
      /**
       * What one frame is answered with.
       *
       * @maxItems 64
       */
      outputs?: {
        /**
         * Of the network's output.
         */
        name: string;
        /**
         * ONNX Runtime's name of the element type, such as float32.
         */
        type: string;
        /**
         * Axes, the first of which counts frames.
         *
         * @maxItems 16
         */
        dims: number[];
      }[];
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
