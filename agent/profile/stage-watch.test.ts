import { describe, expect, test } from '@jest/globals';
import type { Stages } from '../../api/frames.js';
import { StageWatch } from './stage-watch.js';

const STAGES: Stages = {
  blockingUs: 2000,
  channelUs: 1000,
  workers: 1,
  sharedCore: true,
  receive: [{ form: 'Tensor', perFrameUs: 100, perKiBUs: 1 }],
  answer: [{ form: 'JSON', perFrameUs: 50, perKiBUs: 10 }],
  decode: [
    { form: 'JPEG', perFrameUs: 2000, perMillionUs: 3000 },
    { form: 'PNG', perFrameUs: 2000, perMillionUs: 9000 },
  ],
};
const JPEG = { form: 'JPEG', bytes: 10_000, pixels: 300_000 } as const;
const SECOND = 1_000_000;

/** Frames that take so many times as long as expected, twenty a second. */
function decode(watch: StageWatch, factor: number, seconds: number, tenant = 'a', promised = true): number {
  for (let atUs = 0; atUs < seconds * SECOND; atUs += SECOND / 20)
    watch.decoded(JPEG, 3000 * factor, 3000, { tenant, promised }, atUs);
  return seconds * SECOND;
}

const jpegUs = (stages: Stages | undefined): number | undefined =>
  stages?.decode.find(({ form }) => form === 'JPEG')?.perFrameUs;

describe('what decoding takes', () => {
  test.each([
    [3, 20],
    [0.3, 35],
  ])('%d times as much, for long enough, is put right, and only that', (factor, seconds) => {
    const watch = new StageWatch();
    const better = watch.corrected(STAGES, 0, decode(watch, factor, seconds));
    expect(jpegUs(better)).toBeCloseTo(2000 * factor * 1.2);
    expect(better!.decode[1]).toEqual(STAGES.decode[1]);
    expect(better!.receive).toEqual(STAGES.receive);
  });

  test.each([
    [3, 10],
    [0.3, 20],
    [1.2, 60],
  ])('%d times as much for %d s is left alone', (factor, seconds) => {
    const watch = new StageWatch();
    expect(watch.corrected(STAGES, 0, decode(watch, factor, seconds))).toBeUndefined();
  });
});

describe('what the pictures of one tenant take', () => {
  test.each([
    ['quicker ones', 0.3, 60, true],
    ['slower ones', 3, 60, true],
    ['slower ones beyond what it was promised', 3, 60, false],
  ])('%s change nothing for others, whose figures are right', (_what, factor, seconds, promised) => {
    const watch = new StageWatch();
    decode(watch, 0.83, seconds, 'honest');
    expect(watch.corrected(STAGES, 0, decode(watch, factor, seconds, 'other', promised))).toBeUndefined();
  });

  test('count no more once it is gone', () => {
    const watch = new StageWatch();
    decode(watch, 0.83, 5, 'gone');
    expect(jpegUs(watch.corrected(STAGES, 0, decode(watch, 0.3, 70, 'stays', false)))).toBeCloseTo(2000 * 0.3 * 1.2);
  });
});

describe('what the event loop takes', () => {
  /** The loop is active `factor` times as long as its work should take, a fifth of the time expected. */
  function run(watch: StageWatch, factor: number, seconds: number, share = 0.2): Stages | undefined {
    let stages: Stages | undefined;
    for (let atUs = 0; atUs <= seconds * SECOND; atUs += SECOND / 2) {
      stages ??= watch.corrected(STAGES, atUs * share * factor, atUs);
      watch.handled((SECOND / 2) * share);
    }
    return stages;
  }

  test('is put right both ways', () => {
    expect(run(new StageWatch(), 2, 20)!.receive[0]!.perFrameUs).toBeCloseTo(200, -1);
    expect(run(new StageWatch(), 0.5, 40)!.answer[0]!.perKiBUs).toBeCloseTo(5, 0);
  });

  test('is left alone when it is about right, when it passes, and when frames take too little of it to tell', () => {
    expect(run(new StageWatch(), 1.2, 60)).toBeUndefined();
    expect(run(new StageWatch(), 3, 10)).toBeUndefined();
    expect(run(new StageWatch(), 3, 60, 0.02)).toBeUndefined();
  });
});
