import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { LateFrame } from './late-frames.js';
import { LateLog, MOST_RECORDS } from './late-log.js';

let folder: string;
const file = (): string => join(folder, 'late', '0.jsonl');
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deeprt-late-'));
});
afterEach(() => rm(folder, { recursive: true }));

const warnings: string[] = [];
const log = {
  info: () => undefined,
  warn: (_: object, text: string) => void warnings.push(text),
  error: () => undefined,
};
const record = (atUs: number): LateFrame => ({
  tenant: 'default/gate',
  category: 'echo@3x8x8',
  at: '2026-01-01T00:00:00.000Z',
  atUs,
  cause: 'Overrun',
  latencyUs: 2,
  deadlineUs: 1,
  spentUs: { input: 1 },
  runs: [],
});
const kept = async (): Promise<number[]> => (await LateLog.open(file(), log)).records.map(({ atUs }) => atUs);

test('what was added is there again, without having been closed', async () => {
  const first = await LateLog.open(file(), log);
  for (const at of [1, 2, 3]) first.add(record(at));
  await first.close(); // all is written; nothing more happens at the end
  expect(await kept()).toEqual([1, 2, 3]);
  const second = await LateLog.open(file(), log);
  second.add(record(4));
  await second.close();
  expect(await kept()).toEqual([1, 2, 3, 4]);
});

test('a line that a crash cut costs itself only', async () => {
  const first = await LateLog.open(file(), log);
  first.add(record(1));
  await first.close();
  await appendFile(file(), '{"tenant":"default/g');
  const second = await LateLog.open(file(), log);
  second.add(record(2));
  second.add(record(3));
  await second.close();
  expect(await kept()).toEqual([1, 2, 3]);
});

test('the last ones are kept, and the file stays small', async () => {
  const all = await LateLog.open(file(), log);
  for (let i = 0; i < 5 * MOST_RECORDS; i++) {
    all.add(record(i));
    if (i % 50 === 0) await all.close();
  }
  await all.close();
  expect(all.records.map(({ atUs }) => atUs)).toEqual(
    Array.from({ length: MOST_RECORDS }, (_, i) => 4 * MOST_RECORDS + i),
  );
  expect(await kept()).toEqual(all.records.map(({ atUs }) => atUs));
  expect((await readFile(file(), 'utf8')).split('\n').length).toBeLessThan(3 * MOST_RECORDS);
});

test('where nothing can be written they are kept in memory, and that is said once', async () => {
  await writeFile(join(folder, 'late'), 'a file in the way');
  const all = await LateLog.open(file(), log);
  for (const at of [1, 2]) {
    all.add(record(at));
    await all.close();
  }
  expect(all.records).toHaveLength(2);
  expect(warnings).toEqual(['records of late frames are not kept']);
});
