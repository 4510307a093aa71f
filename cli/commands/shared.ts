import { Option } from 'commander';

/** What several commands share. */

export const EXIT = { good: 0, failed: 1, badInput: 2, notAllAdmitted: 3, previousPromise: 4 } as const;

export const manifests = (): Option =>
  new Option(
    '-f, --filename <dir>',
    'folder (or file) of InferenceTenant and InferenceModel manifests',
  ).makeOptionMandatory();
export const profileOption = (): Option =>
  new Option('--profile <file...>', 'GPUProfile manifests, as deeprt profile writes them, beside those of the folder');
export const outputOption = (flag: string): Option =>
  new Option(flag, 'how to print').choices(['table', 'json']).default('table');
export const print = (text: string): void => void process.stdout.write(`${text}\n`);
