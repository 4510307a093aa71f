/** Writes what is made from crds/ and hack/dashboards.ts. `make generate`; a test holds that it is current. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { generatedFiles } from './generated.js';

for (const [file, text] of await generatedFiles()) {
  const path = new URL(`../../${file}`, import.meta.url);
  mkdirSync(new URL('.', path), { recursive: true });
  writeFileSync(path, text);
}
