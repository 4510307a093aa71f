import { workerData } from 'node:worker_threads';
import { Session } from '../../agent/device/thread/sessions.js';
import type { DeviceData } from './device-words.js';
import { COUNT, DONE, MODEL, STATE, TOOK_US } from './device-words.js';

/** The thread of a RealDevice. */
const { models, shared } = workerData as DeviceData;
const words = new Int32Array(shared);
const sessions = await Promise.all(models.map((model) => Session.open(model, { provider: 'cpu', threads: 1 })));
const fill = (into: Uint8Array): void =>
  void new Float32Array(into.buffer, into.byteOffset, into.byteLength / 4).fill(0.1);

for (;;) {
  Atomics.store(words, STATE, DONE);
  Atomics.notify(words, STATE);
  Atomics.wait(words, STATE, DONE);
  const sinceMs = performance.now();
  const session = sessions[words[MODEL]!]!;
  await session.run(session.pack(words[COUNT]!, models[words[MODEL]!]!.inputs[0]!.dims, fill));
  words[TOOK_US] = Math.max(1, Math.ceil(1000 * (performance.now() - sinceMs)));
}
