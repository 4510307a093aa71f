import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { mayTake, observe } from './leader.js';

const lease = (holderIdentity: string, renewTime: string) => ({
  metadata: { name: 'x' },
  spec: { holderIdentity, renewTime, leaseDurationSeconds: 10 },
});

describe('a lease', () => {
  test('that is free or one’s own may be taken at once', () => {
    const seen = { record: '', atMs: 0 };
    expect(mayTake(lease('', 't').spec, 'me', seen, 0)).toBe(true);
    expect(mayTake(undefined, 'me', seen, 0)).toBe(true);
    expect(mayTake(lease('me', 't').spec, 'me', seen, 0)).toBe(true);
  });

  test('of another may be taken only after its whole duration without a renewal, by the own clock', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 12_000 }), { minLength: 1, maxLength: 30 }), (gapsMs) => {
        // The holder renews after each gap; its own clock, in renewTime, is nonsense.
        let seen = observe(undefined, lease('other', '0'), 0);
        let nowMs = 0;
        for (const [i, gapMs] of gapsMs.entries()) {
          expect(mayTake(lease('other', `${i}`).spec, 'me', seen, nowMs + Math.min(gapMs, 9999))).toBe(false);
          if (gapMs >= 10_000) expect(mayTake(lease('other', `${i}`).spec, 'me', seen, nowMs + gapMs)).toBe(true);
          nowMs += gapMs;
          seen = observe(seen, lease('other', `${i + 1}`), nowMs);
        }
      }),
    );
  });

  test('looked at again without a change keeps its age', () => {
    const seen = observe(undefined, lease('other', 'a'), 5);
    expect(observe(seen, lease('other', 'a'), 9000)).toBe(seen);
    expect(observe(seen, lease('other', 'b'), 9000).atMs).toBe(9000);
    expect(observe(seen, lease('third', 'a'), 9000).atMs).toBe(9000);
  });
});
