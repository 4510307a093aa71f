import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Version of ONNX Runtime; read without loading it, which only a device's thread does. */
export const runtimeVersion = (
  JSON.parse(readFileSync(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'), 'utf8')) as {
    version: string;
  }
).version;

/** Environment of processes that load ONNX Runtime: unless told otherwise it tells its makers about the models that it runs. */
export const runtimeEnvironment = (): NodeJS.ProcessEnv => ({ ORT_DISABLE_TELEMETRY: '1', ...process.env });
