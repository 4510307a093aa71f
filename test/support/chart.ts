import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const CHART = join(ROOT, 'charts/deeprt');

/** Any Kubernetes object. */
export interface KubeManifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Record<string, string>;
  };
  readonly [field: string]: unknown;
}

let binary: string | undefined;

/** Runs the real helm; built on the first call where nobody has. */
export function helm(...args: string[]): { code: number | null; output: string; error: string } {
  binary ??= execFileSync(join(ROOT, 'hack/helm.sh'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  const { status, stdout, stderr } = spawnSync(binary, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  return { code: status, output: stdout, error: stderr };
}

/** What the chart renders to as release `deeprt` in deeprt-system, as text. */
export function rendered(...args: string[]): string {
  const { code, output, error } = helm('template', 'deeprt', CHART, '--namespace', 'deeprt-system', ...args);
  if (code !== 0) throw new Error(error);
  return output;
}

export const objectsOf = (text: string): KubeManifest[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubeManifest | null)
    .filter((object) => object !== null);
