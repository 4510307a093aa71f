import { expect, test } from '@jest/globals';
import type { Cause } from './late-frames.js';
import { causeOf } from './late-frames.js';

const MS = 1000;
const terms = { decodeDueUs: 20 * MS, answerDueUs: 5 * MS, gapUs: 40 * MS };
/** A frame that took 10 ms to the device, waited 60 ms, ran for 25 ms, and was answered 3 ms later. */
const frame = {
  arrivedUs: 0,
  submittedUs: 10 * MS,
  startUs: 70 * MS,
  endUs: 95 * MS,
  atUs: 98 * MS,
  batch: 4,
  decoded: true,
  code: undefined,
  idleUs: 5 * MS,
  terms,
};
const asMeasured = [
  { us: 30 * MS, wcetUs: 32 * MS },
  { us: 25 * MS, wcetUs: 26 * MS },
];

test.each<[string, Partial<Parameters<typeof causeOf>[0]>, Parameters<typeof causeOf>[1], Cause]>([
  ['its own run took too long', { endUs: 140 * MS, atUs: 143 * MS }, [{ us: 70 * MS, wcetUs: 26 * MS }], 'Overrun'],
  ['a run before it took too long', {}, [{ us: 90 * MS, wcetUs: 30 * MS }, asMeasured[1]!], 'Overrun'],
  [
    'many runs before it took a little too long',
    {},
    Array(20).fill({ us: 4 * MS, wcetUs: 3 * MS }) as never,
    'Overrun',
  ],
  ['decoding took too long', { submittedUs: 60 * MS }, asMeasured, 'Decoding'],
  ['receiving did', { submittedUs: 60 * MS, decoded: false }, asMeasured, 'Receiving'],
  [
    'it was never decoded',
    { submittedUs: undefined, startUs: undefined, endUs: undefined, code: 'DeadlinePassed' },
    [],
    'Decoding',
  ],
  ['writing the answer took too long', { atUs: 160 * MS }, asMeasured, 'Answering'],
  [
    'the device was lost with it',
    { startUs: undefined, endUs: undefined, code: 'DeviceLost' },
    asMeasured,
    'DeviceLost',
  ],
  ['a device was lost with it, and another one was late', { outlived: true }, asMeasured, 'DeviceLost'],
  ['the device stood still', { startUs: undefined, endUs: undefined, code: 'DeviceSilent' }, [], 'DeviceLost'],
  ['the device stood still before its run', { idleUs: 60 * MS }, [asMeasured[1]!], 'DeviceLost'],
  ['others were before it', {}, asMeasured, 'Waiting'],
  [
    'of two, the one that took more',
    { submittedUs: 30 * MS, endUs: 140 * MS },
    [{ us: 70 * MS, wcetUs: 26 * MS }],
    'Overrun',
  ],
])('a frame was late because %s', (_what, more, runs, cause) => {
  expect(causeOf({ ...frame, ...more }, runs)).toBe(cause);
});
