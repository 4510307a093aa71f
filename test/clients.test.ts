import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
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
// Where the machine has no Python there are no such clients either.
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

async function casesOf(script: string, address: string): Promise<Map<string, unknown>> {
  const { stdout } = await run(python, [`${ROOT}test/clients/${script}`, address]);
  return new Map(
    stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as [string, unknown]),
  );
}

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
      repository: ['default.echo', 'default.floats'].map((name) => ({
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
      'statistics of all': ['default.echo', 'default.floats'],
    });
  });

  test('over gRPC, streams included', async () => {
    const { grpc } = await agent.logged(({ msg }) => msg === 'listening for gRPC');
    const answered = await casesOf('triton_grpc.py', grpc as string);
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
      repository: ['default.echo', 'default.floats'],
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
      const { grpc } = await agent.logged(({ msg }) => msg === 'listening for gRPC');
      const adapted = text
        .replaceAll('127.0.0.1:8080', new URL(agent.url).host)
        .replaceAll('127.0.0.1:8001', grpc as string)
        .replaceAll('default.entrance-north', 'default.floats')
        .replaceAll('160, 160', '8, 8')
        .replaceAll('"x"', '"in"');
      expect(await runners[language]!(adapted)).toMatch(/deadline_met/);
    },
  );
});
