/**
 * One caller of an execution plan, a thread or a process of its own with a session of its own: runs batch after batch, the next as
 * soon as it has the answer to the last.
 */
import { parentPort } from 'node:worker_threads';
import type { LoadedModel } from '../../agent/device/messages.js';
import type { SessionSettings } from '../../agent/device/providers/providers.js';
import { Session } from '../../agent/device/thread/sessions.js';

/** The first message: what to open. It is answered once it is open. */
export interface Opening {
  readonly model: LoadedModel;
  readonly settings: SessionSettings;
}

/** Every further message: batches of so many frames until the time is over, one at least. */
export interface Bout {
  readonly batch: number;
  readonly forMs: number;
}

export type CallerAnswer = { readonly error: string } | { readonly latenciesMs: readonly number[] };

const tell = (answer: CallerAnswer): void => {
  if (parentPort === null) process.send!(answer);
  else parentPort.postMessage(answer);
};
const listen = (listener: (message: Opening | Bout) => void): unknown =>
  parentPort === null ? process.on('message', listener) : parentPort.on('message', listener);

let opened: { session: Session; dims: readonly number[] };

async function answer(message: Opening | Bout): Promise<CallerAnswer> {
  if ('model' in message) {
    opened = { session: await Session.open(message.model, message.settings), dims: message.model.inputs[0]!.dims };
    return { latenciesMs: [] };
  }
  const frames = opened.session.pack(message.batch, opened.dims, (into) =>
    new Float32Array(into.buffer, into.byteOffset, into.byteLength / 4).fill(0.1),
  );
  const latenciesMs: number[] = [];
  const untilMs = performance.now() + message.forMs;
  let sinceMs = performance.now();
  do {
    await opened.session.run(frames);
    const nowMs = performance.now();
    latenciesMs.push(nowMs - sinceMs);
    sinceMs = nowMs;
  } while (sinceMs < untilMs);
  return { latenciesMs };
}

listen((message) => {
  void answer(message).then(tell, (error: unknown) => tell({ error: String(error) }));
});
