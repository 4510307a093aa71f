import { describe, expect, test } from '@jest/globals';
import { explainFailure, sessionOptions } from './providers.js';

/** What ONNX Runtime 1.30.0 prints and throws, and what it comes down to. */
const library = '/app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_';
const failed = (what: string): string => `[E:onnxruntime] FAIL : Failed to load library ${what}`;
const thrown = 'OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library';

describe('a provider that cannot be used', () => {
  test.each<[string, string, string, RegExp]>([
    [
      'provider libraries that are not installed',
      thrown,
      failed(
        `${library}shared.so with error: ${library}shared.so: cannot open shared object file: No such file or directory`,
      ),
      /deeprt install-provider cuda/,
    ],
    [
      'a missing CUDA runtime',
      thrown,
      failed(
        `${library}cuda.so with error: libcublasLt.so.13: cannot open shared object file: No such file or directory`,
      ),
      /^libcublasLt\.so\.13 is missing: install the CUDA 13 runtime/,
    ],
    [
      'missing cuDNN',
      thrown,
      failed(`${library}cuda.so with error: libcudnn.so.9: cannot open shared object file: No such file or directory`),
      /^libcudnn\.so\.9 is missing: install cuDNN/,
    ],
    [
      'missing TensorRT',
      thrown,
      failed(
        `${library}tensorrt.so with error: libnvinfer.so.10: cannot open shared object file: No such file or directory`,
      ),
      /^libnvinfer\.so\.10 is missing: install TensorRT/,
    ],
    [
      'no Vulkan driver',
      'Failed to get a WebGPU adapter: No supported adapters',
      'Warning: vkCreateInstance: Found no drivers!',
      /^no usable Vulkan driver/,
    ],
    ['something else', 'it broke\nat some line', '', /^it broke$/],
  ])('says what to do about %s', (_what, message, output, told) => {
    expect(explainFailure(message, output)).toMatch(told);
  });

  test('is never replaced by another one in silence', () => {
    expect(sessionOptions({ provider: 'cuda', deviceId: 1, threads: 2 }).executionProviders).toEqual([
      { name: 'cuda', deviceId: 1 },
    ]);
    expect(sessionOptions({ provider: 'webgpu', threads: 2 }).executionProviders).toEqual([{ name: 'webgpu' }]);
  });
});
