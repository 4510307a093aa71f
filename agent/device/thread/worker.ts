/**
 * A device's thread, in the device's process. It alone owns the ONNX Runtime sessions, because `session.run` blocks the thread that calls it,
 * and it alone decides what runs, so that nothing stands between a decision and its run.
 */
import { categoryName } from '../../../api/names.js';
import { closeSync, openSync, readSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import { parentPort, workerData } from 'node:worker_threads';
import { hangLimitUs } from '../../../sched/faults.js';
import type { Run } from '../../../sched/frame.js';
import { nowUs } from '../../../kube/clock.js';
import { isApart, shared } from '../apart.js';
import type { Control } from './loop.js';
import { dispatchLoop } from './loop.js';
import type { Bell } from './bell.js';
import type { FrameMessage, FromDevice, Measure, Measured, Rung } from '../messages.js';
import type { OutputTensor } from '../../frames.js';
import { freeOutputs } from '../../frames.js';
import { Outbox } from '../outbox.js';
import type { Launch } from './process.js';
import type { Activity } from '../recorder.js';
import { Recorder } from '../recorder.js';
import { explainFailure } from '../providers/providers.js';
import { pinThread } from '../cores.js';
import { differenceOf } from './batch-check.js';
import { fillNoise } from './noise.js';
import { Resizer, halve } from './resizer.js';
import type { Feeds, Fill } from './sessions.js';
import { Session } from './sessions.js';

/** Longer than any network should take to load or to run once for a measurement. */
const LOAD_LIMIT_US = 600_000_000;
const MEASUREMENT_LIMIT_US = 120_000_000;

interface OpenModel {
  readonly session: Session;
  readonly resizer: Resizer | undefined;
}

const port = parentPort as MessagePort;
const { options, recorder: recorderPath, outbox: outboxPath, bell } = workerData as Launch & { bell: Bell };
if (options.preload !== undefined) await import(options.preload);
const recorder = Recorder.open(recorderPath);
const outbox = Outbox.open(outboxPath);
const models = new Map<string, OpenModel>();
const pools = new Map<number, { fd: number; slotBytes: number }>();
const categories = new Map<string, { model: string; ladder: readonly (Rung & { largestBatch: number })[] }>();
/** The last measurement of each batch, which says how long the next may take. */
const lastMeasuredUs = new Map<string, number>();

function post(message: FromDevice): void {
  port.postMessage(message);
}

function openModel(name: string): OpenModel {
  const open = models.get(name);
  if (open === undefined) throw new Error(`model "${name}" is not loaded on this device`);
  return open;
}

/** Does what may hang or crash the device, with its name in the flight recorder. */
async function recorded<T>(activity: Omit<Activity, 'sinceUs'>, act: () => Promise<T>): Promise<T> {
  recorder.note({ ...activity, sinceUs: nowUs() });
  try {
    return await act();
  } finally {
    recorder.note(undefined);
  }
}

async function close(name: string, model: OpenModel | undefined): Promise<void> {
  await recorded({ what: 'unload', model: name, limitUs: LOAD_LIMIT_US }, async () => {
    await model?.session.close();
    await model?.resizer?.close();
  });
}

/** Reads a part of a frame. */
function readSlot({ pool, slot }: FrameMessage, into: Uint8Array, offset: number): void {
  const { fd, slotBytes } = pools.get(pool)!;
  for (let read = 0; read < into.byteLength;) {
    const more = readSync(fd, into, read, into.byteLength - read, slot * slotBytes + offset + read);
    if (more === 0) throw new Error('the frame is not in shared memory');
    read += more;
  }
}

/** A batch of which the images were made smaller. */
async function smaller(session: Session, resizer: Resizer, full: Feeds, dims: readonly number[]): Promise<Feeds> {
  const { mainInput } = session;
  return { ...full, [mainInput]: await resizer.run(full[mainInput]!, dims) };
}

async function execute(run: Run<FrameMessage>, startUs: number): Promise<FrameMessage[]> {
  const category = shared(run.category);
  const { model, ladder } = categories.get(category)!;
  const { dims, largestBatch } = ladder[run.rung]!;
  const limitUs = hangLimitUs(run.wcetUs);
  const again: FrameMessage[] = [];
  let fromUs = startUs;
  for (let first = 0; first < run.frames.length; first += largestBatch) {
    const frames = run.frames.slice(first, first + largestBatch);
    const ids = frames.map(({ id }) => id);
    const done = { kind: 'done' as const, category, ids, dims, startUs: fromUs, apart: isApart(run.category) };
    try {
      const outputs = await recorded({ what: 'run', model, limitUs }, async () => {
        const { session, resizer } = openModel(model);
        const full = session.pack(frames.length, ladder[0]!.dims, (into, i, _, offset) =>
          readSlot(frames[i]!, into, offset),
        );
        return session.run(run.rung === 0 ? full : await smaller(session, resizer!, full, dims));
      });
      post({ ...done, endUs: nowUs(), outputs: outbox.pack(outputs) });
      freeOutputs(outputs);
    } catch (error) {
      if (frames.length > 1) again.push(...frames);
      else post({ ...done, endUs: nowUs(), outputs: { tensors: [] }, error: (error as Error).message });
    }
    fromUs = nowUs();
  }
  return again;
}

/** More than the caches of an edge node's processor hold. */
const swept = new Float64Array((32 * 1024 * 1024) / 8);
const CACHE_LINE = 64 / 8;

/** How long that took last. */
let sweepUs = 0;

/** Empties the caches: in service another network has run before, and its weights are in them. */
function sweepCaches(): void {
  const sinceUs = nowUs();
  for (let i = 0; i < swept.length; i += CACHE_LINE) swept[i]! += 1;
  sweepUs = nowUs() - sinceUs;
}

/** Of frames that are compared: some networks' answers follow the strongest frame of a batch. */
const AMPLITUDES = [1, 3, 0.2];

/** The answers to different frames, one by one and in a batch, each at every place of it. */
async function compare(session: Session, { input, batch }: Measure): Promise<Measured> {
  const run = async (frames: readonly number[]): Promise<OutputTensor[]> => {
    const fill: Fill = (into, i, { elementType }) =>
      fillNoise(into, frames[i]!, elementType, AMPLITUDES[frames[i]! % AMPLITUDES.length]);
    return session.run(session.pack(frames.length, input.dims, fill));
  };
  const all = Array.from({ length: batch }, (_, i) => i);
  const alone: OutputTensor[][] = [];
  for (const frame of all) alone.push(await run([frame]));
  let differs: string | undefined;
  try {
    for (let shift = 0; shift < batch && differs === undefined; shift++) {
      const frames = all.map((i) => (i + shift) % batch);
      differs = differenceOf(
        frames.map((frame) => alone[frame]!),
        await run(frames),
      );
    }
  } catch (error) {
    differs = `it fails on a batch of ${batch}: ${(error as Error).message.split('\n')[0]!}`;
  }
  return { us: 0, outputs: [], ...(differs === undefined ? {} : { differs }) };
}

/** One run of a batch of noise from cold caches, along the same path that frames take. */
async function measure(message: Measure): Promise<Measured> {
  const { input, batch, from, idleUs = 0 } = message;
  const { session, resizer } = openModel(input.model);
  if (message.compare === true) return compare(session, message);
  sweepCaches();
  if (idleUs > 0) await new Promise((resolve) => setTimeout(resolve, idleUs / 1000));
  const startUs = nowUs();
  const full = session.pack(batch, from ?? input.dims, (into, i, { elementType }) => fillNoise(into, i, elementType));
  let us: number;
  let shapes: Measured['outputs'] = [];
  if (from !== undefined) {
    (await resizer!.run(full[session.mainInput]!, input.dims)).dispose();
    us = nowUs() - startUs;
  } else {
    const outputs = await session.run(full);
    shapes = outputs.map(({ name, type, dims }) => ({ name, type, dims }));
    if (outbox.pack(outputs).offset !== undefined) outbox.taken();
    us = nowUs() - startUs;
    freeOutputs(outputs);
  }
  lastMeasuredUs.set(measurementKey({ input, batch, from }), us);
  return { us, outputs: shapes };
}

const measurementKey = ({ input, batch, from }: Pick<Measure, 'input' | 'batch' | 'from'>): string =>
  `${categoryName(input.model, input.dims)}/${batch}/${from?.join('x') ?? ''}`;

async function control(message: Control): Promise<void> {
  try {
    post({ kind: 'answer', request: message.request, value: await answer(message) });
  } catch (error) {
    post({ kind: 'refused', request: message.request, error: (error as Error).message });
  }
}

async function answer(message: Control): Promise<unknown> {
  switch (message.kind) {
    case 'load': {
      const { name, inputs, layout, resizes } = message.model;
      const load = async (): Promise<OpenModel> => ({
        session: await Session.open(message.model, options),
        resizer: resizes ? await Resizer.open(inputs[0]!.elementType, layout, options) : undefined,
      });
      const before = models.get(name);
      models.set(name, await recorded({ what: 'load', model: name, limitUs: LOAD_LIMIT_US }, load));
      await close(name, before);
      return null;
    }
    case 'unload': {
      const { name } = message;
      const before = models.get(name);
      models.delete(name);
      await close(name, before);
      return null;
    }
    case 'measure':
      return recorded({ what: 'measure', model: message.input.model, limitUs: MEASUREMENT_LIMIT_US }, () =>
        measure(message),
      );
  }
}

/** What a batch took last, or what a smaller one did, frame by frame; 0 when neither is known. */
function likelyUs(message: Measure): number {
  for (let batch = message.batch; batch > 0; batch--) {
    const lastUs = lastMeasuredUs.get(measurementKey({ ...message, batch }));
    if (lastUs !== undefined) return (lastUs * message.batch) / batch;
  }
  return 0;
}

/** How long a request holds the device, as far as that is known. */
function expectedUs(message: Control): number {
  switch (message.kind) {
    case 'measure': {
      const { slackUs = 0, aboutUs = 0, idleUs = 0 } = message;
      const knownUs = Math.max(1.5 * likelyUs(message), slackUs, aboutUs);
      return knownUs === 0 ? Infinity : sweepUs + idleUs + knownUs;
    }
    case 'load':
    case 'unload':
      return Infinity;
  }
}

if (options.cores !== undefined) pinThread(options.cores);
if (options.provider !== 'cpu') {
  // What a GPU's driver sets up with the first session should be there before models are, and counted for none of them.
  try {
    await halve(await Resizer.open('float32', 'NCHW', options));
  } catch (error) {
    post({
      kind: 'unusable',
      error: `the ${options.provider} provider does not work: ${explainFailure((error as Error).message, '')}`,
    });
    await new Promise(() => undefined); // the agent ends this process
  }
}
sweepCaches(); // its memory is the process's, not that of the first model measured
post({ kind: 'ready' });
await dispatchLoop(
  port,
  bell,
  {
    execute,
    control,
    expectedUs,
    pool: ({ pool, path, slotBytes }) => void pools.set(pool, { fd: openSync(path, 'r'), slotBytes }),
    taken: () => outbox.taken(),
    poolGone: ({ pool }) => {
      closeSync(pools.get(pool)!.fd);
      pools.delete(pool);
    },
    programmed: (program) => {
      categories.clear();
      for (const { name, model, ladder } of program.categories)
        categories.set(name, {
          model,
          ladder: ladder.map((rung) => ({
            ...rung,
            largestBatch: Math.max(...rung.points.map(({ batch }) => batch)),
          })),
        });
    },
  },
  post,
);
port.close();
