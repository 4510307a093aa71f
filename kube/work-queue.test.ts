import { describe, expect, test } from '@jest/globals';
import { WorkQueue, work } from './work-queue.js';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a work queue', () => {
  test('holds each key once, however often it is added', async () => {
    const queue = new WorkQueue<string>();
    for (const key of ['a', 'b', 'a', 'a', 'b']) queue.add(key);
    expect(queue.depth).toBe(2);
    expect(await queue.takeAll()).toEqual(['a', 'b']);
    expect(queue.depth).toBe(0);
  });

  test('gives a key that was added while it ran once more, afterwards', async () => {
    const queue = new WorkQueue<string>();
    queue.add('a');
    expect(await queue.take()).toBe('a');
    queue.add('a');
    queue.add('a');
    expect(queue.depth).toBe(0); // not while it runs
    queue.done('a');
    expect(queue.depth).toBe(1);
  });

  test('never runs a key twice at a time, and all keys at last', async () => {
    const queue = new WorkQueue<number>();
    const running = new Set<number>();
    const runs = new Map<number, number>();
    const ended = work(
      queue,
      8,
      async (key) => {
        expect(running.has(key)).toBe(false);
        running.add(key);
        await sleep(Math.random() * 3);
        running.delete(key);
        runs.set(key, (runs.get(key) ?? 0) + 1);
      },
      () => undefined,
    );
    for (let i = 0; i < 300; i++) {
      queue.add(i % 10);
      if (i % 7 === 0) await sleep(1);
    }
    while (queue.depth > 0 || running.size > 0) await sleep(5);
    queue.close();
    await ended;
    expect([...runs.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('tries a failing key again, later and later, and forgets its failures when it succeeds', async () => {
    const queue = new WorkQueue<string>({ firstRetryMs: 10, longestRetryMs: 1000 });
    const triedMs: number[] = [];
    const failures: unknown[] = [];
    const ended = work(
      queue,
      1,
      () => {
        triedMs.push(performance.now());
        return triedMs.length < 5 ? Promise.reject(new Error('not yet')) : Promise.resolve();
      },
      (_key, error) => failures.push(error),
    );
    queue.add('a');
    while (triedMs.length < 5) await sleep(5);
    queue.close();
    await ended;
    expect(failures).toHaveLength(4);
    const gaps = triedMs.slice(1).map((ms, i) => ms - triedMs[i]!);
    // 10, 20, 40, 80 ms, each up to a quarter shorter; timers are never early by more than a millisecond.
    gaps.forEach((gap, i) => expect(gap).toBeGreaterThanOrEqual(0.75 * 10 * 2 ** i - 1));
  });

  test('of several delays the shortest counts, and adding at once beats all', async () => {
    const queue = new WorkQueue<string>();
    queue.addAfter('a', 60_000);
    queue.addAfter('a', 10);
    queue.addAfter('a', 60_000);
    expect(queue.depth).toBe(0);
    expect(await queue.take()).toBe('a');
    queue.done('a');
    queue.addAfter('b', 60_000);
    queue.add('b');
    expect(await queue.take()).toBe('b');
    queue.close();
  });

  test('when closed gives nothing to anybody, also to who was waiting', async () => {
    const queue = new WorkQueue<string>();
    const waiting = Promise.all([queue.take(), queue.takeAll()]);
    queue.close();
    queue.add('a');
    expect(await waiting).toEqual([undefined, []]);
  });
});
