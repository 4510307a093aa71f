import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { ResourceOf } from '../api/manifests.js';
import type { Catalogue } from '../cli/directory.js';

const repo = fileURLToPath(new URL('../../', import.meta.url));

/** Where the example manifests and frames are, and the command. */
export const EXAMPLES = `${repo}examples`;
export const FRAMES = `${repo}examples/frames`;
export const DEEPRT = `${repo}dist/cli/main.js`;

/** The examples' models as manifests that work from any folder. */
export function modelManifests({ models }: Catalogue): string {
  return [...models.values()]
    .map(({ apiVersion, kind, metadata, spec }) => {
      const source = new URL(spec.source.slice('file:'.length), `file://${EXAMPLES}/`).href;
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
