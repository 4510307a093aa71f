import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Environment } from './systems.js';

/** The peers' Python environment, set up where it is missing. */
export function environment(): Environment {
  const sources = fileURLToPath(new URL('../../../bench/peers', import.meta.url));
  const python = execFileSync('sh', [join(sources, 'setup.sh')], { encoding: 'utf8' }).trim();
  return { python, sources, site: join(python, '..', '..', 'lib', 'python3.11', 'site-packages') };
}
