import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

/** What a camera saw of a stretch of time. */
export interface Sight {
  readonly sent: number;
  readonly answered: number;
  /** Answered after the deadline. */
  readonly late: number;
  /** Not answered, and why: status and the agent's words, or the network's. */
  readonly failed: number;
  readonly reasons: readonly string[];
  /** Longest time without an answer, in milliseconds. */
  readonly gapMs: number;
}

interface Settings {
  readonly url: string;
  readonly frame: Uint8Array<ArrayBuffer>;
  readonly periodMs: number;
}

/** Sends a frame every period, whether or not answers come, on a thread of its own, until it is stopped. */
export class Camera {
  readonly #worker: Worker;

  constructor(settings: Settings) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: settings });
  }

  /** Since the last look. */
  async look(): Promise<Sight> {
    const sight = new Promise<Sight>((resolve) => this.#worker.once('message', resolve));
    this.#worker.postMessage('look');
    return sight;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

if (!isMainThread) {
  const { url, frame, periodMs } = workerData as Settings;
  let [sent, late, failed, sinceMs] = [0, 0, 0, performance.now()];
  let answeredAt: number[] = [];
  let reasons = new Set<string>();
  const fail = (reason: string): void => {
    failed++;
    reasons.add(reason);
  };
  setInterval(() => {
    sent++;
    const headers = { 'content-type': 'image/jpeg' };
    fetch(url, { method: 'POST', headers, body: frame, signal: AbortSignal.timeout(5000) })
      .then(async (response) => {
        const answer = (await response.json()) as { error?: string; parameters?: { deadline_met?: boolean } };
        if (response.status !== 200) return fail(`${response.status} ${answer.error ?? ''}`);
        answeredAt.push(performance.now());
        if (answer.parameters?.deadline_met === false) late++;
      })
      .catch((error: unknown) =>
        fail(((error as Error).cause as Error | undefined)?.message ?? (error as Error).message),
      );
  }, periodMs);
  parentPort!.on('message', () => {
    const nowMs = performance.now();
    const times = [sinceMs, ...answeredAt, nowMs];
    const gapMs = Math.round(Math.max(...times.slice(1).map((time, i) => time - times[i]!)));
    parentPort!.postMessage({
      sent,
      answered: answeredAt.length,
      late,
      failed,
      reasons: [...reasons],
      gapMs,
    } satisfies Sight);
    [sent, late, failed, reasons, answeredAt, sinceMs] = [0, 0, 0, new Set(), [], nowMs];
  });
}
