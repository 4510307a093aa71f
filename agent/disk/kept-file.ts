import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { writeWhole } from './whole-file.js';

/** What stands at the end of a kept file, of what stands before. */
const SEAL = /# sha256 ([0-9a-f]{64})\n$/;

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A text with its digest, as a YAML comment. */
export const sealed = (text: string): string => `${text}# sha256 ${digest(text)}\n`;

/** A file that was kept and is not what was written: it was cut, or altered. */
export class Damaged extends Error {}

/** Writes a file whole, with its digest. */
export const keep = (file: string, text: string): Promise<void> => writeWhole(file, sealed(text));

/**
 * What was kept in a file; undefined when there is none.
 *
 * @throws Damaged when it is not what was written
 */
export async function kept(file: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Damaged(`${file} cannot be read: ${(error as Error).message}`);
  }
  const seal = SEAL.exec(text);
  const content = seal === null ? '' : text.slice(0, seal.index);
  if (seal === null || digest(content) !== seal[1])
    throw new Damaged(`${file} was cut or altered since it was written, or comes from a version before`);
  return content;
}
