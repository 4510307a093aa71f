import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { device, models, tenant } from '../../test/support/admission.js';
import { decide } from './decide.js';
import type { Decision } from './decide.js';
import { deviceKey } from './device.js';
import type { DevicePlan } from './plan.js';
import { placedOn } from './plan.js';
import type { FlavorShare, Quota } from './quotas.js';
import { Quotas, usedOf } from './quotas.js';
import type { TenantRequest } from './request.js';
import { requestOf } from './request.js';
import type { Snapshot } from './snapshot.js';

/** One frame alone takes 3 ms there, so that a camera of ten frames a second costs 30 ms/s. */
const edges = [device('edge-1'), device('edge-2')];
const FLAVOR = 'edge';

const share = (nominal: number, borrowingLimit = Infinity, lendingLimit = nominal): FlavorShare => ({
  nominal,
  borrowingLimit,
  lendingLimit,
});
const quota = (name: string, shares: FlavorShare, more: Partial<Quota> = {}): Quota => ({
  name,
  cohort: 'all',
  weight: 1,
  shares: new Map([[FLAVOR, shares]]),
  priorityClasses: undefined,
  mostTenants: Infinity,
  mostStreams: Infinity,
  ...more,
});
/** Each namespace is a team of its name. */
const quotas = (...all: Quota[]): Quotas =>
  new Quotas(
    all,
    new Map(all.map(({ name }) => [name, name])),
    new Map(edges.map((each) => [deviceKey(each), FLAVOR])),
    edges,
  );
/** A tenant of a team: so many cameras of ten frames a second. */
const asks = (namespace: string, name: string, streams: number, more: object = {}, priority = 0): TenantRequest => ({
  ...requestOf(tenant(name, { streams, framesPerSecond: 10, deadline: '400ms', ...more }), {
    priority,
    preempts: true,
  }),
  namespace,
  key: `${namespace}/${name}`,
});
const decided = (requests: TenantRequest[], limits: Quotas, more: Partial<Snapshot> = {}): Decision =>
  decide({ models, devices: edges, requests, quotas: limits, ...more });
const verdict = ({ verdicts }: Decision, key: string): Decision['verdicts'][number] =>
  verdicts.find(({ namespace, name }) => `${namespace}/${name}` === key)!;
const held = (plans: readonly DevicePlan[]): Set<string> =>
  new Set(plans.flatMap(placedOn).map(({ request }) => request.key));

describe('a quota', () => {
  test('charges what frames would cost alone, which adds up and does not move with neighbours', () => {
    const limits = quotas(quota('a', share(100)));
    const alone = decided([asks('a', 'x', 2)], limits);
    const together = decided([asks('a', 'x', 2), asks('a', 'y', 1), asks('free', 'z', 20)], limits);
    expect([alone, together].map((each) => verdict(each, 'a/x').charged)).toEqual([60, 60]);
    expect(usedOf(limits.usage(together.plans), 'a', FLAVOR)).toBeCloseTo(90);
    expect(verdict(together, 'free/z')).toMatchObject({ admitted: true });
    expect(verdict(together, 'free/z').charged).toBeUndefined();
  });

  test('refuses what goes beyond it, with figures, and nobody else', () => {
    const limits = quotas(quota('a', share(100), { cohort: undefined }), quota('b', share(100), { cohort: undefined }));
    const decision = decided([asks('a', 'x', 2), asks('a', 'y', 2), asks('b', 'z', 3)], limits);
    expect(verdict(decision, 'a/y')).toMatchObject({ admitted: false, reason: 'QuotaExceeded' });
    expect(verdict(decision, 'a/y').message).toMatch(
      /60\.0ms\/s of edge, and TenantQuota a, whose nominal share is 100, has 40\.0 left/,
    );
    expect([verdict(decision, 'a/x').admitted, verdict(decision, 'b/z').admitted]).toEqual([true, true]);
  });

  test('names the deadline where that is what stands in the way', () => {
    const limits = quotas(quota('a', share(1e6)));
    const decision = decided([asks('a', 'x', 200)], limits);
    expect(verdict(decision, 'a/x').reason).toBe('UtilizationExceeded');
  });

  test('gives nothing of kinds that it does not name', () => {
    const limits = quotas(quota('a', share(1000), { shares: new Map([['other', share(1000)]]) }));
    const refused = verdict(decided([asks('a', 'x', 1)], limits), 'a/x');
    expect(refused).toMatchObject({ reason: 'QuotaExceeded' });
    expect(refused.message).toMatch(/has no share of flavor edge/);
  });

  test.each<[string, Partial<Quota>, Partial<TenantRequest>, string, RegExp]>([
    ['tenants', { mostTenants: 1 }, {}, 'QuotaExceeded', /allows 1 tenants, and this would make it 2/],
    ['streams', { mostStreams: 3 }, {}, 'QuotaExceeded', /allows 3 streams, and this would make it 4/],
    [
      'priorities',
      { priorityClasses: new Set(['low']) },
      { className: 'high' },
      'PriorityClassForbidden',
      /does not let tenants use PriorityClass "high"; it allows low/,
    ],
  ])('limits %s', (_what, more, changed, reason, message) => {
    const limits = quotas(quota('a', share(1000), more));
    const decision = decided([asks('a', 'x', 2), { ...asks('a', 'y', 2), ...changed }], limits);
    expect(verdict(decision, 'a/y')).toMatchObject({ admitted: false, reason });
    expect(verdict(decision, 'a/y').message).toMatch(message);
  });

  test('is split as its own team likes: the more important tenant comes first', () => {
    const limits = quotas(quota('a', share(100), { cohort: undefined }));
    const first = decided([asks('a', 'low', 3)], limits);
    const high = asks('a', 'high', 3, {}, 10);
    const then = decided([high, asks('a', 'low', 3)], limits, { promised: first.plans });
    expect(verdict(then, 'a/high').admitted).toBe(true);
    expect(verdict(then, 'a/low')).toMatchObject({ admitted: false, reason: 'Preempted' });
  });

  test('tells whoever goes for it where that was, wherever the other one is', () => {
    const limits = quotas(quota('a', share(100), { cohort: undefined }));
    const low = asks('a', 'low', 3);
    const { plans } = decided([low], limits, { devices: edges.slice(1) });
    const high = asks('a', 'high', 3, { placement: { strategy: 'Spread' } }, 10);
    const then = decided([high, low], limits, { promised: plans });
    expect(verdict(then, 'a/high').placements).toMatchObject([{ node: 'edge-1' }]);
    expect(verdict(then, 'a/low').message).toMatch(/^preempted on edge-2 by a\/high/);
  });
});

