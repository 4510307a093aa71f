// Generated from crds/ by `make generate`; do not edit.

/**
 * Devices of one kind, which teams have shares of (TenantQuota).
 */
export interface DeviceFlavor {
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
   * Which devices are of this kind. All that is given must hold; a device is of the flavor that asks for most, and of those of the first by name.
   */
  spec: {
    /**
     * Names of the hardware as GPUProfiles tell them; one that ends in * stands for all that begin so.
     *
     * @minItems 1
     * @maxItems 32
     */
    deviceNames?: string[];
    /**
     * ONNX Runtime execution providers that they were measured with.
     *
     * @minItems 1
     * @maxItems 8
     */
    executionProviders?: string[];
    /**
     * Labels of their nodes.
     */
    nodeSelector?: {
      [k: string]: string;
    };
  };
  /**
   * What was found.
   */
  status?: {
    /**
     * How many measured devices are of this kind.
     */
    devices?: number;
    /**
     * Names of their hardware.
     */
    kinds?: string;
  };
}
