import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Workspace } from './workspace.js';

const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

/** A run of the deeprt command as its user sees it. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[]): { child: ChildProcess; result: () => CommandResult } {
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return { child, result: () => ({ code: child.exitCode, stdout, stderr }) };
}

export async function deeprt(...args: string[]): Promise<CommandResult> {
  const { child, result } = start(args);
  await once(child, 'close');
  return result();
}

/** `deeprt standalone` over a workspace, on a port of its own. */
export interface Running {
  readonly url: string;
  /** Everything logged so far. */
  log(): { msg: string; [field: string]: unknown }[];
  /** Waits until some log line satisfies. */
  logged(
    matches: (line: { msg: string; [field: string]: unknown }) => boolean,
    since?: number,
  ): Promise<{ msg: string; [field: string]: unknown }>;
  kill(signal: NodeJS.Signals): Promise<CommandResult>;
}

const LONGEST_WAIT_MS = 30_000;

export async function standalone(workspace: Workspace, ...args: string[]): Promise<Running> {
  const { child, result } = start([
    'standalone',
    '-f',
    workspace.dir,
    '--state',
    workspace.state,
    '--listen',
    '127.0.0.1:0',
    '--log',
    'json',
    ...args,
  ]);
  const log: Running['log'] = () =>
    result()
      .stderr.split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as { msg: string });
  const logged: Running['logged'] = async (matches, since = 0) => {
    for (const deadline = Date.now() + LONGEST_WAIT_MS; Date.now() < deadline;) {
      const line = log().slice(since).find(matches);
      if (line !== undefined) return line;
      if (child.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`not logged; code ${child.exitCode}, stderr:\n${result().stderr}`);
  };
  const kill = async (signal: NodeJS.Signals): Promise<CommandResult> => {
    if (child.exitCode === null && child.signalCode === null) {
      const closed = once(child, 'close');
      child.kill(signal);
      await closed;
    }
    return result();
  };
  try {
    const { url } = await logged(({ msg }) => msg === 'listening');
    return { url: url as string, log, logged, kill };
  } catch (error) {
    await kill('SIGKILL');
    throw error;
  }
}

/** Sends a frame of zeros, or of `values`, as a JSON tensor. */
export function inferJson(url: string, tenant: string, input: object, more: object = {}): Promise<Response> {
  return fetch(`${url}/v2/models/default.${tenant}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      inputs: [{ name: 'in', shape: [1, 3, 8, 8], datatype: 'FP32', data: Array(192).fill(0), ...input }],
      ...more,
    }),
  });
}
