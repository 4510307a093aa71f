import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { FolderInUse, lockFolder } from './folder-lock.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deeprt-lock-'));
});
afterEach(() => rm(folder, { recursive: true }));

const MODULE = new URL('./folder-lock.js', import.meta.url).href;

describe('a folder', () => {
  test('has one owner at a time, and a new one when that has ended, even by SIGKILL', async () => {
    const script = `const { lockFolder } = await import('${MODULE}'); await lockFolder('${folder}'); console.log('mine'); setInterval(() => {}, 1000);`;
    const other = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(other.stdout, 'data');
      await expect(lockFolder(folder)).rejects.toThrow(FolderInUse);
      await expect(lockFolder(folder)).rejects.toThrow(`is used by process ${other.pid}`);
    } finally {
      other.kill('SIGKILL');
      await once(other, 'exit');
    }
    const release = await lockFolder(folder);
    expect(JSON.parse(await readFile(join(folder, 'lock'), 'utf8'))).toMatchObject({ pid: process.pid });
    release();
    (await lockFolder(folder))();
  });

  test('is not kept by a lock that was cut, or by another process with the number of the one that held it', async () => {
    for (const text of ['', '{"pid":', JSON.stringify({ pid: process.ppid, started: '1', host: 'elsewhere' })]) {
      await writeFile(join(folder, 'lock'), text);
      (await lockFolder(folder))();
    }
  });
});
