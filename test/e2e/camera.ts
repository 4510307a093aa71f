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

  /** Of the frames sent since the last look, when all of them have been answered or given up. */
  async look(): Promise<Sight> {
    const sight = new Promise<Sight>((resolve) => this.#worker.once('message', resolve));
    this.#worker.postMessage('look');
    return sight;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** What became of a frame. */
interface Outcome {
  readonly atMs: number;
  readonly late: boolean;
  readonly failure: string | undefined;
}

async function send({ url, frame }: Settings): Promise<Outcome> {
  let late = false;
  let failure: string | undefined;
  try {
    const headers = { 'content-type': 'image/jpeg' };
    const response = await fetch(url, { method: 'POST', headers, body: frame, signal: AbortSignal.timeout(5000) });
    const answer = (await response.json()) as { error?: string; parameters?: { deadline_met?: boolean } };
    if (response.status === 200) late = answer.parameters?.deadline_met === false;
    else failure = `${response.status} ${answer.error ?? ''}`;
  } catch (error) {
    failure = ((error as Error).cause as Error | undefined)?.message ?? (error as Error).message;
  }
  return { atMs: performance.now(), late, failure };
}

function sightOf(outcomes: readonly Outcome[], sinceMs: number, untilMs: number): Sight {
  const answers = outcomes.filter(({ failure }) => failure === undefined);
  const times = [sinceMs, ...answers.map(({ atMs }) => atMs).sort((a, b) => a - b), untilMs];
  return {
    sent: outcomes.length,
    answered: answers.length,
    late: answers.filter(({ late }) => late).length,
    failed: outcomes.length - answers.length,
    reasons: [...new Set(outcomes.flatMap(({ failure }) => failure ?? []))],
    gapMs: Math.round(Math.max(...times.slice(1).map((time, i) => time - times[i]!))),
  };
}

if (!isMainThread) {
  const settings = workerData as Settings;
  let frames: Promise<Outcome>[] = [];
  let sinceMs = performance.now();
  setInterval(() => frames.push(send(settings)), settings.periodMs);
  parentPort!.on('message', () => {
    const [looked, from, to] = [frames, sinceMs, performance.now()];
    [frames, sinceMs] = [[], to];
    void Promise.all(looked).then((outcomes) => parentPort!.postMessage(sightOf(outcomes, from, to)));
  });
}
