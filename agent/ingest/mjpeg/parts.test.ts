import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PartSplitter, boundaryOf } from './parts.js';

const stream = (bodies: readonly Buffer[], withLength: boolean): Buffer =>
  Buffer.concat([
    ...bodies.flatMap((body) => [
      Buffer.from(
        `--frame\r\nContent-Type: image/jpeg\r\n${withLength ? `Content-Length: ${body.length}\r\n` : ''}\r\n`,
      ),
      body,
      Buffer.from('\r\n'),
    ]),
    Buffer.from('--frame--\r\n'),
  ]);

describe('a stream of parts', () => {
  test('is the same however it is cut', () => {
    const bodies = fc.array(
      // Bytes that hold no boundary; with a length they might.
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes.map((byte) => (byte === 45 ? 46 : byte)))),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(
        bodies,
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (all, told, cuts) => {
          const splitter = new PartSplitter('frame', 1000);
          const whole = stream(all, told);
          const got: Buffer[] = [];
          for (let at = 0, i = 0; at < whole.length; i++) {
            const size = cuts[i % cuts.length]!;
            got.push(...splitter.push(whole.subarray(at, at + size)).map(({ body }) => body));
            at += size;
          }
          expect(got).toEqual(all);
        },
      ),
    );
  });

  test.each([true, false])('costs no more in many small chunks (length told: %s)', (told) => {
    const size = 8 * 1024 ** 2;
    const splitter = new PartSplitter('frame', size);
    const whole = stream([Buffer.alloc(size, 1)], told);
    const most = whole.length - 100_000;
    // A copy of all for each of these would take hours.
    expect(splitter.push(whole.subarray(0, most))).toEqual([]);
    let parts = 0;
    for (let at = most; at < whole.length; at++) parts += splitter.push(whole.subarray(at, at + 1)).length;
    expect(parts).toBe(1);
  });

  test('has a part that tells its length at once, and any other with the next boundary', () => {
    const [told, untold] = [new PartSplitter('b', 100), new PartSplitter('b', 100)];
    expect(told.push(Buffer.from('--b\r\nContent-Length: 3\r\n\r\nabc'))).toHaveLength(1);
    expect(untold.push(Buffer.from('--b\r\n\r\nabc'))).toHaveLength(0);
    expect(untold.push(Buffer.from('\r\n--b\r\n')).map(({ body }) => body.toString())).toEqual(['abc']);
  });

  test.each<[string, string]>([
    ['a part that is too large by its own word', '--b\r\nContent-Length: 101\r\n\r\n'],
    ['a length that is none', '--b\r\nContent-Length: many\r\n\r\n'],
    ['a part that never ends', `--b\r\n\r\n${'x'.repeat(10_000)}`],
    ['a head that never ends', `--b\r\n${'X: y\r\n'.repeat(3000)}`],
    ['no boundary at all', 'x'.repeat(10_000)],
  ])('is refused for %s', (_what, text) => {
    expect(() => new PartSplitter('b', 100).push(Buffer.from(text))).toThrow();
  });
});

test('boundaries are read as cameras write them', () => {
  expect(
    ['multipart/x-mixed-replace;boundary=--frame', 'multipart/x-mixed-replace; boundary="a b"'].map(boundaryOf),
  ).toEqual(['frame', 'a b']);
  expect(() => boundaryOf('multipart/x-mixed-replace')).toThrow(/boundary/);
});
