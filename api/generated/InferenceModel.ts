// Generated from crds/ by `make generate`; do not edit.

/**
 * A network of the catalogue and the shapes that it is offered in.
 */
export interface InferenceModel {
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
   * Where the network is, and how frames are made into its input.
   */
  spec: {
    /**
     * Where the ONNX file is, a file, http or https URI. A relative file URI starts at the manifest.
     */
    source: string;
    /**
     * Digest of the ONNX file, in lower-case hexadecimal.
     */
    sha256: string;
    /**
     * Files that the ONNX file keeps weights in, where they come over HTTP, or their names do not begin with its own.
     *
     * @maxItems 64
     */
    externalData?: {
      /**
       * As the ONNX file names it, relative to itself.
       */
      name: string;
      /**
       * Digest of the file, in lower-case hexadecimal.
       */
      sha256: string;
    }[];
    /**
     * The network's input that frames are for.
     */
    input?: {
      /**
       * Its name; when absent, the network's only input, or its only one with four axes.
       */
      name?: string;
      /**
       * Order of a frame's axes in it; when absent, as the network's axes say, else NCHW.
       */
      layout?: 'NCHW' | 'NHWC';
      /**
       * Type of its elements, which must be the network's; when absent, the network's.
       */
      elementType?:
        | 'float16'
        | 'float32'
        | 'float64'
        | 'int8'
        | 'int16'
        | 'int32'
        | 'int64'
        | 'uint8'
        | 'uint16'
        | 'uint32'
        | 'uint64'
        | 'bool';
    };
    /**
     * The network's other inputs, where it leaves their axes free. Each frame brings a tensor for each of them.
     *
     * @maxItems 16
     */
    otherInputs?: {
      /**
       * Its name.
       */
      name: string;
      /**
       * Its axes for one frame, without the batch axis.
       *
       * @maxItems 6
       */
      shape?: number[];
      /**
       * Type of its elements, which must be the network's; when absent, the network's.
       */
      elementType?:
        | 'float16'
        | 'float32'
        | 'float64'
        | 'int8'
        | 'int16'
        | 'int32'
        | 'int64'
        | 'uint8'
        | 'uint16'
        | 'uint32'
        | 'uint64'
        | 'bool';
    }[];
    /**
     * Shapes (channels, height, width) the network is offered in, largest first. When absent, the network's own. Of what is no image, its axes, and one shape only.
     *
     * @minItems 1
     * @maxItems 8
     */
    shapes?: number[][];
    /**
     * Whether frames share runs. A network that takes one frame at a time, or answers otherwise in a batch, is run frame by frame in any case.
     */
    batching?: 'Auto' | 'None';
    /**
     * Largest batch that is measured and run at once.
     */
    maxBatchSize?: number;
    /**
     * How an encoded image becomes input; value = (pixel * scale - mean) / std per channel.
     */
    preprocessing?: {
      /**
       * Factor on a pixel's 0 to 255.
       */
      scale?: number;
      /**
       * Per channel, subtracted after scaling; 0 when absent.
       *
       * @maxItems 4
       */
      mean?: number[];
      /**
       * Per channel, divided by at last; 1 when absent.
       *
       * @maxItems 4
       */
      std?: number[];
      /**
       * Order of the channels.
       */
      colorOrder?: 'RGB' | 'BGR';
      /**
       * How an image of another size becomes the input's. Stretch scales both sides by themselves, Letterbox keeps their proportion and fills what is left at both ends.
       */
      resize?: 'Stretch' | 'Letterbox';
      /**
       * With Letterbox, the value of all channels of what is filled.
       */
      padding?: number;
    };
  };
  /**
   * Where it can be served.
   */
  status?: {
    /**
     * Generation of the spec that the status was made from.
     */
    observedGeneration?: number;
    /**
     * The nodes that can serve it, for instance "edge-1,edge-2"; beyond eight, how many more.
     */
    readyNodes?: string;
    /**
     * What agents say of the model.
     *
     * @maxItems 5000
     */
    nodes?: {
      /**
       * Name of the node.
       */
      name: string;
      /**
       * Whether the node can serve the model.
       */
      ready: boolean;
      /**
       * Why not.
       */
      message?: string;
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
