import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Damaged, keep, kept } from './kept-file.js';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'deeprt-kept-'));
  file = join(dir, 'kept.yaml');
});
afterEach(() => rm(dir, { recursive: true }));

describe('what was kept', () => {
  test('is there again, or nothing is', async () => {
    expect(await kept(file)).toBeUndefined();
    await keep(file, 'wcetUs: 12000\n');
    expect(await kept(file)).toBe('wcetUs: 12000\n');
  });

  test('is not taken when it was cut at any place, or any bit of it was flipped', async () => {
    await keep(file, 'wcetUs: 12000\n');
    const whole = await readFile(file);
    for (let length = 0; length < whole.length; length++) {
      await writeFile(file, whole.subarray(0, length));
      await expect(kept(file)).rejects.toThrow(Damaged);
    }
    for (let at = 0; at < whole.length; at++) {
      const altered = Buffer.from(whole);
      altered[at]! ^= 1 << (at % 8);
      await writeFile(file, altered);
      await expect(kept(file)).rejects.toThrow(Damaged);
    }
  });
});
