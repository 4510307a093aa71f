import type { ChildProcess } from 'node:child_process';
import { execFile, fork } from 'node:child_process';
import { closeSync, ftruncateSync, writeSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { FramePool } from '../../device/frame-pool.js';
import { openShared } from '../../device/frame-pool.js';
import { outOfMemory } from '../../serving/flights.js';
import { BadRequest } from '../protocol/bad-request.js';
import type { Decoded, FromWorker, Recipe, ToWorker } from './messages.js';

/** Which frames a worker decodes: promised ones before everything but receiving, spare ones when nobody else wants the core. */
export type Rank = 'promised' | 'spare';

/** A frame to be decoded into a slot of shared memory. */
export interface DecodeTask {
  readonly body: readonly Buffer[];
  readonly recipe: Recipe;
  /** Names what the recipe is for. */
  readonly category: string;
  readonly pool: FramePool;
  readonly slot: number;
  /** Whoever takes longer than this is ended. */
  readonly limitUs: number;
}

/** The worker's process ended, or had to be ended, with this frame. */
export class DecoderLost extends Error {}

const PRIORITY: Readonly<Record<Rank, number>> = { promised: 10, spare: 19 };
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 10_000;
/** Memory for bodies beyond this is given back after each. */
const KEPT_BYTES = 1024 * 1024;

interface Current {
  readonly resolve: (decoded: Decoded) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** The handle of one decode worker and its process, which is replaced when it ends. */
export class DecodeWorker {
  readonly #rank: Rank;
  readonly #idle: () => void;
  readonly #bodies = openShared();
  #child: ChildProcess | undefined;
  #ready = false;
  #stopped = false;
  #retryMs = FIRST_RETRY_MS;
  #current: Current | undefined;
  /** What the process was told of: the same object as long as nothing changed. */
  #recipes = new Map<string, object>();
  readonly #pools = new Set<string>();

  /** @param idle told whenever it can take a frame */
  constructor(rank: Rank, idle: () => void) {
    this.#rank = rank;
    this.#idle = idle;
    this.#start();
  }

  /** Whether its process is there. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Whether it can take a frame now. */
  get idle(): boolean {
    return this.#ready && this.#current === undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Decodes one frame.
   *
   * @throws BadRequest when it cannot be decoded, DecoderLost when its decoder ended
   */
  async decode({ body, recipe, category, pool, slot, limitUs }: DecodeTask): Promise<Decoded> {
    const { fd } = this.#bodies;
    const bytes = this.#write(body);
    const key = `${recipe.kind} ${category}`;
    const terms = recipe.kind === 'json' ? recipe.expected : recipe.input;
    if (this.#recipes.get(key) !== terms) this.#tell({ kind: 'recipe', key, recipe });
    this.#recipes.set(key, terms);
    this.#pools.add(pool.key);
    return new Promise<Decoded>((resolve, reject) => {
      const timer = setTimeout(() => this.#child?.kill('SIGKILL'), limitUs / 1000);
      this.#current = { resolve, reject, timer };
      const { slotBytes, path, key: poolKey } = pool;
      this.#tell({ kind: 'decode', bytes, recipe: key, pool: poolKey, path, offset: slot * slotBytes, slotBytes });
    }).finally(() => {
      if (bytes > KEPT_BYTES && !this.#stopped) ftruncateSync(fd, 0);
    });
  }

  #write(body: readonly Uint8Array[]): number {
    let bytes = 0;
    try {
      for (const chunk of body)
        for (let written = 0; written < chunk.length;) {
          const more = writeSync(this.#bodies.fd, chunk, written, chunk.length - written, bytes);
          written += more;
          bytes += more;
        }
    } catch (error) {
      throw outOfMemory(error);
    }
    return bytes;
  }

  poolGone(pool: string): void {
    if (this.#pools.delete(pool)) this.#tell({ kind: 'poolGone', pool });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child !== undefined) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.kill('SIGKILL')) await ended;
    }
    closeSync(this.#bodies.fd);
  }

  #start(): void {
    let child: ChildProcess;
    try {
      child = fork(new URL('./process.js', import.meta.url), {
        serialization: 'advanced',
        stdio: ['ignore', 2, 2, 'ipc'],
        execArgv: [],
        env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
      });
    } catch (error) {
      return this.#lost(`it could not be started: ${(error as Error).message}`);
    }
    this.#child = child;
    this.#recipes = new Map();
    this.#pools.clear();
    child.on('error', () => child.pid === undefined && this.#lost('it could not be started'));
    child.on('exit', (code, signal) => this.#lost(`it ended with ${signal ?? `code ${code}`}`));
    child.on('message', (message: FromWorker) => this.#hear(message));
    this.#tell({ kind: 'bodies', path: this.#bodies.path });
  }

  #tell(message: ToWorker): void {
    if (this.#child?.connected === true) this.#child.send(message, () => undefined);
  }

  #hear(message: FromWorker): void {
    if (message.kind === 'ready') {
      // Once it is there: starting should not take longer than it must.
      yieldTo(this.#child!.pid!, this.#rank);
      this.#ready = true;
      this.#retryMs = FIRST_RETRY_MS;
    } else {
      const current = this.#settle();
      if (message.kind === 'decoded') current?.resolve(message);
      else if (message.kind === 'bad') current?.reject(new BadRequest(message.error, 400, message.code));
      else current?.reject(new Error(`the frame could not be decoded: ${message.error}`));
    }
    this.#idle();
  }

  #settle(): Current | undefined {
    const current = this.#current;
    this.#current = undefined;
    clearTimeout(current?.timer);
    return current;
  }

  #lost(how: string): void {
    this.#ready = false;
    this.#settle()?.reject(new DecoderLost(`the image decoder was lost with this frame: ${how}`));
    if (this.#stopped) return;
    setTimeout(() => !this.#stopped && this.#start(), this.#retryMs).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
  }
}

/** Lets everything else on its cores come first; spare work only gets what nobody wants, where the platform can. */
function yieldTo(pid: number, rank: Rank): void {
  try {
    setPriority(pid, PRIORITY[rank]);
  } catch {
    // It is gone already, which is noticed.
  }
  if (rank === 'spare' && process.platform === 'linux')
    execFile('chrt', ['--all-tasks', '--idle', '--pid', '0', `${pid}`], () => undefined);
}
