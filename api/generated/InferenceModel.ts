// Generated from crds/ by `make generate`; do not edit.

/**
 * A network of the catalogue and the shapes that it is offered in.
 */
export interface InferenceModel {
  apiVersion?: string;
  kind?: string;
  metadata?: {};
  spec: {
    /**
     * Where the ONNX file is, a file, http or https URI. A relative file URI starts at the manifest.
     */
    source: string;
    /**
     * Digest of the ONNX file, in lower-case hexadecimal.
     */
    sha256: string;
    input: {
      /**
       * Name of the network's input.
       */
      name: string;
      /**
       * Order of a frame's axes in the network's input.
       */
      layout?: 'NCHW' | 'NHWC';
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
      scale?: number;
      /**
       * @maxItems 4
       */
      mean?: number[];
      /**
       * @maxItems 4
       */
      std?: number[];
      colorOrder?: 'RGB' | 'BGR';
    };
  };
  status?: {
    observedGeneration?: number;
    /**
     * @maxItems 5000
     */
    nodes?: {
      name: string;
      ready: boolean;
      message?: string;
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
