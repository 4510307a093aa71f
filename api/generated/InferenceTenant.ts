// Generated from crds/ by `make generate`; do not edit.

/**
 * One or more identical camera streams whose frames are to be answered within a deadline.
 */
export interface InferenceTenant {
  apiVersion?: string;
  kind?: string;
  metadata?: {};
  spec: {
    /**
     * The InferenceModel that computes the answers.
     */
    modelRef: {
      name: string;
    };
    /**
     * Channels, height and width of a frame as the model takes it; one of the model's shapes.
     *
     * @minItems 3
     * @maxItems 3
     */
    inputShape: number[];
    /**
     * Number of identical streams.
     */
    streams?: number;
    /**
     * Time between two frames of a stream, for instance 33ms or 1.5s.
     */
    period?: string;
    /**
     * Frames per second of each stream; the other way to give the period.
     */
    framesPerSecond?: number;
    /**
     * Longest time from the arrival of a frame to its answer, for instance 100ms.
     */
    deadline?: string;
    /**
     * How much later than its period says a frame may arrive; a tenth of the period when absent.
     */
    jitter?: string;
    /**
     * RealTime tenants are admitted with a guarantee; BestEffort ones use what is left.
     */
    class?: 'RealTime' | 'BestEffort';
    /**
     * Permission to compute at smaller shapes while the device is behind. Absent, never.
     */
    degradation?: {
      /**
       * @minItems 3
       * @maxItems 3
       */
      minShape: number[];
    };
    /**
     * What becomes of a frame that cannot meet its deadline any more because the device is behind. Serve answers it late, when nobody else is kept waiting; Drop refuses it at once.
     */
    lateFrames?: 'Serve' | 'Drop';
    priorityClassName?: string;
    placement?: {
      nodeSelector?: {
        [k: string]: string;
      };
      /**
       * @maxItems 32
       */
      tolerations?: {
        key?: string;
        operator?: 'Exists' | 'Equal';
        value?: string;
        effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
        tolerationSeconds?: number;
      }[];
      /**
       * Pack fills one device before the next, Spread evens them out.
       */
      strategy?: 'Pack' | 'Spread';
      /**
       * Whether the tenant's streams may go to several devices.
       */
      allowSplit?: boolean;
    };
  };
  status?: {
    observedGeneration?: number;
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
    /**
     * Where the streams are served.
     *
     * @maxItems 64
     */
    placements?: {
      node: string;
      device: number;
      streams: number;
      category: string;
      windowUs: number;
      windowOffsetUs?: number;
      relativeDeadlineUs: number;
      endpoint?: string;
    }[];
    framesPerSecond?: number;
    /**
     * Share of its devices that the tenant was promised, for instance "0.12".
     */
    utilization?: string;
    misses?: number;
    /**
     * What would be admitted now instead; each figure with the others as asked for.
     */
    offer?: {
      framesPerSecond?: number;
      deadline?: string;
      streams?: number;
    };
  };
}
