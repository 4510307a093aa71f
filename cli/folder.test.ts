import { mkdir, mkdtemp, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { followFolder } from './folder.js';

let root: string;
let folder: string;
let follower: ReturnType<typeof followFolder>;
let changes: number;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'deeprt-folder-'));
  folder = join(root, 'manifests');
  await mkdir(folder);
  changes = 0;
  follower = followFolder(folder, () => void changes++);
  await noticed();
});
afterEach(async () => {
  await follower.stop();
  await rm(root, { recursive: true });
});

/** Waits for one more change to be told of. */
async function noticed(withinMs = 5000): Promise<void> {
  const before = changes;
  for (const untilMs = performance.now() + withinMs; changes === before;) {
    if (performance.now() > untilMs) throw new Error('not noticed');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('a folder', () => {
  test('is followed through edits in place, removals, and being removed and made again', async () => {
    await writeFile(join(folder, 'a.yaml'), '1');
    await noticed();
    await writeFile(join(folder, 'a.yaml'), '22');
    await noticed();
    await unlink(join(folder, 'a.yaml'));
    await noticed();
    for (let round = 0; round < 2; round++) {
      await rm(folder, { recursive: true });
      await noticed();
      await mkdir(folder);
      await writeFile(join(folder, 'b.yaml'), '1');
      await noticed();
      await writeFile(join(folder, 'b.yaml'), '22');
      await noticed();
    }
  });

  test('is followed where files are links that are turned to another folder, as kubelet does', async () => {
    for (const version of ['1', '2']) {
      await mkdir(join(root, version));
      await writeFile(join(root, version, 'a.yaml'), version.repeat(3));
    }
    await symlink(join(root, '1'), join(root, 'data'));
    await symlink(join(root, 'data', 'a.yaml'), join(folder, 'a.yaml'));
    await noticed();
    await unlink(join(root, 'data'));
    await symlink(join(root, '2'), join(root, 'data'));
    await noticed();
  });

  test('that never settles is read all the same, and one that does not change is not', async () => {
    const busy = setInterval(() => void writeFile(join(folder, 'note.yaml'), `${performance.now()}`), 50);
    try {
      await noticed(4000);
      await noticed(4000);
    } finally {
      clearInterval(busy);
    }
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000));
    await pause(); // the last write may have been told of already, or not
    const before = changes;
    await pause();
    expect(changes).toBe(before);
  });
});