describe('a cohort', () => {
  const limits = quotas(quota('a', share(100)), quota('b', share(100)));

  test('lends what is not used, and says whose promises that are', () => {
    const decision = decided([asks('a', 'x', 3), asks('a', 'y', 3)], limits);
    expect(held(decision.plans)).toEqual(new Set(['a/x', 'a/y']));
    expect([...decision.borrowed]).toEqual(['a/y']);
    const more = decided([asks('a', 'x', 3), asks('a', 'y', 3), asks('a', 'z', 1)], limits);
    expect(verdict(more, 'a/z')).toMatchObject({ reason: 'QuotaExceeded' });
  });

  test.each<[string, Quotas]>([
    ['its borrowing limit', quotas(quota('a', share(100, 50)), quota('b', share(100)))],
    ["the other's lending limit", quotas(quota('a', share(100)), quota('b', share(100, Infinity, 50)))],
  ])('stops at %s', (_what, limited) => {
    const decision = decided([asks('a', 'x', 3), asks('a', 'y', 2), asks('a', 'z', 1)], limited);
    expect(held(decision.plans)).toEqual(new Set(['a/x', 'a/y']));
  });

  test('gives back what was borrowed, after a notice, to who is within their own share', () => {
    const before = decided([asks('a', 'x', 3), asks('a', 'y', 3)], limits);
    const requests = [asks('a', 'x', 3), asks('a', 'y', 3), asks('b', 'z', 3)];
    const asked = decided(requests, limits, { promised: before.plans });
    expect(verdict(asked, 'b/z')).toMatchObject({ admitted: false, reason: 'Reclaiming' });
    expect([...asked.notices]).toEqual(['a/y']);
    expect(held(asked.plans)).toEqual(new Set(['a/x', 'a/y']));

    const over = decided(requests, limits, { promised: asked.plans, noticed: new Set(['a/y']) });
    expect(held(over.plans)).toEqual(new Set(['a/x', 'b/z']));
    expect(verdict(over, 'a/y')).toMatchObject({ admitted: false, reason: 'Reclaimed' });
    expect(verdict(over, 'a/y').message).toMatch(/given back to a tenant of another namespace/);
    expect([over.borrowed.size, over.notices.size]).toEqual([0, 0]);
  });

  test('never takes what is within a nominal share, whatever the priority elsewhere', () => {
    const before = decided([asks('a', 'x', 3), asks('b', 'y', 3)], limits);
    const greedy = asks('b', 'z', 1, {}, 1000);
    const then = decided([greedy, asks('a', 'x', 3), asks('b', 'y', 3)], limits, {
      promised: before.plans,
      noticed: new Set(['a/x', 'b/y']),
    });
    expect(held(then.plans).has('a/x')).toBe(true);
  });

  test('lets who has borrowed most for its weight give back first', () => {
    const three = quotas(
      quota('a', share(60), { weight: 1 }),
      quota('b', share(60), { weight: 4 }),
      quota('c', share(120)),
    );
    const before = decided([asks('a', 'x', 2), asks('a', 'y', 2), asks('b', 'x', 2), asks('b', 'y', 2)], three);
    expect(before.borrowed).toEqual(new Set(['a/y', 'b/y']));
    const requests = [...[...held(before.plans)].map((key) => asks(...(key.split('/') as [string, string]), 2))];
    const then = decided([...requests, asks('c', 'z', 2)], three, { promised: before.plans });
    expect([...then.notices]).toEqual(['a/y']);
  });
});

