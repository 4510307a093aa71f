// Generated from crds/ by `make generate`; do not edit.

/**
 * What a node's agent was programmed with; the record of what was promised.
 */
export interface NodeSchedule {
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
   * What the operator has promised on the node.
   */
  spec: {
    /**
     * Node whose agent serves by this.
     */
    nodeName: string;
    /**
     * Share of each device that is promised, in their order, for instance "0.42,0.10"; for people.
     */
    promised?: string;
    /**
     * How many tenants are served, promised or in spare time; for people.
     */
    tenants?: number;
    /**
     * What each of the node's devices was promised to.
     *
     * @maxItems 64
     */
    devices?: {
      /**
       * Which of the node's devices.
       */
      device: number;
      /**
       * By which execution times it was promised; absent, firmly.
       */
      promise?: 'Firm' | 'Soft';
      /**
       * How long the node's event loop may hold a frame up, and later its answer, in microseconds.
       */
      receiveUs?: number;
      /**
       * What is batched together.
       *
       * @maxItems 1024
       */
      categories: {
        /**
         * Model and shape; with /best-effort for that class.
         */
        name: string;
        /**
         * Name of the InferenceModel.
         */
        model: string;
        /**
         * Channels, height, width.
         *
         * @minItems 1
         * @maxItems 6
         */
        shape: number[];
        /**
         * Whether its tenants were given a guarantee.
         */
        class: 'RealTime' | 'BestEffort';
        /**
         * In every so many rounds the device turns to it; a power of two.
         */
        stride?: number;
        /**
         * The first of these rounds.
         */
        offset?: number;
        /**
         * Promised frames that one visit takes at most.
         */
        quota?: number;
        /**
         * From one visit to the next at most, while frames wait, in microseconds.
         */
        gapUs?: number;
        /**
         * For agents of version 0.2, which check it by their own test; in microseconds.
         */
        windowUs?: number;
        /**
         * For agents of version 0.2, which check it by their own test; in microseconds.
         */
        relativeDeadlineUs?: number;
        /**
         * Whose streams.
         *
         * @maxItems 10000
         */
        tenants: {
          /**
           * Namespace of the InferenceTenant.
           */
          namespace: string;
          /**
           * Name of the InferenceTenant.
           */
          name: string;
          /**
           * Generation of its spec that was admitted.
           */
          generation?: number;
          /**
           * How many of its streams.
           */
          streams: number;
          /**
           * Between two frames of a stream, in microseconds.
           */
          periodUs: number;
          /**
           * How much later than its period says a frame may arrive, in microseconds.
           */
          jitterUs: number;
          /**
           * From arrival to answer, in microseconds; absent for best effort.
           */
          deadlineUs?: number;
          /**
           * The smallest shape that its frames may be degraded to; absent, never.
           *
           * @minItems 3
           * @maxItems 3
           */
          minShape?: number[];
          /**
           * What becomes of frames that cannot be in time any more.
           */
          lateFrames?: 'Serve' | 'Drop';
          /**
           * What becomes of frames beyond what was promised.
           */
          beyondPromise?: 'Serve' | 'Refuse';
          /**
           * Which of the frames that wait for spare time are kept.
           */
          spareFrames?: 'All' | 'Latest';
          /**
           * The form of its frames; absent
           */
          encoding?: 'Tensor' | 'JSON' | 'JPEG' | 'PNG';
          /**
           * Images of up to so many pixels across, and `height` down, are covered by the promise; absent, none.
           */
          width?: number;
          /**
           * See `width`.
           */
          height?: number;
          /**
           * Bodies of up to so many bytes are covered; absent
           */
          maxBytes?: number;
          /**
           * How long decoding its images may take, waiting included, in microseconds.
           */
          decodeUs?: number;
          /**
           * Who may send its frames; absent, all service accounts of its namespace.
           */
          senders?: {
            /**
             * Service accounts, which show a token of audience deeprt.dev/frames.
             *
             * @maxItems 32
             */
            serviceAccounts?: {
              /**
               * Its namespace.
               */
              namespace: string;
              /**
               * Its name; absent, all of the namespace.
               */
              name?: string;
            }[];
            /**
             * Names of client certificates, each the subject's common name or one of its alternative names, such as cam-3.example.com or spiffe://example.com/cam-3.
             *
             * @maxItems 32
             */
            certificates?: string[];
            /**
             * Digests of keys of 256 bits, for cameras that can do neither; two at once while one takes the other's place.
             *
             * @maxItems 8
             */
            keys?: {
              /**
               * Of the key as it is sent, in lower-case hexadecimal.
               */
              sha256: string;
            }[];
          };
        }[];
      }[];
      /**
       * Whose frames are served in time that nobody was promised, best effort and tenants that were not admitted.
       *
       * @maxItems 10000
       */
      spare?: {
        /**
         * Name of the InferenceModel.
         */
        model: string;
        /**
         * Channels, height, width.
         *
         * @minItems 1
         * @maxItems 6
         */
        shape: number[];
        /**
         * Its class.
         */
        class: 'RealTime' | 'BestEffort';
        /**
         * Namespace of the InferenceTenant.
         */
        namespace: string;
        /**
         * Name of the InferenceTenant.
         */
        name: string;
        /**
         * Generation of its spec that was admitted.
         */
        generation?: number;
        /**
         * How many of its streams.
         */
        streams: number;
        /**
         * Between two frames of a stream, in microseconds.
         */
        periodUs: number;
        /**
         * How much later than its period says a frame may arrive, in microseconds.
         */
        jitterUs: number;
        /**
         * From arrival to answer, in microseconds; absent for best effort.
         */
        deadlineUs?: number;
        /**
         * The smallest shape that its frames may be degraded to; absent, never.
         *
         * @minItems 3
         * @maxItems 3
         */
        minShape?: number[];
        /**
         * What becomes of frames that cannot be in time any more.
         */
        lateFrames?: 'Serve' | 'Drop';
        /**
         * What becomes of frames beyond what was promised.
         */
        beyondPromise?: 'Serve' | 'Refuse';
        /**
         * Which of the frames that wait for spare time are kept.
         */
        spareFrames?: 'All' | 'Latest';
        /**
         * The form of its frames; absent
         */
        encoding?: 'Tensor' | 'JSON' | 'JPEG' | 'PNG';
        /**
         * Images of up to so many pixels across, and `height` down, are covered by the promise; absent, none.
         */
        width?: number;
        /**
         * See `width`.
         */
        height?: number;
        /**
         * Bodies of up to so many bytes are covered; absent
         */
        maxBytes?: number;
        /**
         * How long decoding its images may take, waiting included, in microseconds.
         */
        decodeUs?: number;
        /**
         * Who may send its frames; absent, all service accounts of its namespace.
         */
        senders?: {
          /**
           * Service accounts, which show a token of audience deeprt.dev/frames.
           *
           * @maxItems 32
           */
          serviceAccounts?: {
            /**
             * Its namespace.
             */
            namespace: string;
            /**
             * Its name; absent, all of the namespace.
             */
            name?: string;
          }[];
          /**
           * Names of client certificates, each the subject's common name or one of its alternative names, such as cam-3.example.com or spiffe://example.com/cam-3.
           *
           * @maxItems 32
           */
          certificates?: string[];
          /**
           * Digests of keys of 256 bits, for cameras that can do neither; two at once while one takes the other's place.
           *
           * @maxItems 8
           */
          keys?: {
            /**
             * Of the key as it is sent, in lower-case hexadecimal.
             */
            sha256: string;
          }[];
        };
      }[];
    }[];
  };
  /**
   * What the agent says.
   */
  status?: {
    /**
     * Generation of the spec that the status was made from.
     */
    observedGeneration?: number;
    /**
     * Where the agent takes frames, address and port.
     */
    endpoint?: string;
    /**
     * When the agent last reported; it does so at least every --report-period (30s).
     */
    reportedAt?: string;
    /**
     * Frames answered per second of late.
     */
    framesPerSecond?: number;
    /**
     * Promised frames answered after their deadline, or given up because of it, since the agent started.
     */
    misses?: number;
    /**
     * What the node did for each tenant since its agent started.
     *
     * @maxItems 10000
     */
    tenants?: {
      /**
       * Namespace of the InferenceTenant.
       */
      namespace: string;
      /**
       * Name of the InferenceTenant.
       */
      name: string;
      /**
       * Frames answered per second of late.
       */
      framesPerSecond?: number;
      /**
       * Promised frames answered after their deadline, or given up because of it.
       */
      misses?: number;
      /**
       * Frames that came as promised.
       */
      promisedFrames?: number;
      /**
       * Frames beyond what was promised.
       */
      spareFrames?: number;
      /**
       * Of both, those that were answered in time.
       */
      onTime?: number;
      /**
       * Its frames are computed at a smaller shape, because the device is behind.
       */
      degraded?: {
        /**
         * The shape that they are computed at.
         *
         * @minItems 1
         * @maxItems 6
         */
        shape: number[];
        /**
         * Since when.
         */
        since: string;
      };
      /**
       * The network fails on its frames again and again, so they run one by one and without a promise, apart from others'.
       */
      keptApart?: boolean;
    }[];
    /**
     * How each device does.
     *
     * @maxItems 64
     */
    devices?: {
      /**
       * Which of the node's devices.
       */
      device: number;
      /**
       * Why the newest schedule of this device was not applied; absent when it was.
       */
      refusal?: string;
      /**
       * Why nothing can be served on it now; absent when all is well.
       */
      failure?: string;
      /**
       * Frames answered per second of late.
       */
      framesPerSecond?: number;
      /**
       * Frames answered after their deadline, or given up because of it, since the agent started.
       */
      misses?: number;
      /**
       * Jobs that took longer than their WCET, since the agent started.
       */
      overruns?: number;
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
