import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from '@jest/globals';

/** A folder for the tests of a file, removed after them. */
export function temporaryFolder(): () => string {
  let path = '';
  beforeAll(() => {
    path = mkdtempSync(join(tmpdir(), 'deeprt-test-'));
  });
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return () => path;
}
