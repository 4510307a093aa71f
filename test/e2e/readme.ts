import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kubeconfig } from './node.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** The commands of README's block about a cluster that have not been run yet, without their comments. */
const open: string[] = (() => {
  const blocks = readFileSync(join(repository, 'README.md'), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms);
  const block = [...blocks].map(([, text]) => text!).find((text) => text.includes('helm install'));
  if (block === undefined) throw new Error('README.md has no block of commands with helm install');
  return block
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*/, '').trim())
    .filter((line) => line !== '');
})();

/** Runs README's next command, which must begin like this, as somebody would who sits in the repository. */
export function asInReadme(beginning: string, more = ''): string {
  const command = open.shift();
  if (command?.startsWith(beginning) !== true)
    throw new Error(`README's next command is not "${beginning} ...", but: ${command ?? 'nothing'}`);
  console.log(`$ ${command}`);
  const path = [process.env['E2E_TOOLS']!, dirname(process.env['E2E_HELM']!), process.env['PATH']!].join(':');
  return execFileSync('bash', ['-ec', `${command} ${more}`], {
    cwd: repository,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: path, KUBECONFIG: kubeconfig },
  });
}

/** Commands of README that were not run. */
export const notRun = (): readonly string[] => open;
