import { Worker } from 'node:worker_threads';

/** When the machine stood still: what is late because of that says nothing of what is tested. */

const BEAT_MS = 10;
const STALL_MS = 100;

const HEART = `
  const { parentPort } = require('node:worker_threads');
  let last = performance.timeOrigin + performance.now();
  setInterval(() => {
    const now = performance.timeOrigin + performance.now();
    if (now - last > ${STALL_MS}) parentPort.postMessage([last, now]);
    last = now;
  }, ${BEAT_MS});
`;

export const wallMs = (): number => performance.timeOrigin + performance.now();

export class Stalls {
  readonly #all: (readonly [fromMs: number, toMs: number])[] = [];
  readonly #worker = new Worker(HEART, { eval: true, execArgv: [] });

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (stall: [number, number]) => this.#all.push(stall));
  }

  /** Whether there was one since then, as far as has been heard. */
  since(fromMs: number): boolean {
    return this.#all.some(([, toMs]) => toMs > fromMs);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
