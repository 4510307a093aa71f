import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { keep } from '../agent/disk/kept-file.js';
import type { Logger } from '../cli/log.js';
import type { StandaloneOptions } from '../cli/standalone.js';
import { Standalone } from '../cli/standalone.js';
import { Cameras } from './support/cameras.js';
import type { Faults } from './support/faulty-device.js';
import { faultyDevice } from './support/faulty-device.js';
import { lendStages } from './support/figures.js';
import { identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { newWorkspace, tenantManifest } from './support/workspace.js';

/** A device whose speed changes for good after it was profiled, under load, with real ONNX Runtime below. */

const PROFILED = 10_500;
const PERIOD_MS = 66;
/** More than the device can take. */
const TENANTS = 9;
const FRAME = Array<number>(3 * 16 * 16).fill(0.5);

let workspace: Workspace;
let options: StandaloneOptions;
let standalone: Standalone;
let watcher: { stop: () => Promise<void> };
const cameras = new Cameras();
const lines: { at: number; message: string; fields: object }[] = [];

const inject = (faults: Faults): Promise<void> =>
  writeFile(join(workspace.root, 'faults.json'), JSON.stringify({ input: 'in', ...faults }));

function camera(tenant: string): void {
  const body = JSON.stringify({ inputs: [{ name: 'in', shape: [1, 3, 16, 16], datatype: 'FP32', data: FRAME }] });
  const send = async (): Promise<void> => {
    const url = `${standalone.url}/v2/models/default.${tenant}/infer`;
    await (await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).arrayBuffer();
  };
  cameras.add(send, PERIOD_MS);
}

const admitted = (): string[] =>
  standalone.decision.verdicts.filter((verdict) => verdict.admitted).map(({ name }) => name);
const profileFile = (): string => join(workspace.state, 'profiles', 'edge-0.yaml');
const wcetUs = async (): Promise<number> => {
  const text = await readFile(profileFile(), 'utf8');
  return Number(/wcetUs: (\d+)/.exec(text)![1]);
};
interface Profile {
  readonly status: {
    conditions: object[];
    readonly categories: readonly { readonly batches: { p50Us: number; p99Us: number; wcetUs: number }[] }[];
  };
}
async function rewriteProfile(change: (status: Profile['status']) => void): Promise<void> {
  const profile = parse(await readFile(profileFile(), 'utf8')) as Profile;
  change(profile.status);
  await keep(profileFile(), stringify(profile));
}
/** As of a device so many times slower, without the machine's noise: WCET is 1.2 times p99, and p99 hardly above p50. */
const calm =
  (factor = 1) =>
  ({ categories }: Profile['status']): void => {
    for (const batch of categories.flatMap(({ batches }) => batches)) {
      batch.p50Us = Math.ceil(factor * batch.p50Us);
      batch.p99Us = Math.ceil(1.01 * batch.p50Us);
      batch.wcetUs = Math.ceil(1.2 * batch.p99Us);
    }
  };
/** Starts from this profile with no tenant placed yet. */
async function startWith(change: (status: Profile['status']) => void): Promise<void> {
  await rewriteProfile(change);
  await rm(join(workspace.state, 'schedule.yaml'));
  standalone = await Standalone.start(options);
  watcher = standalone.watch();
}
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: () => boolean | Promise<boolean>, withinMs: number): Promise<number> {
  const sinceMs = performance.now();
  while (!(await what())) {
    if (performance.now() - sinceMs > withinMs)
      throw new Error(`not within ${withinMs}ms: ${String(what)}; the log: ${JSON.stringify(lines, null, 1)}`);
    await sleep(50);
  }
  return performance.now() - sinceMs;
}

beforeEach(async () => {
  workspace = await newWorkspace();
  await inject({ nsPerElement: PROFILED });
  const network = identityNetwork('float32', ['n', 3, 'h', 'w']);
  await workspace.write(
    'model.yaml',
    await workspace.model('echo', network, { shapes: [[3, 16, 16]], maxBatchSize: 2 }),
  );
  for (const name of Array.from({ length: TENANTS }, (_, i) => `gate-${i}`))
    await workspace.write(
      `${name}.yaml`,
      tenantManifest(name, {
        inputShape: [3, 16, 16],
        framesPerSecond: 1000 / PERIOD_MS,
        jitter: '30ms',
        deadline: '400ms',
      }),
    );
  lines.length = 0;
  const log = (fields: object, message: string): void =>
    void lines.push({ at: Math.round(performance.now()), fields, message });
  options = {
    dir: workspace.dir,
    stateDir: workspace.state,
    devices: [{ provider: 'cpu' as const, threads: 1, preload: faultyDevice(join(workspace.root, 'faults.json')) }],
    listen: { listen: { host: '127.0.0.1', port: 0 } },
    node: 'edge',
    log: { info: log, warn: log, error: log } as unknown as Logger,
  };
  await lendStages(workspace.state, 'edge');
  await (await Standalone.start(options)).stop();
});

afterEach(() => cameras.stop());
afterEach(async () => {
  await watcher.stop();
  await standalone.stop();
  await workspace.dispose();
});

describe('a device that is really 1.3 times slower than its profile', () => {
  test('has its profile corrected within 30 s and its tenants admitted again; who stays meets deadlines; all return with the speed', async () => {
    await startWith(calm());
    const promised = admitted().length;
    expect(promised).toBeLessThan(TENANTS);
    const profiledUs = await wcetUs();
    for (const tenant of admitted()) camera(tenant);
    await sleep(3000);
    await inject({ nsPerElement: 1.3 * PROFILED });
    const tookMs = await until(async () => (await wcetUs()) > 1.15 * profiledUs, 30_000);
    await until(() => admitted().length < promised, 30_000 - tookMs);
    const factor = (await wcetUs()) / profiledUs;
    expect(factor).toBeGreaterThan(1.15);
    expect(factor).toBeLessThan(1.6);
    const refused = standalone.decision.verdicts.find((verdict) => !verdict.admitted)!;
    expect(refused.reason).toMatch(/UtilizationExceeded|DeadlineInfeasible/);
    expect(lines.map(({ message }) => message)).toContain('the profile was measured again');

    const books = (): { answered: number; misses: number } =>
      standalone.devices
        .served()
        .reduce((sum, tenant) => ({ answered: sum.answered + tenant.answered, misses: sum.misses + tenant.misses }), {
          answered: 0,
          misses: 0,
        });
    await sleep(1000);
    const before = books();
    await sleep(10_000);
    const after = books();
    expect(after.answered - before.answered).toBeGreaterThan(300);
    // A corrected profile keeps its promise; what the machine's other work holds up is not the claim here.
    expect(after.misses - before.misses).toBeLessThan(0.02 * (after.answered - before.answered));

    await inject({ nsPerElement: 0.5 * PROFILED });
    await until(() => admitted().length >= promised, 60_000);
  }, 180_000);
});

describe('a profile that was corrected to a device 20 times slower', () => {
  test('is measured again though nobody runs on it any more, and its tenants are admitted', async () => {
    const profiledUs = await wcetUs();
    const now = new Date().toISOString();
    const stale = { type: 'Stale', status: 'False', reason: 'Corrected', message: '', lastTransitionTime: now };
    await startWith((status) => {
      calm(20)(status);
      status.conditions.push(stale);
    });
    expect(admitted()).toEqual([]);
    await until(() => admitted().length > TENANTS / 2, 30_000);
    expect(await wcetUs()).toBeLessThan(1.5 * profiledUs);
  }, 120_000);
});
