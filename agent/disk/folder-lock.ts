import { readFileSync, rmSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** The folder is another process's. */
export class FolderInUse extends Error {}

interface Owner {
  readonly pid: number;
  /** Of the process, so that another one with its number is not taken for it; in ticks since the machine's start. */
  readonly started: string;
  readonly host: string;
}

/** When a process started; undefined when there is no such process, or nobody tells. */
function startOf(pid: number): string | undefined {
  try {
    return /\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))![1]!.split(' ')[19];
  } catch {
    return undefined;
  }
}

/**
 * Makes this process the only one that keeps files in a folder, until it ends or what is returned is called. Who holds the lock is known where both run on
 * one host (or in one container): a lock of another one is taken over.
 *
 * @throws FolderInUse saying by whom
 */
export async function lockFolder(folder: string): Promise<() => void> {
  const file = join(folder, 'lock');
  await mkdir(folder, { recursive: true });
  const me: Owner = { pid: process.pid, started: startOf(process.pid) ?? '', host: hostname() };
  for (let attempts = 0; ; attempts++)
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(JSON.stringify(me));
      await handle.close();
      const release = (): void => {
        process.off('exit', release);
        rmSync(file, { force: true });
      };
      process.once('exit', release);
      return release;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempts === 3) throw error;
      const owner = await ownerOf(file);
      if (owner !== undefined && owner.host === me.host && startOf(owner.pid) === owner.started)
        throw new FolderInUse(
          `${folder} is used by process ${owner.pid}; end that, or give this one a folder of its own`,
        );
      await rm(file, { force: true });
    }
}

async function ownerOf(file: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Owner;
  } catch {
    return undefined; // cut when the machine went down
  }
}
