/**
 * A device's process. ONNX Runtime and the libraries below it are native code that can take a whole process down, so
 * they have one of their own. Its main thread only passes messages between the agent and the thread that owns the
 * device, which blocks while a run goes on.
 */
import { Worker } from 'node:worker_threads';
import { newBell, ring } from './bell.js';
import type { DeviceOptions, FromDevice, ToDevice } from '../messages.js';

/** What the agent says first. */
export interface Launch {
  readonly options: DeviceOptions;
  /** Of the flight recorder. */
  readonly recorder: string;
  readonly outbox: string;
}

// The agent says when to end: a signal to the whole group is for it to handle.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
// Without its agent it is of no use. A run may hang, so there is no orderly way.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

process.once('message', (launch: Launch) => {
  const bell = newBell();
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: { ...launch, bell } });
  process.on('message', (message: ToDevice) => {
    worker.postMessage(message);
    ring(bell);
  });
  worker.on('message', (message: FromDevice) => {
    process.send!(message);
  });
  worker.on('error', (error: unknown) => {
    process.stderr.write(`deeprt device: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  });
  worker.on('exit', (code) => process.exit(code));
});
