import { createHash } from 'node:crypto';
import { rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { ResourceOf } from '../../api/manifests.js';
import { temporaryFolder } from '../../test/support/temporary.js';
import { SourceWatch } from './source-watch.js';

const folder = temporaryFolder();
const sha256 = createHash('sha256').update('as meant').digest('hex');
const model = { metadata: { name: 'm' }, spec: { source: 'file:m.onnx', sha256 } } as ResourceOf<'InferenceModel'>;

test('a file that is changed on disk is told of once, and no longer when it is what it was', async () => {
  const watch = new SourceWatch(undefined);
  const [path, copy] = ['m.onnx', 'copy.onnx'].map((name) => join(folder(), name)) as [string, string];
  let atS = 1_000_000;
  const write = (text: string): void => {
    writeFileSync(path, text);
    utimesSync(path, ++atS, atS);
  };
  write('as meant');
  writeFileSync(copy, 'as meant');
  const look = (): Promise<boolean> => watch.look(model, folder(), copy);
  expect([await look(), watch.note('m')]).toEqual([false, undefined]);
  write('another!');
  const note: unknown = expect.stringMatching(
    /m\.onnx has changed: it has sha256 [0-9a-f]{64} now, .* set spec\.sha256 to it/,
  );
  expect([await look(), watch.note('m')]).toEqual([true, note]);
  expect(await look()).toBe(false);
  rmSync(path); // its copy is served
  expect([await look(), watch.note('m')]).toEqual([false, note]);
  write('as meant');
  expect([await look(), watch.note('m')]).toEqual([true, undefined]);
});
