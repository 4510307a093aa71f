import { FolderInUse, lockFolder } from '../agent/disk/folder-lock.js';
import { BadInput } from './directory.js';

/**
 * Makes the folder for what is kept this process's own, and finds out before minutes of measuring whether anything can be kept.
 *
 * @returns what gives it back
 * @throws BadInput when another process has it, or it cannot be written to
 */
export async function ownFolder(stateDir: string): Promise<() => void> {
  try {
    return await lockFolder(stateDir);
  } catch (error) {
    const { message } = error as Error;
    throw new BadInput(
      error instanceof FolderInUse
        ? `--state ${message}`
        : `--state ${stateDir} cannot be written to: ${message}; give a folder that this user may write to, with some space`,
    );
  }
}
