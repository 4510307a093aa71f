import { setTimeout as delay } from 'node:timers/promises';
import { nowUs } from '../../../kube/clock.js';
import type { FramePool } from '../../device/frame-pool.js';
import type { Decoded } from './messages.js';
import type { Queued } from './queue.js';
import { DecodeQueue } from './queue.js';
import type { DecodeTask } from './worker.js';
import { DecodeWorker } from './worker.js';

/** A frame on its way through the stage. */
export interface DecodeJob extends Queued, DecodeTask {
  /** Whether nobody waits for its answer any more. */
  readonly gone: () => boolean;
}

/** The frame was given up before it was decoded. */
export class NotDecoded extends Error {
  readonly because: 'late' | 'gone' | 'stopping';

  constructor(because: NotDecoded['because']) {
    super(because);
    this.because = because;
  }
}

const LONGEST_START_MS = 5000;
/** A promised frame may be decoded late, but not as late as this: the device would not wait for it. */
const OVERDUE_US = 2_000_000;

interface Entry extends Queued {
  readonly job: DecodeJob;
  readonly resolve: (decoded: Decoded) => void;
  readonly reject: (error: Error) => void;
}

/** Decoding: so many workers for promised frames, with one more in reserve for when one ends, and as many for spare ones. */
export class DecodeStage {
  readonly width: number;
  readonly #queue = new DecodeQueue<Entry>();
  #promised: DecodeWorker[] = [];
  #spare: DecodeWorker[] = [];
  #busy = { promised: 0, spare: 0 };
  #stopped = false;

  /** @param width how many promised frames are decoded at once */
  constructor(width: number) {
    this.width = width;
  }

  /** Starts what promised frames need; resolves when they find it, or after a while: who cannot be started is tried again. */
  async start(): Promise<void> {
    const waits = performance.now() + LONGEST_START_MS;
    if (this.#promised.length === 0)
      this.#promised = Array.from({ length: this.width + 1 }, () => new DecodeWorker('promised', () => this.#pump()));
    while (!this.#stopped && performance.now() < waits && !this.#promised.every(({ ready }) => ready)) await delay(5);
  }

  /**
   * Decodes a frame when its turn comes.
   *
   * @throws NotDecoded, DecoderLost, BadRequest when it cannot be decoded
   */
  run(job: DecodeJob): Promise<Decoded> {
    if (this.#promised.length === 0) void this.start();
    if (!job.promised && this.#spare.length === 0)
      this.#spare = Array.from({ length: this.width }, () => new DecodeWorker('spare', () => this.#pump()));
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(new NotDecoded('stopping'));
      const { tenant, promised, dueUs, costUs } = job;
      this.#queue.push({ tenant, promised, dueUs, costUs, job, resolve, reject });
      this.#pump();
    });
  }

  poolGone({ key }: FramePool): void {
    for (const worker of [...this.#promised, ...this.#spare]) worker.poolGone(key);
  }

  get pids(): number[] {
    return [...this.#promised, ...this.#spare].flatMap(({ pid }) => pid ?? []);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (;;) {
      const entry = this.#queue.nextPromised() ?? this.#queue.nextSpare();
      if (entry === undefined) break;
      entry.reject(new NotDecoded('stopping'));
    }
    await Promise.all([...this.#promised, ...this.#spare].map((worker) => worker.stop()));
  }

  #pump(): void {
    this.#hand('promised', this.#promised, () => this.#queue.nextPromised());
    this.#hand('spare', this.#spare, () => this.#queue.nextSpare());
  }

  #hand(rank: 'promised' | 'spare', workers: readonly DecodeWorker[], next: () => Entry | undefined): void {
    for (const worker of workers) {
      if (this.#busy[rank] >= this.width) return;
      if (!worker.idle || this.#stopped) continue;
      const entry = this.#nextWorthwhile(next);
      if (entry === undefined) return;
      this.#busy[rank]++;
      void worker
        .decode(entry.job)
        .then(entry.resolve, entry.reject)
        .finally(() => {
          this.#busy[rank]--;
          this.#pump();
        });
    }
  }

  #nextWorthwhile(next: () => Entry | undefined): Entry | undefined {
    for (let entry = next(); entry !== undefined; entry = next()) {
      if (entry.job.gone()) entry.reject(new NotDecoded('gone'));
      else if (nowUs() + entry.costUs > entry.dueUs + (entry.promised ? OVERDUE_US : 0))
        entry.reject(new NotDecoded('late'));
      else return entry;
    }
    return undefined;
  }
}
