import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { keepFigures, lendFigures } from './figures.js';
import type { Workspace } from './workspace.js';

const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

/** A run of the deeprt command as its user sees it. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function start(
  args: readonly string[],
  nodeOptions = '',
  environment: NodeJS.ProcessEnv = process.env,
): { child: ChildProcess; result: () => CommandResult } {
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, NODE_OPTIONS: nodeOptions },
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

type LogLine = { msg: string; [field: string]: unknown };

/** A deeprt command that goes on until it is ended. */
export interface Process {
  readonly pid: number;
  /** Whether it has ended. */
  ended(): boolean;
  /** Everything logged so far. */
  log(): LogLine[];
  /** Waits until some log line satisfies. */
  logged(matches: (line: LogLine) => boolean, since?: number, withinMs?: number): Promise<LogLine>;
  /** Sends the signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<CommandResult>;
}

const LONGEST_WAIT_MS = 30_000;
const LONGEST_PROFILING_MS = 240_000;

/** Starts a command with `--log json`. */
export function background(...args: string[]): Process {
  return backgroundWith('', ...args);
}

/** The same, with options for Node in this and all further processes that it starts. */
export function backgroundWith(nodeOptions: string, ...args: string[]): Process {
  const { child, result } = start([...args, '--log', 'json'], nodeOptions);
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill); // also when the test run itself fails
  child.once('exit', () => process.off('exit', kill));
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const log: Process['log'] = () =>
    result()
      .stderr.split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as { msg: string });
  return {
    pid: child.pid ?? 0,
    ended,
    log,
    async logged(matches, since = 0, withinMs = LONGEST_WAIT_MS) {
      for (const deadline = Date.now() + withinMs; Date.now() < deadline;) {
        const line = log().slice(since).find(matches);
        if (line !== undefined) return line;
        if (ended()) break;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`not logged; code ${child.exitCode}, stderr:\n${result().stderr}`);
    },
    async kill(signal) {
      if (!ended()) {
        const closed = once(child, 'close');
        child.kill(signal);
        await closed;
      }
      return result();
    },
  };
}

/** The processes that a process has started and that run a script of that name, in the order of their start. */
export async function childrenOf(pid: number, script: string): Promise<number[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const found: number[] = [];
  for (const child of listed.split(' ').filter(Boolean).map(Number)) {
    const command = await readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(script)) found.push(child);
  }
  return found;
}

/** `deeprt standalone` over a workspace, on a port of its own. */
export interface Running extends Process {
  readonly url: string;
}

const NODE = hostname().toLowerCase();

/** Starts it with what was measured of this machine before. */
export async function standalone(workspace: Workspace, ...args: string[]): Promise<Running> {
  if (!existsSync(workspace.state)) await lendFigures(workspace.state, NODE);
  const running = await standaloneAnew(workspace, ...args);
  await keepFigures(workspace.state, NODE);
  return running;
}

/** Measures everything itself. */
export async function standaloneAnew(workspace: Workspace, ...args: string[]): Promise<Running> {
  const { dir, state } = workspace;
  const process = background('standalone', '-f', dir, '--state', state, '--listen', '127.0.0.1:0', ...args);
  try {
    const { url } = await process.logged(({ msg }) => msg === 'listening', 0, LONGEST_PROFILING_MS);
    return { ...process, url: url as string };
  } catch (error) {
    await process.kill('SIGKILL');
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
