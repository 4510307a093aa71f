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
     * The network's input.
     */
    input: {
      /**
       * Name of the network's input.
       */
      name: string;
      /**
       * Order of a frame's axes in the network's input.
       */
      layout?: 'NCHW' | 'NHWC';
      /**
       * Type of the input's elements.
       */
      elementType?: 'float32' | 'uint8';
    };
    /**
     * Shapes (channels, height, width) the network is offered in, largest first.
     *
     * @minItems 1
     * @maxItems 8
     */
    shapes: number[][];
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
