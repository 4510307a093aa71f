import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Files that are looked at a second, at most: a folder of many is looked at less often. */
const FILES_A_SECOND = 500;
const LEAST_PERIOD_MS = 200;
/** A folder that keeps changing is read all the same. */
const LONGEST_SETTLING_MS = 2000;

/** What there is to a folder, or to one file, as far as names, sizes and times tell. */
async function fingerprint(path: string): Promise<{ readonly files: number; readonly text: string }> {
  const stamp = async (file: string): Promise<string> => {
    try {
      const { ino, size, mtimeMs } = await stat(file);
      return `${file} ${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      return `${file} ${(error as NodeJS.ErrnoException).code}`;
    }
  };
  let names: string[];
  try {
    names = (await readdir(path)).map((name) => join(path, name));
  } catch {
    names = []; // one file, or nothing at all now
  }
  const parts = await Promise.all([path, ...names].map(stamp));
  return { files: parts.length, text: parts.join('\n') };
}

/**
 * Looks at a folder again and again and tells of each change once the folder has settled, or after two seconds if it does
 * not. It looks at what is there instead of listening for events, so a folder that is removed and made again, replaced by a
 * link, or on a file system without events is followed like any other.
 */
export function followFolder(path: string, changed: () => void): { stop: () => Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const running = (async () => {
    let known: string | undefined;
    let before: string | undefined;
    let unsettledMs = 0;
    for (;;) {
      const { files, text } = await fingerprint(path);
      if (signal.aborted) return;
      const periodMs = Math.max(LEAST_PERIOD_MS, (1000 * files) / FILES_A_SECOND);
      unsettledMs = text === known ? 0 : unsettledMs + periodMs;
      if (text !== known && (text === before || unsettledMs >= LONGEST_SETTLING_MS)) {
        known = text;
        unsettledMs = 0;
        changed();
      }
      before = text;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, periodMs);
        signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
      });
    }
  })();
  return {
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}
