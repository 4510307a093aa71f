/** Writes api/generated/ from crds/. `make generate`; the test beside api/ holds that it is current. */
import { writeFileSync } from 'node:fs';
import { generatedTypes } from './types-from-crds.js';

for (const [file, text] of await generatedTypes())
  writeFileSync(new URL(`../../api/generated/${file}`, import.meta.url), text);
