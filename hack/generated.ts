import { readFileSync, readdirSync } from 'node:fs';
import { apiDocs } from './api-docs.js';
import { DASHBOARDS, build } from './dashboards.js';
import { reasonsDocs } from './reasons-docs.js';
import { syntheticProfiles } from './synthetic-profiles.js';
import { generatedTypes } from './types-from-crds.js';
import { versionedFiles } from './versions.js';
import { ways } from './ways.js';

const crds = new URL('../../crds/', import.meta.url);

/** All files that are made from others, by their path in the repository. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const [file, text] of await generatedTypes()) files.set(`api/generated/${file}`, text);
  // A chart cannot reach beyond its folder.
  for (const file of readdirSync(crds))
    files.set(`charts/deeprt/files/crds/${file}`, readFileSync(new URL(file, crds), 'utf8'));
  for (const [name, spec] of Object.entries(DASHBOARDS))
    files.set(`charts/deeprt/files/dashboards/${name}.json`, `${JSON.stringify(build(spec), null, 2)}\n`);
  files.set('docs/api.md', apiDocs());
  files.set('docs/troubleshooting.md', reasonsDocs());
  files.set('docs/ways.svg', ways());
  for (const [file, text] of syntheticProfiles()) files.set(file, text);
  for (const [file, text] of versionedFiles()) files.set(file, text);
  return files;
}
