/**
 * A decode worker's process: image libraries are native code that reads strangers' bytes, so they run apart, one frame at
 * a time, and what goes wrong costs one frame.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { BadRequest } from '../protocol/bad-request.js';
import { readRequest } from '../protocol/request.js';
import { decodeImage, warmUp, writePixels } from './image.js';
import { BadImage } from '../../image-input.js';
import type { Decoded, FromWorker, Recipe, ToWorker } from './messages.js';

let bodies = -1;
const recipes = new Map<string, Recipe>();
const pools = new Map<string, number>();

function tell(message: FromWorker): void {
  process.send!(message);
}

function openPool(pool: string, path: string): number {
  const known = pools.get(pool);
  if (known !== undefined) return known;
  const fd = openSync(path, 'r+');
  pools.set(pool, fd);
  return fd;
}

/** A frame's tensor, in parts. */
async function made(
  body: Buffer,
  recipe: Recipe,
  slotBytes: number,
): Promise<{ tensor: readonly Uint8Array[] } & Pick<Decoded, 'wanted'>> {
  if (recipe.kind === 'json') return readRequest([body], undefined, recipe.expected);
  const tensor = new Uint8Array(slotBytes);
  writePixels(await decodeImage(body, recipe.input), recipe.input, tensor);
  return { tensor: [tensor] };
}

async function decode(message: Extract<ToWorker, { kind: 'decode' }>): Promise<void> {
  const { bytes, recipe, pool, path, offset, slotBytes } = message;
  const before = process.cpuUsage();
  try {
    const body = Buffer.allocUnsafeSlow(bytes);
    for (let read = 0; read < bytes;) {
      const more = readSync(bodies, body, read, bytes - read, read);
      if (more === 0) throw new Error('the body is not in shared memory');
      read += more;
    }
    const fd = openPool(pool, path);
    const { tensor, wanted } = await made(body, recipes.get(recipe)!, slotBytes);
    let at = offset;
    for (const part of tensor)
      for (let from = 0; from < part.byteLength;) {
        const written = writeSync(fd, part, from, part.byteLength - from, at);
        from += written;
        at += written;
      }
    const { user, system } = process.cpuUsage(before);
    tell({ kind: 'decoded', us: user + system, ...(wanted === undefined ? {} : { wanted }) });
  } catch (error) {
    if (error instanceof BadRequest) tell({ kind: 'bad', error: error.message, code: error.code });
    else if (error instanceof BadImage) tell({ kind: 'bad', error: error.message, code: 'InvalidImage' });
    // Whatever else goes wrong in JavaScript costs its frame, as well.
    else tell({ kind: 'failed', error: (error as Error).message });
  }
}

// The agent says when to end: a signal to the whole group is for it to handle.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(0));

process.on('message', (message: ToWorker) => {
  if (message.kind === 'bodies') bodies = openSync(message.path, 'r');
  else if (message.kind === 'recipe') recipes.set(message.key, message.recipe);
  else if (message.kind === 'decode') void decode(message);
  else {
    const fd = pools.get(message.pool);
    if (fd !== undefined) closeSync(fd);
    pools.delete(message.pool);
  }
});

await warmUp();
tell({ kind: 'ready' });
