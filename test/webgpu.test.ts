import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments, stringify } from 'yaml';
import type { Running } from './support/cli.js';
import { deeprt, standaloneAnew } from './support/cli.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace, tenantManifest } from './support/workspace.js';

/** The whole agent on the WebGPU provider with a real pretrained network, over a Vulkan driver that runs on the CPU. */

const repository = fileURLToPath(new URL('../../', import.meta.url));
const MODEL = 'text-direction';
const FRAMES = ['signs-1.jpg', 'signs-2.jpg'];
/** Of outputs that are probabilities. */
const TOLERANCE = 1e-4;

/** Where SwiftShader is; undefined, with a line that says why, where it cannot be had. */
function swiftshader(): string | undefined {
  try {
    return execFileSync(join(repository, 'hack/swiftshader.sh'), { encoding: 'utf8' }).trim();
  } catch (error) {
    process.stderr.write(`tests of the WebGPU provider are skipped: ${(error as { stderr?: string }).stderr ?? ''}\n`);
    return undefined;
  }
}

const driver = swiftshader();

interface Answer {
  readonly outputs: readonly { readonly name: string; readonly data: readonly number[] }[];
  readonly parameters: { readonly deadline_met: boolean };
}

async function infer(url: string, frame: string): Promise<Answer> {
  const response = await fetch(`${url}/v2/models/default.gate/infer`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg' },
    body: await readFile(join(repository, 'examples/frames', frame)),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

(driver === undefined ? describe.skip : describe)('the WebGPU provider without a GPU', () => {
  let workspace: Workspace;
  const running: Running[] = [];
  const before = { ...process.env };

  beforeAll(async () => {
    process.env['VK_ICD_FILENAMES'] = join(driver!, 'vk_swiftshader_icd.json');
    process.env['LD_LIBRARY_PATH'] = [driver, before['LD_LIBRARY_PATH']].filter(Boolean).join(':');
    workspace = await newWorkspace();
    const models = parseAllDocuments(await readFile(join(repository, 'examples/models.yaml'), 'utf8'));
    const model = models.map((each) => each.toJS() as { metadata: { name: string }; spec: { source: string } });
    const { spec, ...head } = model.find(({ metadata }) => metadata.name === MODEL)!;
    const source = spec.source.replace('file:../', `file:${repository}`);
    await writeFile(
      join(workspace.dir, 'model.yaml'),
      stringify({ ...head, spec: { ...spec, source, maxBatchSize: 1 } }),
    );
    const tenant = {
      modelRef: { name: MODEL },
      inputShape: [3, 48, 192],
      streams: 2,
      framesPerSecond: 0.15,
      jitter: '3s',
    };
    await workspace.write('tenant.yaml', tenantManifest('gate', { ...tenant, deadline: '9s' }));
  });
  afterAll(async () => {
    for (const each of running) await each.kill('SIGTERM');
    for (const name of ['VK_ICD_FILENAMES', 'LD_LIBRARY_PATH'])
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    await workspace.dispose();
  });

  test('deeprt doctor finds it, and says what the others lack', async () => {
    const { code, stdout } = await deeprt('doctor', '-o', 'json');
    expect(code).toBe(0);
    const { providers } = JSON.parse(stdout) as { providers: { provider: string; failure?: string }[] };
    const failureOf = (name: string): string | undefined =>
      providers.find(({ provider }) => provider === name)!.failure;
    expect(failureOf('webgpu')).toBeUndefined();
    expect(failureOf('cpu')).toBeUndefined();
    for (const name of ['cuda', 'tensorrt'])
      if (failureOf(name) !== undefined) expect(failureOf(name)).toMatch(/install|driver|GPU/);
  });

  test('profiles, admits and serves, and its answers are the CPU provider’s', async () => {
    const gpu = await standaloneAnew(workspace, '--provider', 'webgpu');
    running.push(gpu);
    const profile = parse(
      await readFile(join(workspace.state, `profiles/${hostname().toLowerCase()}-0.yaml`), 'utf8'),
    ) as {
      status: { device: object; categories: { batches: object[] }[] };
    };
    expect(profile.status.device).toMatchObject({ executionProvider: 'webgpu' });
    expect(profile.status.categories[0]!.batches.length).toBeGreaterThan(0);
    const answers: Answer[] = [];
    for (const frame of FRAMES) answers.push(await infer(gpu.url, frame));
    expect(answers.map(({ parameters }) => parameters.deadline_met)).toEqual([true, true]);
    await gpu.kill('SIGTERM');

    const cpu = await standaloneAnew(workspace, '--provider', 'cpu');
    running.push(cpu);
    for (const [i, frame] of FRAMES.entries()) {
      const wanted = (await infer(cpu.url, frame)).outputs;
      expect(answers[i]!.outputs.map(({ name }) => name)).toEqual(wanted.map(({ name }) => name));
      for (const [output, { data }] of wanted.entries()) {
        const differences = data.map((value, at) => Math.abs(value - answers[i]!.outputs[output]!.data[at]!));
        expect(Math.max(...differences)).toBeLessThan(TOLERANCE);
      }
    }
  }, 300_000);
});
