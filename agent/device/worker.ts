/**
 * A device's thread. It alone owns the ONNX Runtime sessions, because `session.run` blocks the thread that calls it,
 * and it alone decides what runs, so that nothing stands between a decision and its run.
 */
import { setPriority } from 'node:os';
import type { MessagePort, Transferable } from 'node:worker_threads';
import { parentPort, workerData } from 'node:worker_threads';
import type { Job } from '../../sched/ready.js';
import { nowUs } from '../clock.js';
import type { Control } from '../dispatch/loop.js';
import { dispatchLoop } from '../dispatch/loop.js';
import type { Bell } from '../dispatch/wait.js';
import { waitUntil } from '../dispatch/wait.js';
import type { DeviceOptions, FrameMessage, FromDevice, Measured, OutputTensor, ToDevice } from './messages.js';
import { frameBytes } from './frames.js';
import { Session } from './sessions.js';

const THREAD_PRIORITY = -10;

const port = parentPort as MessagePort;
const { options, bell } = workerData as { options: DeviceOptions; bell: Bell };
const sessions = new Map<string, { session: Session; elementType: 'float32' | 'uint8' }>();
const pools = new Map<number, { bytes: Uint8Array; slotBytes: number }>();
const dimsOf = new Map<string, { model: string; dims: readonly number[]; largestBatch: number }>();
/** The last measurement of each batch, which says how long the next may take. */
const lastMeasuredUs = new Map<string, number>();

function post(message: FromDevice, transfer: readonly Transferable[] = []): void {
  port.postMessage(message, transfer);
}

const buffersOf = (outputs: readonly OutputTensor[]): ArrayBuffer[] => [
  ...new Set(outputs.map(({ data }) => data.buffer)),
];

function openSession(model: string): { session: Session; elementType: 'float32' | 'uint8' } {
  const open = sessions.get(model);
  if (open === undefined) throw new Error(`model "${model}" is not loaded on this device`);
  return open;
}

async function execute(job: Job<FrameMessage>, startUs: number): Promise<void> {
  const { model, dims, largestBatch } = dimsOf.get(job.category)!;
  const bytes = frameBytes(dims, openSession(model).elementType);
  let fromUs = startUs;
  for (let first = 0; first < job.frames.length; first += largestBatch) {
    const frames = job.frames.slice(first, first + largestBatch);
    const done = { kind: 'done' as const, category: job.category, ids: frames.map(({ id }) => id), startUs: fromUs };
    try {
      const views = frames.map(({ pool, slot }) => {
        const { bytes: memory, slotBytes } = pools.get(pool)!;
        return memory.subarray(slot * slotBytes, slot * slotBytes + bytes);
      });
      const outputs = await openSession(model).session.run(views, dims);
      post({ ...done, endUs: nowUs(), outputs }, buffersOf(outputs));
    } catch (error) {
      post({ ...done, endUs: nowUs(), outputs: [], error: (error as Error).message });
    }
    fromUs = nowUs();
  }
}

/** More than the caches of an edge node's processor hold. */
const swept = new Float64Array((32 * 1024 * 1024) / 8);
const CACHE_LINE = 64 / 8;

/** Empties the caches: in service another network has run before, and its weights are in them. */
function sweepCaches(): void {
  for (let i = 0; i < swept.length; i += CACHE_LINE) swept[i]! += 1;
}

/** One run of a batch of zeros from cold caches, along the same path that frames take. */
async function measure({ input, batch }: Extract<ToDevice, { kind: 'measure' }>): Promise<Measured> {
  const { session, elementType } = openSession(input.model);
  const objection = session.objection(input.dims);
  if (objection !== undefined) throw new Error(objection);
  const frames = Array.from({ length: batch }, () => new Uint8Array(frameBytes(input.dims, elementType)));
  sweepCaches();
  const startUs = nowUs();
  const outputs = await session.run(frames, input.dims);
  const shapes = outputs.map(({ name, dims }) => ({ name, dims }));
  post({ kind: 'done', category: '', ids: [], startUs, endUs: startUs, outputs }, buffersOf(outputs));
  const us = nowUs() - startUs;
  lastMeasuredUs.set(measurementKey(input, batch), us);
  return { us, outputs: shapes, rssBytes: process.memoryUsage.rss() };
}

const measurementKey = (input: { model: string; dims: readonly number[] }, batch: number): string =>
  `${input.model}@${input.dims.join('x')}/${batch}`;

async function control(message: Control): Promise<void> {
  try {
    post({ kind: 'answer', request: message.request, value: await answer(message) });
  } catch (error) {
    post({ kind: 'refused', request: message.request, error: (error as Error).message });
  }
}

async function answer(message: Control): Promise<unknown> {
  switch (message.kind) {
    case 'load':
      sessions.set(message.model.name, {
        session: await Session.open(message.model, options),
        elementType: message.model.elementType,
      });
      return null;
    case 'measure':
      return measure(message);
    case 'wake': {
      // How late the clock's own wait is.
      const targetUs = nowUs() + message.afterUs;
      waitUntil(targetUs, bell, Atomics.load(bell, 0));
      return nowUs() - targetUs;
    }
  }
}

/** How long a request holds the device, as far as that is known. */
function expectedUs(message: Control): number {
  switch (message.kind) {
    case 'wake':
      return message.afterUs;
    case 'measure':
      return 1.5 * (lastMeasuredUs.get(measurementKey(message.input, message.batch)) ?? Infinity);
    case 'load':
      return Infinity;
  }
}

try {
  setPriority(THREAD_PRIORITY); // on Linux this thread's alone
} catch {
  // Not permitted: ordinary priority then, which the profile measures as it is.
}
post({ kind: 'ready' });
await dispatchLoop(
  port,
  bell,
  {
    execute,
    control,
    pool: ({ pool, memory, slotBytes }) => void pools.set(pool, { bytes: new Uint8Array(memory), slotBytes }),
    expectedUs,
    program: ({ categories }) => {
      for (const { name, model, dims, points } of categories)
        dimsOf.set(name, { model, dims, largestBatch: Math.max(...points.map(({ batch }) => batch)) });
    },
  },
  post,
);
port.close();