describe('a tenant that takes fewer streams than all', () => {
  const limits = quotas(quota('a', share(100)), quota('b', share(100)));
  const partly = { minStreams: 1 };

  test('is admitted with as many as fit, and gets the others when there is room', () => {
    const alone = quotas(quota('a', share(100), { cohort: undefined }));
    const first = decided([asks('a', 'x', 1), asks('a', 'y', 5, partly)], alone);
    expect(verdict(first, 'a/y')).toMatchObject({
      admitted: true,
      reason: 'AdmittedInPart',
      charged: 60,
      placements: [{ streams: 2 }],
    });
    expect(verdict(first, 'a/y').message).toMatch(
      /^2 of 5 streams are promised .* for all of them: .*TenantQuota a, whose nominal share is 100, has/,
    );
    const same = decided([asks('a', 'x', 1), asks('a', 'y', 5, partly)], alone, { promised: first.plans });
    expect(same.plans).toEqual(first.plans);
    const more = decided([asks('a', 'y', 5, partly)], alone, { promised: first.plans });
    expect(verdict(more, 'a/y').placements).toMatchObject([{ streams: 3 }]);
  });

  test('gives back only what is asked for, before those who would lose all', () => {
    const before = decided([asks('a', 'x', 3), asks('a', 'y', 2, partly), asks('a', 'z', 1)], limits);
    expect(before.borrowed).toEqual(new Set(['a/y', 'a/z']));
    const requests = [asks('a', 'x', 3), asks('a', 'y', 2, partly), asks('a', 'z', 1), asks('b', 'u', 1)];
    const told = decided(requests, limits, { promised: before.plans });
    expect([...told.notices]).toEqual(['a/y']);
    const then = decided(requests, limits, { promised: told.plans, noticed: told.notices });
    expect(held(then.plans)).toEqual(new Set(['a/x', 'a/y', 'a/z', 'b/u']));
    expect(verdict(then, 'a/y')).toMatchObject({
      admitted: true,
      reason: 'AdmittedInPart',
      placements: [{ streams: 1 }],
    });
    expect(verdict(then, 'a/y').message).toMatch(/given back.*1 of 2 streams are promised/);
  });
});

test('whatever teams ask for, nobody is beyond limits, and nobody within their share loses a promise to another team', () => {
  const limits = quotas(
    quota('a', share(120, 90)),
    quota('b', share(90)),
    quota('c', share(60, Infinity, 30), { weight: 3 }),
    quota('d', share(90), { cohort: undefined }),
  );
  const step = fc.record({
    team: fc.constantFrom('a', 'b', 'c', 'd'),
    name: fc.constantFrom('x', 'y', 'z'),
    streams: fc.integer({ min: 0, max: 4 }),
    priority: fc.constantFrom(0, 0, 10),
    minStreams: fc.constantFrom(undefined, 1),
    noticeOver: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 15 }), (steps) => {
      const asked = new Map<string, TenantRequest>();
      let before: Decision | undefined;
      for (const { team, name, streams, priority, minStreams, noticeOver } of steps) {
        const key = `${team}/${name}`;
        if (streams === 0) asked.delete(key);
        else asked.set(key, asks(team, name, streams, minStreams === undefined ? {} : { minStreams }, priority));
        const requests = [...asked.values()].sort((p, q) => q.priority - p.priority);
        const decision = decided(requests, limits, {
          promised: before?.plans ?? [],
          noticed: noticeOver ? (before?.notices ?? new Set()) : new Set(),
        });
        const usage = limits.usage(decision.plans);
        const used = (quotaName: string): number => usedOf(usage, quotaName, FLAVOR);
        expect(used('a')).toBeLessThanOrEqual(210 + 1e-6);
        expect(used('d')).toBeLessThanOrEqual(90 + 1e-6);
        // Of c's share 30 are its own, whatever the others want.
        expect(used('a') + used('b') + Math.max(30, used('c'))).toBeLessThanOrEqual(270 + 1e-6);
        const now = held(decision.plans);
        for (const lost of [...held(before?.plans ?? [])].filter((each) => !now.has(each) && each !== key)) {
          if (!asked.has(lost)) continue;
          const { reason, message } = verdict(decision, lost);
          // To another team only what was borrowed goes, and only after the notice; else to one's own team.
          if (reason === 'Reclaimed') expect(noticeOver && before!.borrowed.has(lost)).toBe(true);
          else expect([reason, message]).toEqual(['Preempted', expect.stringContaining(` by ${lost[0]!}/`)]);
        }
        before = decision;
      }
    }),
    { numRuns: Math.ceil(200 * Number(process.env['RUNS'] ?? 1)) },
  );
});
