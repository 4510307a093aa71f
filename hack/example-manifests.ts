import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { formatDurationUs, parseDurationUs } from '../api/duration.js';
import type { ResourceOf } from '../api/manifests.js';
import type { Catalogue } from '../cli/directory.js';

type Spec = ResourceOf<'InferenceTenant'>['spec'];

const repo = fileURLToPath(new URL('../../', import.meta.url));

/** Where the example manifests and frames are, and the command. */
export const EXAMPLES = `${repo}examples`;
export const FRAMES = `${repo}examples/frames`;
export const DEEPRT = `${repo}dist/cli/main.js`;

/** Where the file of an example's model is, as a URL. */
export const exampleFile = (source: string): URL => new URL(source.slice('file:'.length), `file://${EXAMPLES}/`);

/** The spec at another rate; its jitter is no longer than the period then. */
export function atRate(spec: Spec, framesPerSecond: number): Spec {
  const { jitter } = spec;
  if (jitter === undefined) return { ...spec, framesPerSecond };
  const jitterUs = Math.min(parseDurationUs(jitter), Math.floor(1e6 / framesPerSecond));
  return { ...spec, framesPerSecond, jitter: formatDurationUs(jitterUs) };
}

/** The examples' models as manifests that work from any folder. */
export function modelManifests({ models }: Catalogue): string {
  return [...models.values()]
    .map(({ apiVersion, kind, metadata, spec }) => {
      const source = exampleFile(spec.source).href;
      return stringify({ apiVersion, kind, metadata: { name: metadata.name }, spec: { ...spec, source } });
    })
    .join('---\n');
}

export function tenantManifests(tenants: readonly ResourceOf<'InferenceTenant'>[]): string {
  return tenants
    .map(({ apiVersion, kind, metadata, spec }) =>
      stringify({ apiVersion, kind, metadata: { name: metadata.name }, spec }),
    )
    .join('---\n');
}
