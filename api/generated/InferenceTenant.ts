// Generated from crds/ by `make generate`; do not edit.

/**
 * One or more identical camera streams whose frames are to be answered within a deadline.
 */
export interface InferenceTenant {
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
   * What the streams send, and within which time they want answers.
   */
  spec: {
    /**
     * The InferenceModel that computes the answers.
     */
    modelRef: {
      /**
       * Name of the InferenceModel.
       */
      name: string;
    };
    /**
     * Channels, height and width of a frame as the model takes it, or the axes of what is no image; one of the model's shapes.
     *
     * @minItems 1
     * @maxItems 6
     */
    inputShape: number[];
    /**
     * Number of identical streams.
     */
    streams?: number;
    /**
     * How many of the streams may be promised where not all can be, now or when what a team has borrowed is given back; all or none when absent. Frames beyond are spare ones.
     */
    minStreams?: number;
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
     * RealTime tenants are admitted with a promise; BestEffort ones use the time that nobody was promised.
     */
    class?: 'RealTime' | 'BestEffort';
    /**
     * Permission to compute at smaller shapes while the device is behind. Absent, never.
     */
    degradation?: {
      /**
       * The smallest shape that frames may be computed at.
       *
       * @minItems 3
       * @maxItems 3
       */
      minShape: number[];
    };
    /**
     * Who may send its frames; absent, all service accounts of its own namespace.
     */
    senders?: {
      /**
       * Service accounts, which show a token of audience deeprt.dev/frames.
       *
       * @maxItems 32
       */
      serviceAccounts?: {
        /**
         * Its namespace; absent, the tenant's.
         */
        namespace?: string;
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
    /**
     * What the tenant sends; the promise covers frames up to that, and larger ones are answered in spare time. Absent, tensors, and images of up to 1920x1080 pixels as far as the node has decoding left when the tenant is admitted (status.placements says).
     */
    frames?: {
      /**
       * The form of its frames. Tensor is a binary tensor, JSON a tensor in JSON.
       */
      encoding?: 'Tensor' | 'JSON' | 'JPEG' | 'PNG';
      /**
       * Pixels across of its largest images; 1920 when absent.
       */
      width?: number;
      /**
       * Pixels down of its largest images; 1080 when absent.
       */
      height?: number;
      /**
       * Its largest bodies; when absent what a tensor of the model's shape takes, four times that in JSON, and for images a quarter of a byte a pixel of JPEG, 2.5 of PNG. Images above 16 MiB and gRPC messages above 64 MiB are refused in any case.
       */
      maxBytes?: number;
    };
    /**
     * What becomes of frames beyond what was promised, and of all frames while the tenant is not admitted. Serve answers them in time that nobody was promised, Refuse turns them away; a tenant that is not admitted is served on no node then. Without effect for class BestEffort.
     */
    beyondPromise?: 'Serve' | 'Refuse';
    /**
     * Which of the frames that wait for spare time are kept. All keeps a bounded number, Latest only the newest of each stream, told apart by sequence_id or else by connection.
     */
    spareFrames?: 'All' | 'Latest';
    /**
     * What becomes of a promised frame that cannot meet its deadline any more because the device is behind. Serve answers it within 2 s of that, when nobody else is kept waiting; Drop refuses it at once. Spare frames that wait too long are always refused.
     */
    lateFrames?: 'Serve' | 'Drop';
    /**
     * Whether the tenant gives its place up for now: nothing is promised, no frame is served, the manifest stays. kubectl deeprt pause and resume set it.
     */
    suspend?: boolean;
    /**
     * PriorityClass that says who comes first, and who gives way, where not all fit; the cluster's default when absent.
     */
    priorityClassName?: string;
    /**
     * Which nodes may serve the tenant, and how its streams are spread.
     */
    placement?: {
      /**
       * Labels that a node must have.
       */
      nodeSelector?: {
        [k: string]: string;
      };
      /**
       * Taints of nodes that do not keep the tenant away, as in a Pod.
       *
       * @maxItems 32
       */
      tolerations?: {
        /**
         * Key of the taint; absent, with operator Exists, every taint.
         */
        key?: string;
        /**
         * Exists takes any value of the key, Equal the one given.
         */
        operator?: 'Exists' | 'Equal';
        /**
         * Value of the taint.
         */
        value?: string;
        /**
         * Effect of the taint; absent, every effect.
         */
        effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
        /**
         * Taken as in a Pod, and of no effect: a tolerated taint is tolerated for as long as it lasts.
         */
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
  /**
   * What the operator decided, and what the agents do.
   */
  status?: {
    /**
     * Generation of the spec that the status was made from.
     */
    observedGeneration?: number;
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
    /**
     * Where the streams are served.
     *
     * @maxItems 64
     */
    placements?: {
      /**
       * Node that serves.
       */
      node: string;
      /**
       * Which of the node's devices.
       */
      device: number;
      /**
       * How many of the tenant's streams.
       */
      streams: number;
      /**
       * Model and shape that its frames are batched by.
       */
      category: string;
      /**
       * Whether frames are answered there now.
       */
      ready?: boolean;
      /**
       * Whether the frames were promised to be in time; otherwise they are served in spare time.
       */
      promised?: boolean;
      /**
       * While frames wait, the device turns to the category at least this often, in microseconds.
       */
      gapUs?: number;
      /**
       * Promised frames of the category that one such visit takes at most.
       */
      quota?: number;
      /**
       * What the promise covers: the largest images, or Tensor or JSON.
       */
      covers?: string;
      /**
       * Where the node's agent takes frames, address and port.
       */
      endpoint?: string;
    }[];
    /**
     * Where its frames go to, from inside the cluster.
     */
    url?: string;
    /**
     * How many of its streams are promised.
     */
    streams?: number;
    /**
     * The nodes of the placements, for instance "edge-1,edge-2".
     */
    nodes?: string;
    /**
     * What is promised now, for instance "4x10fps/250ms" for four streams; after a change that is refused, what was promised before. Absent without a promise.
     */
    promised?: string;
    /**
     * Why each node that was looked at does not take what was asked for; absent when it is promised.
     *
     * @maxItems 16
     */
    refusals?: {
      /**
       * The node.
       */
      node: string;
      /**
       * Why, in one word; docs/troubleshooting.md explains them.
       */
      reason: string;
      /**
       * Why, for people.
       */
      message: string;
    }[];
    /**
     * What was asked for per stream, however it was written.
     */
    framesPerSecond?: number;
    /**
     * Share of its devices that the tenant was promised, for instance "0.12"; absent without a promise.
     */
    utilization?: string;
    /**
     * What the promise costs of the team's TenantQuota, in device-milliseconds a second; absent without a quota.
     */
    charged?: number;
    /**
     * Promised frames answered after their deadline, or given up because of it, since the agents started; absent without a promise.
     */
    misses?: number;
    /**
     * Frames that came as promised, since the agents started.
     */
    promisedFrames?: number;
    /**
     * Frames beyond what was promised, since the agents started.
     */
    spareFrames?: number;
    /**
     * Share of all frames, promised or not, that were answered in time since the agents started, for instance "0.998".
     */
    onTimeRatio?: string;
    /**
     * What would be admitted now instead; each figure with the others as asked for.
     */
    offer?: {
      /**
       * Highest rate per stream.
       */
      framesPerSecond?: number;
      /**
       * Shortest deadline.
       */
      deadline?: string;
      /**
       * Largest number of streams.
       */
      streams?: number;
      /**
       * What spec.minStreams would have to be as well for that number of streams; absent where it may stay.
       */
      minStreams?: number;
      /**
       * Largest images, for instance 1280x720, or Tensor where none fit but tensors do.
       */
      frames?: string;
    };
  };
}
