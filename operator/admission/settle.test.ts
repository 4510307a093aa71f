import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { runs } from '../../test/support/runs.js';
import { device, snapshot, tenant } from '../../test/support/admission.js';
import { decide } from './decide.js';
import { deviceKey } from './device.js';
import type { DevicePlan } from './plan.js';
import { placedOn } from './plan.js';
import type { Told } from './snapshot.js';

const devices = ['a', 'b', 'c'].map((node, i) => device(node, 1 + i / 4));

const wish = fc.record({
  streams: fc.integer({ min: 1, max: 8 }),
  framesPerSecond: fc.constantFrom(10, 20, 30),
  deadline: fc.constantFrom('100ms', '200ms', '300ms'),
  placement: fc.record({ allowSplit: fc.boolean(), strategy: fc.constantFrom('Pack', 'Spread') }),
});

/** Streams by tenant and device. */
function served(plans: readonly DevicePlan[]): Map<string, Map<string, number>> {
  const all = new Map<string, Map<string, number>>();
  for (const plan of plans)
    for (const { request, streams } of placedOn(plan))
      all.set(request.key, (all.get(request.key) ?? new Map<string, number>()).set(deviceKey(plan.device), streams));
  return all;
}

describe('where a record was lost', () => {
  test('everybody who was told of a place has it again, whoever else is waiting or has been forgotten', () => {
    fc.assert(
      fc.property(fc.array(wish, { minLength: 12, maxLength: 40 }), fc.nat(2), fc.nat(), (wishes, lost, forgotten) => {
        const all = snapshot(
          wishes.map((spec, i) => tenant(`t${i}`, spec)),
          { devices },
        );
        const { plans } = decide(all);
        const before = served(plans);
        const victim = [...before.keys()][forgotten % before.size]!;
        const told = new Map<string, Told>(
          [...before].map(([key, streams]) => [key, { generation: 0, streams: key === victim ? new Map() : streams }]),
        );
        // Those who wait come first in line now: what was told counts all the same.
        const requests = [...all.requests].sort((a, b) => Number(before.has(a.key)) - Number(before.has(b.key)));
        const promised = plans.filter((plan) => plan.device !== devices[lost]);
        const after = served(decide({ ...all, requests, promised, told }).plans);
        for (const [key, streams] of before) if (key !== victim) expect([key, after.get(key)]).toEqual([key, streams]);
      }),
      { numRuns: runs(60) },
    );
  });
});
