import { mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Writes that are under way, by file: one at a time, in the order in which they were asked for. */
const writing = new Map<string, Promise<void>>();

/** Writes a file whole: a crash at any instant leaves the old one or the new one, and of several writers the last one's. */
export function writeWhole(file: string, text: string): Promise<void> {
  const before = writing.get(file) ?? Promise.resolve();
  const mine = before.catch(() => undefined).then(() => write(file, text));
  writing.set(file, mine);
  return mine.finally(() => {
    if (writing.get(file) === mine) writing.delete(file);
  });
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const part = `${file}.part`;
  const handle = await open(part, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(part, file);
}
