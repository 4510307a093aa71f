import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { recheck } from '../agent/serving/recheck.js';
import { tenantKey } from '../api/names.js';
import { decide } from '../operator/admission/decide.js';
import { placedOn } from '../operator/admission/plan.js';
import { scheduleOf } from '../operator/admission/schedule.js';
import { snapshot, tenant } from './support/admission.js';

/** What the operator promises, the agents' own test holds. */

describe('whatever comes', () => {
  const anything = fc.record({
    streams: fc.integer({ min: 1, max: 10 }),
    framesPerSecond: fc.constantFrom(5, 15, 30),
    deadlineMs: fc.constantFrom(60, 100, 300),
    priority: fc.constantFrom(0, 0, 10, 100),
    strategy: fc.constantFrom('Pack' as const, 'Spread' as const),
    allowSplit: fc.boolean(),
    bestEffort: fc.constantFrom(false, false, false, true),
  });
  const profile = (slow: number): object => ({
    categories: [
      {
        model: 'echo',
        shape: [3, 8, 8],
        batches: [1, 2, 4, 8].map((size) => ({ size, wcetUs: slow * (2000 + 1000 * size) })),
      },
    ],
  });

  test('no device is over-promised, nobody is half placed, and only more important tenants push others out', () => {
    fc.assert(
      fc.property(fc.array(anything, { minLength: 1, maxLength: 14 }), fc.nat(14), (list, cut) => {
        const all = list.map(({ priority: _p, deadlineMs, strategy, allowSplit, bestEffort, ...spec }, i) =>
          tenant(`t${i}`, {
            ...spec,
            deadline: `${deadlineMs}ms`,
            ...(bestEffort ? { class: 'BestEffort' } : {}),
            placement: { strategy, allowSplit },
          }),
        );
        const priorities = list.map(({ priority }) => priority);
        const early = decide(snapshot(all.slice(0, cut), {}, priorities.slice(0, cut)));
        const late = decide(snapshot(all, { promised: early.plans }, priorities));
        for (const plan of late.plans) expect(recheck(scheduleOf(plan), profile(1)).refusal).toBeUndefined();
        const streams = new Map<string, number>();
        for (const { request, streams: count } of late.plans.flatMap(placedOn))
          streams.set(tenantKey(request), (streams.get(tenantKey(request)) ?? 0) + count);
        for (const [i, each] of all.entries()) {
          const placed = streams.get(tenantKey(each.metadata));
          if (placed !== undefined) expect(placed).toBe(list[i]!.streams);
        }
        const had = new Set(early.plans.flatMap(placedOn).map(({ request }) => request.name));
        const newcomers = Math.max(-1, ...priorities.slice(cut));
        for (const name of had) {
          const i = Number(name.slice(1));
          if (!streams.has(`default/${name}`)) expect(priorities[i]!).toBeLessThan(newcomers);
        }
      }),
      { numRuns: 150 },
    );
  });
});
