import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** A server that answers. */
export interface Served {
  /** Of its first process, and of the session that all of them are in. */
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

const READY_MS = 60_000;

/** Starts a command with its children in a session of their own, and waits until a path is answered. */
export async function serve(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
  ready: string,
): Promise<Served> {
  const child: ChildProcess = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream!.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)));
  const ended = once(child, 'exit');
  const stop = async (): Promise<void> => {
    const kill = (signal: NodeJS.Signals): void => {
      try {
        process.kill(-child.pid!, signal);
      } catch {
        // ended already
      }
    };
    kill('SIGTERM');
    await Promise.race([ended, delay(5000)]);
    kill('SIGKILL');
    await ended;
  };
  for (const untilMs = performance.now() + READY_MS; ; await delay(100)) {
    if (child.exitCode !== null || performance.now() > untilMs) {
      await stop();
      throw new Error(`${command} did not begin to serve: ${said}`);
    }
    const answer = await fetch(ready).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok === true) return { pid: child.pid!, stop };
  }
}
