import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Bout, CallerAnswer, Opening } from './caller.js';

export type Via = 'threads' | 'processes';

const FILE = new URL('./caller.js', import.meta.url);

/** Callers that start each bout together. */
export class Callers {
  readonly #callers: readonly (Worker | ChildProcess)[];

  private constructor(callers: readonly (Worker | ChildProcess)[]) {
    this.#callers = callers;
  }

  /** @throws Error with what ONNX Runtime said when a session does not open */
  static async start(count: number, via: Via, opening: Opening): Promise<Callers> {
    const callers = new Callers(
      Array.from({ length: count }, () => (via === 'threads' ? new Worker(FILE) : fork(FILE, { execArgv: [] }))),
    );
    try {
      await callers.#all(opening);
      return callers;
    } catch (error) {
      await callers.end();
      throw error;
    }
  }

  /** The latencies of each caller's runs, in milliseconds. */
  bout(bout: Bout): Promise<(readonly number[])[]> {
    return this.#all(bout);
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#callers.map(async (caller) => {
        if (caller instanceof Worker) return caller.terminate();
        const ended = once(caller, 'exit');
        return caller.kill('SIGKILL') ? ended : undefined;
      }),
    );
  }

  async #all(message: Opening | Bout): Promise<(readonly number[])[]> {
    const answers = this.#callers.map(answerOf);
    for (const caller of this.#callers) {
      if (caller instanceof Worker) caller.postMessage(message);
      else caller.send(message);
    }
    return Promise.all(answers);
  }
}

function answerOf(caller: Worker | ChildProcess): Promise<readonly number[]> {
  return new Promise((resolve, reject) => {
    const ended = (code: unknown): void => {
      caller.removeAllListeners('message');
      reject(new Error(`a caller ended with ${String(code)}`));
    };
    caller.once('exit', ended);
    caller.once('message', (answer: CallerAnswer) => {
      caller.off('exit', ended);
      if ('error' in answer) reject(new Error(answer.error));
      else resolve(answer.latenciesMs);
    });
  });
}
