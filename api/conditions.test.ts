import { describe, expect, test } from '@jest/globals';
import { replaced, withTransition } from './conditions.js';

const [EARLIER, NOW] = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'];
const ready = { type: 'Ready', status: 'True', reason: 'Serving', message: 'frames are answered' } as const;

describe('the time of a transition', () => {
  test('stays while the status does, whatever the reason', () => {
    const before = [{ ...ready, reason: 'Other', lastTransitionTime: EARLIER }];
    expect(withTransition(ready, before, NOW).lastTransitionTime).toBe(EARLIER);
  });

  test('is now where the status changes, and where there was none', () => {
    const before = [{ ...ready, status: 'False', lastTransitionTime: EARLIER }];
    expect(withTransition(ready, before, NOW).lastTransitionTime).toBe(NOW);
    expect(withTransition(ready, [{ type: 'Other', status: 'True', lastTransitionTime: EARLIER }], NOW)).toEqual({
      ...ready,
      lastTransitionTime: NOW,
    });
    expect(withTransition(ready, undefined, NOW).lastTransitionTime).toBe(NOW);
  });
});

test('a condition takes the place of the one of its type, and of no other', () => {
  const other = { type: 'Stale', status: 'False', lastTransitionTime: EARLIER };
  const before = [{ ...ready, status: 'False', lastTransitionTime: EARLIER }, other];
  expect(replaced(before, ready, NOW)).toEqual([other, { ...ready, lastTransitionTime: NOW }]);
});
