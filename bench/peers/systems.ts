import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { DEEPRT } from '../../hack/example-manifests.js';
import type { Cameras, Sender } from './cameras.js';
import { freePort } from '../../hack/free-port.js';
import type { Served } from './serve.js';
import { serve } from './serve.js';

/** A network that all systems serve. */
export interface Network {
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
  readonly input: string;
  readonly output: string;
  /** Axes of the output besides that of the batch. */
  readonly outputAxes: number;
  /** Channels, height and width. */
  readonly dims: readonly number[];
  readonly maxBatch: number;
}

/** Who sends frames to which network. */
export interface Tenant {
  readonly cameras: Cameras;
  readonly network: Network;
  /** Of its manifest, what differs from what its cameras do. */
  readonly asks?: Readonly<Record<string, unknown>>;
}

export interface Running extends Served {
  readonly url: string;
  /** Where it takes gRPC, if it does. */
  readonly grpc?: string;
  readonly senderOf: (tenant: Tenant) => Sender;
}

export interface System {
  readonly name: string;
  /** How it was tuned, for the table. */
  readonly settings: string;
  readonly start: (tenants: readonly Tenant[], dir: string) => Promise<Running>;
}

export interface Environment {
  readonly python: string;
  readonly site: string;
  /** Where this folder's Python files are. */
  readonly sources: string;
}

/** Threads that one run may use, in every system. */
const THREADS = 1;

const networksOf = (tenants: readonly Tenant[]): Network[] => [...new Set(tenants.map(({ network }) => network))];

/** The shortest deadline of whoever sends to a network. */
const deadlineMsOf = (tenants: readonly Tenant[], network: Network): number =>
  Math.min(...tenants.filter((each) => each.network === network).map(({ cameras }) => cameras.deadlineMs));

export const frameOf = ({ dims }: Network): Buffer => {
  const frame = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
  for (let i = 0; i < frame.length; i++) frame[i] = (((i * 7919) % 1000) - 500) / 500;
  return Buffer.from(frame.buffer);
};

/** A frame as a binary tensor of the Open Inference Protocol. */
function tensorSender(path: string, network: Network): Sender {
  const frame = frameOf(network);
  const head = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: network.input,
          datatype: 'FP32',
          shape: [1, ...network.dims],
          parameters: { binary_data_size: frame.length },
        },
      ],
      parameters: { binary_data_output: true },
    }),
  );
  return {
    path,
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': `${head.length}`,
    },
    body: Buffer.concat([head, frame]),
  };
}

/** Ours: tenants as manifests, admitted where they fit, the rest served in spare time. */
export const deeprt = (stateDir: string): System => ({
  name: 'DeepRT',
  settings: 'defaults; placement Spread, allowSplit',
  start: async (tenants, dir) => {
    const port = await freePort();
    const models = networksOf(tenants).map(({ name, path, sha256, input, dims, maxBatch }) => ({
      apiVersion: 'deeprt.dev/v1alpha1',
      kind: 'InferenceModel',
      metadata: { name },
      spec: { source: `file://${path}`, sha256, input: { name: input }, shapes: [dims], maxBatchSize: maxBatch },
    }));
    const asked = tenants.map(({ cameras, network, asks }) => ({
      apiVersion: 'deeprt.dev/v1alpha1',
      kind: 'InferenceTenant',
      metadata: { name: cameras.tenant, namespace: 'default' },
      spec: {
        modelRef: { name: network.name },
        inputShape: network.dims,
        streams: cameras.streams,
        framesPerSecond: cameras.fps,
        deadline: `${cameras.deadlineMs}ms`,
        frames: { encoding: 'Tensor' },
        placement: { strategy: 'Spread', allowSplit: true },
        ...asks,
      },
    }));
    await writeFile(join(dir, 'manifests.yaml'), [...models, ...asked].map((each) => stringify(each)).join('---\n'));
    const args = [DEEPRT, 'standalone', '-f', dir, '--provider', 'cpu', '--threads', `${THREADS}`];
    const grpc = `127.0.0.1:${await freePort()}`;
    const served = await serve(
      process.execPath,
      [...args, '--state', stateDir, '--listen', `127.0.0.1:${port}`, '--grpc', grpc],
      { cwd: dir },
      `http://127.0.0.1:${port}/v2/health/ready`,
    );
    return {
      url: `http://127.0.0.1:${port}`,
      grpc,
      senderOf: ({ cameras, network }) => tensorSender(`/v2/models/default.${cameras.tenant}/infer`, network),
      ...served,
    };
  },
});

