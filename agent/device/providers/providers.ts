import type ort from 'onnxruntime-node';

/** Where ONNX Runtime runs networks. */
export type Provider = 'cpu' | 'webgpu' | 'cuda' | 'tensorrt';

/** In the order in which `auto` tries them. */
export const PROVIDERS: readonly Provider[] = ['cuda', 'tensorrt', 'webgpu', 'cpu'];

/** How a device is used. */
export interface SessionSettings {
  readonly provider: Provider;
  /** Which of the machine's devices, as the provider counts them. */
  readonly deviceId?: number;
  /** Threads that one run may use (CPU provider). */
  readonly threads: number;
}

/** What every session on the device is created with. Nothing falls back to another provider as a whole. */
export function sessionOptions({
  provider,
  deviceId = 0,
  threads,
}: SessionSettings): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: [executionProvider(provider, deviceId)],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    // Its errors are told where they concern somebody, in our own words and log.
    logSeverityLevel: 4,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
}

function executionProvider(provider: Provider, deviceId: number): ort.InferenceSession.ExecutionProviderConfig {
  switch (provider) {
    case 'cuda':
    case 'tensorrt':
      return { name: provider, deviceId };
    case 'webgpu':
    case 'cpu':
      return { name: provider };
  }
}

/** What a machine lacks for a provider, and how to get it. */
interface Obstacle {
  readonly pattern: RegExp;
  readonly explain: (match: RegExpExecArray) => string;
}

const OBSTACLES: readonly Obstacle[] = [
  {
    pattern: /libonnxruntime_providers_\w+\.so: cannot open shared object file/,
    explain: () =>
      'ONNX Runtime’s CUDA libraries are not installed beside onnxruntime-node; get them with: deeprt install-provider cuda',
  },
  {
    pattern: /(libcuda\.so[.\d]*): cannot open shared object file/,
    explain: ([, library]) => `${library} is missing: install the NVIDIA driver (in a container: the NVIDIA runtime)`,
  },
  {
    pattern: /(libnvinfer[\w.]*\.so[.\d]*): cannot open shared object file/,
    explain: ([, library]) => `${library} is missing: install TensorRT for the same CUDA version`,
  },
  {
    pattern: /(libcudnn[\w]*\.so[.\d]*): cannot open shared object file/,
    explain: ([, library]) => `${library} is missing: install cuDNN for the same CUDA version`,
  },
  {
    pattern:
      /(lib(?:cublas|cublasLt|cudart|cufft|curand|nvrtc|nvJitLink)\.so\.(\d+)[.\d]*): cannot open shared object file/,
    explain: ([, library, version]) =>
      `${library} is missing: install the CUDA ${version} runtime libraries, or add their folder to LD_LIBRARY_PATH`,
  },
  {
    pattern: /(libvulkan\.so[.\d]*)/,
    explain: ([, library]) => `${library} is missing: install the Vulkan loader (Debian: libvulkan1)`,
  },
  {
    pattern: /Found no drivers|No supported adapters|VK_ERROR_INCOMPATIBLE_DRIVER/,
    explain: () =>
      'no usable Vulkan driver: install the GPU’s (Debian: mesa-vulkan-drivers; NVIDIA’s comes with its driver, in a container with NVIDIA_DRIVER_CAPABILITIES=graphics)',
  },
  {
    pattern: /no CUDA-capable device|CUDA_ERROR_NO_DEVICE|cudaErrorNoDevice/,
    explain: () => 'there is no NVIDIA GPU that this process may use',
  },
  {
    pattern: /CUDA driver version is insufficient|cudaErrorInsufficientDriver/,
    explain: () => 'the NVIDIA driver is too old for these CUDA libraries: update it',
  },
];

/**
 * Why a session could not be created, in words that say what to do.
 *
 * @param output what ONNX Runtime and the libraries below it printed meanwhile
 */
export function explainFailure(message: string, output: string): string {
  for (const { pattern, explain } of OBSTACLES) {
    const match = pattern.exec(output) ?? pattern.exec(message);
    if (match !== null) return explain(match);
  }
  return message.split('\n')[0]!;
}
