import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { divisionFor, pinProcess } from '../../agent/device/cores.js';
import { writeProfile } from '../../agent/profile/store.js';
import type { ResourceOf } from '../../api/manifests.js';
import type { LoadedTenant } from '../../cli/load-table.js';
import { DEEPRT, FRAMES } from '../example-manifests.js';
import { freePort } from '../free-port.js';

/** One device, with the provider that is asked for. */
export const DEVICE = ['--provider', process.argv[2] ?? 'auto', '--devices', '0'];

/** What the demo has started and must end. */
export const children: ChildProcess[] = [];

/** Starts the deeprt command; its stderr goes to ours, its stdout is collected. */
export function deeprt(args: string[]): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, [DEEPRT, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, output: () => text };
}

/** @param cores where it may run; anywhere when absent */
export async function deeprtDone(args: string[], cores?: readonly number[]): Promise<string> {
  const { child, output } = deeprt(args);
  if (cores !== undefined && child.pid !== undefined) pinProcess(cores, child.pid);
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`deeprt ${args[0]!} ended with code ${code}`);
  return output();
}

export async function untilListening(child: ChildProcess, url: string): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if (child.exitCode !== null) throw new Error(`deeprt standalone ended with code ${child.exitCode}`);
    const ready = await fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`nothing answers at ${url}`);
}

/** Starts `deeprt standalone` on what was measured before. */
export async function serve(
  work: string,
  profile: ResourceOf<'GPUProfile'>,
  more: string[],
): Promise<{ server: ReturnType<typeof deeprt>; url: string }> {
  await writeProfile(join(work, 'state'), profile);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const files = ['-f', join(work, 'manifests'), '--state', join(work, 'state')];
  const output = ['--report', 'json', '--log', 'text'];
  const server = deeprt(['standalone', ...files, '--listen', `127.0.0.1:${port}`, ...output, ...DEVICE, ...more]);
  await untilListening(server.child, url);
  return { server, url };
}

export async function play(work: string, url: string, seconds: number): Promise<readonly LoadedTenant[]> {
  const args = ['-f', join(work, 'manifests'), '--target', url, '--duration', `${seconds}s`, '--frames', FRAMES];
  // Cameras are somewhere else in earnest: they leave the device's core alone.
  const cores = divisionFor([{ provider: 'cpu', threads: 1 }])?.ingest;
  return (JSON.parse(await deeprtDone(['load', ...args, '-o', 'json'], cores)) as { tenants: LoadedTenant[] }).tenants;
}

export async function stopped(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  await once(child, 'exit');
}