/** The real Triton Inference Server with its dynamic batcher, networks in its Python backend. */
export const triton = ({ site, sources }: Environment, rejects: boolean): System => {
  const delayUs = 2000;
  return {
    name: rejects ? 'Triton, with time-outs' : 'Triton',
    settings: `dynamic_batching, queue delay ${delayUs} us${rejects ? ', frames rejected that wait as long as the shortest deadline' : ''}`,
    start: async (tenants, dir) => {
      const port = await freePort();
      const bundled = join(site, 'pytriton', 'tritonserver');
      await mkdir(join(dir, 'backends', 'python'), { recursive: true });
      for (const file of ['backends/python/libtriton_python.so', 'backends/python/triton_python_backend_utils.py'])
        await symlink(join(bundled, file), join(dir, file));
      const stub = 'triton_python_backend_stub';
      await symlink(join(bundled, 'python_backend_stubs', '3.11', stub), join(dir, 'backends', 'python', stub));
      for (const network of networksOf(tenants)) {
        const { name, path, input, output, outputAxes, dims, maxBatch } = network;
        const policy = rejects
          ? `default_queue_policy { timeout_action: REJECT default_timeout_microseconds: ${1000 * deadlineMsOf(tenants, network)} }`
          : '';
        await mkdir(join(dir, 'models', name, '1'), { recursive: true });
        await copyFile(join(sources, 'triton_model.py'), join(dir, 'models', name, '1', 'model.py'));
        await writeFile(
          join(dir, 'models', name, 'config.pbtxt'),
          `name: "${name}"
backend: "python"
max_batch_size: ${maxBatch}
input [{ name: "${input}" data_type: TYPE_FP32 dims: [${dims.join(', ')}] }]
output [{ name: "${output}" data_type: TYPE_FP32 dims: [${Array.from({ length: outputAxes }, () => -1).join(', ')}] }]
instance_group [{ kind: KIND_CPU count: 1 }]
dynamic_batching { max_queue_delay_microseconds: ${delayUs} ${policy} }
parameters [
  { key: "path" value: { string_value: "${path}" } },
  { key: "threads" value: { string_value: "${THREADS}" } }
]
`,
        );
      }
      const args = ['--model-repository', join(dir, 'models'), '--backend-directory', join(dir, 'backends')];
      const [host, grpcPort] = ['127.0.0.1', await freePort()];
      const served = await serve(
        join(bundled, 'bin', 'tritonserver'),
        [
          ...args,
          ...[`--http-address=${host}`, `--http-port=${port}`, '--allow-metrics=false'],
          ...[`--grpc-address=${host}`, `--grpc-port=${grpcPort}`],
        ],
        { cwd: dir, env: { PEER_SITE: site } },
        `http://127.0.0.1:${port}/v2/health/ready`,
      );
      return {
        url: `http://127.0.0.1:${port}`,
        grpc: `${host}:${grpcPort}`,
        senderOf: ({ network }) => tensorSender(`/v2/models/${network.name}/infer`, network),
        ...served,
      };
    },
  };
};

const peerModels = (tenants: readonly Tenant[]): object[] =>
  networksOf(tenants).map((network) => ({ ...network, deadlineMs: deadlineMsOf(tenants, network) }));

export const bentoml = ({ python, sources }: Environment): System => ({
  name: 'BentoML',
  settings: 'adaptive batching, max_latency_ms the shortest deadline',
  start: async (tenants, dir) => {
    const port = await freePort();
    const networks = networksOf(tenants);
    const served = await serve(
      python,
      ['-m', 'bentoml', 'serve', 'bento_app:Door', '--host', '127.0.0.1', '--port', `${port}`],
      {
        cwd: sources,
        env: {
          PEER_SETTINGS: JSON.stringify({ threads: THREADS, models: peerModels(tenants) }),
          BENTOML_HOME: dir,
          BENTOML_DO_NOT_TRACK: 'True',
        },
      },
      `http://127.0.0.1:${port}/readyz`,
    );
    return {
      url: `http://127.0.0.1:${port}`,
      senderOf: ({ network }) => ({
        path: `/frames/${networks.indexOf(network)}`,
        headers: { 'content-type': 'application/octet-stream' },
        body: frameOf(network),
      }),
      ...served,
    };
  },
});

export const litserve = ({ python, sources }: Environment): System => {
  const delayMs = 2;
  const boundary = 'frame-boundary';
  return {
    name: 'LitServe',
    settings: `batch_timeout ${delayMs} ms`,
    start: async (tenants, dir) => {
      const port = await freePort();
      const settings = JSON.stringify({ threads: THREADS, delayMs, models: peerModels(tenants) });
      const served = await serve(
        python,
        [join(sources, 'litserve_app.py'), `${port}`, settings],
        { cwd: dir },
        `http://127.0.0.1:${port}/health`,
      );
      return {
        url: `http://127.0.0.1:${port}`,
        senderOf: ({ network }) => ({
          path: `/${network.name}`,
          headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
          body: Buffer.concat([
            Buffer.from(
              `--${boundary}\r\ncontent-disposition: form-data; name="frame"; filename="frame"\r\ncontent-type: application/octet-stream\r\n\r\n`,
            ),
            frameOf(network),
            Buffer.from(`\r\n--${boundary}--\r\n`),
          ]),
        }),
        ...served,
      };
    },
  };
};
