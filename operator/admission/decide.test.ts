import { describe, expect, test } from '@jest/globals';
import type { ResourceOf } from '../../api/manifests.js';
import { tenantKey } from '../../api/names.js';
import { device, models, tenant } from '../../test/support/admission.js';
import type { Decision } from './decide.js';
import type { Snapshot } from './snapshot.js';
import type { Verdict } from './verdict.js';
import { decide } from './decide.js';
import { placedOn } from './plan.js';
import { requestOf } from './request.js';
import { planOf, scheduleOf } from './schedule.js';

const edge = device('edge-1');
const snapshot = (tenants: ResourceOf<'InferenceTenant'>[], more: Partial<Snapshot> = {}): Snapshot => ({
  models,
  devices: [edge],
  requests: tenants.map((each) => requestOf(each)),
  ...more,
});
const verdict = ({ verdicts }: Decision, name: string): Verdict => verdicts.find((each) => each.name === name)!;

test('whoever was refused a change is not told that it was admitted when a neighbour comes', () => {
  const first = decide(snapshot([tenant('a')]));
  const edited = [tenant('a', { streams: 200 }), tenant('b')];
  const refused = decide(snapshot(edited.slice(0, 1), { promised: first.plans }));
  expect(verdict(refused, 'a')).toMatchObject({ admitted: false, reason: 'UtilizationExceeded' });
  const then = decide(
    snapshot(edited, { promised: refused.plans, settled: refused.settled, due: new Set(['default/b']) }),
  );
  expect(verdict(then, 'b').admitted).toBe(true);
  expect(verdict(then, 'a')).toMatchObject({ admitted: false, reason: 'UtilizationExceeded' });
  expect(verdict(then, 'a').stands).toBeDefined();
});

describe('admission', () => {
  test('admits what fits, with its place, visits and share', () => {
    const decision = decide(snapshot([tenant('a', { streams: 2 }), tenant('b')]));
    const [a, b] = [verdict(decision, 'a'), verdict(decision, 'b')];
    expect(a).toMatchObject({
      admitted: true,
      reason: 'Admitted',
      placements: [{ node: 'edge-1', device: 0, streams: 2, category: 'echo@3x8x8' }],
    });
    const [placement] = a.placements;
    // A visit of the quota ends in time even for a frame that just missed the one before.
    expect(placement!.gapUs! + edge.tables.get('echo@3x8x8')!.at(placement!.quota!)).toBeLessThanOrEqual(400_000);
    expect(a.utilization).toBeCloseTo(2 * b.utilization);
    expect(a.utilization + b.utilization).toBeCloseTo(decision.plans[0]!.utilization);
    // Both tenants share batches: one category, the same visits.
    expect(b.placements[0]).toMatchObject({ category: 'echo@3x8x8', gapUs: placement!.gapUs, quota: placement!.quota });
  });

  test.each([
    ['an unknown model', { modelRef: { name: 'ecco' } }, 'ModelNotFound', /no InferenceModel "ecco"/],
    ['a shape not offered', { inputShape: [3, 9, 9] }, 'ShapeNotOffered', /must be one of 3x16x16, 3x8x8/],
    ['a shape not measured', { inputShape: [3, 16, 16] }, 'ProfilePending', /has not been measured/],
    [
      'a deadline below the WCET',
      { deadline: '2ms' },
      'DeadlineShorterThanWCET',
      /takes 3\.0ms, but the deadline leaves 2\.0ms/,
    ],
    [
      'too many frames',
      { streams: 200 },
      'UtilizationExceeded',
      /utilization would be .*would not fit on this node even alone.*would fit now/,
    ],
  ])('refuses %s', (_what, spec, reason, message) => {
    const refused = verdict(decide(snapshot([tenant('x', spec)])), 'x');
    expect(refused).toMatchObject({ admitted: false, reason, utilization: 0 });
    expect(refused.placements.every(({ promised }) => !promised)).toBe(true);
    expect(refused.message).toMatch(message);
  });

  test('a suspended tenant gives its place up, is served nowhere, and gets it back when it is not suspended any more', () => {
    const running = tenant('a', { streams: 60, framesPerSecond: 10 });
    const before = decide(snapshot([running]));
    expect(verdict(before, 'a').admitted).toBe(true);
    const suspended = snapshot([tenant('a', { streams: 60, framesPerSecond: 10, suspend: true }), tenant('b')], {
      promised: before.plans,
    });
    const after = decide(suspended);
    expect(verdict(after, 'a')).toMatchObject({ admitted: false, reason: 'Suspended', placements: [], utilization: 0 });
    expect(verdict(after, 'a').stands).toBeUndefined();
    expect(after.plans.flatMap(placedOn).map(({ request }) => request.key)).toEqual(['default/b']);
    const again = decide(snapshot([running, tenant('b')], { promised: after.plans }));
    expect(verdict(again, 'a').admitted).toBe(true);
  });

  test('refuses a deadline that others would make it miss, says by how much, and offers one that holds', () => {
    const heavy = tenant('heavy', { streams: 60, framesPerSecond: 10, deadline: '500ms' });
    const refused = verdict(decide(snapshot([heavy, tenant('urgent', { deadline: '10ms' })])), 'urgent');
    expect(refused).toMatchObject({ admitted: false });
    expect(refused.offer?.deadlineUs).toBeGreaterThan(10_000);
    const taken = decide(snapshot([heavy, tenant('urgent', { deadline: `${refused.offer!.deadlineUs! / 1000}ms` })]));
    expect(verdict(taken, 'urgent').admitted).toBe(true);
    expect(verdict(taken, 'heavy').admitted).toBe(true);
  });

  test.each([
    ['streams', { streams: 40, framesPerSecond: 30, deadline: '60ms' }],
    ['framesPerSecond', { streams: 4, framesPerSecond: 400, jitter: '0us', deadline: '100ms' }],
  ] as const)('an offer of %s is admitted when it is taken up', (figure, asked) => {
    const { offer } = verdict(decide(snapshot([tenant('x', asked)])), 'x');
    expect(offer![figure]).toBeGreaterThan(0);
    expect(verdict(decide(snapshot([tenant('x', { ...asked, [figure]: offer![figure] })])), 'x').admitted).toBe(true);
  });

  test('tells waiting from never', () => {
    const big = tenant('big', { streams: 20, framesPerSecond: 30 });
    expect(
      verdict(decide(snapshot([big, tenant('second', { streams: 20, framesPerSecond: 30 })])), 'second').message,
    ).toMatch(/may fit when other tenants leave/);
  });

  test('packs onto the fullest device that fits, spreads to the emptiest, and sums up the reasons of several nodes', () => {
    const devices = [edge, device('edge-2'), device('edge-3', 100)];
    const first = tenant('first');
    const packed = decide(snapshot([first, tenant('second')], { devices }));
    expect(verdict(packed, 'second').placements[0]!.node).toBe(verdict(packed, 'first').placements[0]!.node);
    const spread = decide(snapshot([first, tenant('second', { placement: { strategy: 'Spread' } })], { devices }));
    expect(verdict(spread, 'second').placements[0]!.node).not.toBe(verdict(spread, 'first').placements[0]!.node);
    const refused = verdict(decide(snapshot([tenant('x', { streams: 200, deadline: '100ms' })], { devices })), 'x');
    expect(refused.message).toMatch(
      /^0\/3 nodes admit: 2 UtilizationExceeded \(best: edge-[12] at [0-9.]+\), 1 DeadlineShorterThanWCET/,
    );
  });

  test('splits a tenant’s streams over devices only when it allows that', () => {
    const devices = [edge, device('edge-2')];
    const spec = { streams: 40, framesPerSecond: 30, deadline: '200ms' };
    expect(verdict(decide(snapshot([tenant('x', spec)], { devices })), 'x').admitted).toBe(false);
    const split = verdict(
      decide(snapshot([tenant('x', { ...spec, placement: { allowSplit: true } })], { devices })),
      'x',
    );
    expect(split.placements).toHaveLength(2);
    expect(split.placements.reduce((sum, { streams }) => sum + streams, 0)).toBe(40);
    const tooMany = decide(
      snapshot([tenant('x', { ...spec, streams: 400, placement: { allowSplit: true } })], { devices }),
    );
    expect(verdict(tooMany, 'x').admitted).toBe(false);
    expect(tooMany.plans.flatMap(placedOn)).toEqual([]); // nothing half placed stays behind
  });

  test('best effort takes no real-time tenant’s place', () => {
    const full = Array.from({ length: 40 }, (_, i) => tenant(`t${i}`, { streams: 2 }));
    const idle = tenant('idle', { class: 'BestEffort', framesPerSecond: 100 });
    const before = decide(snapshot(full));
    const after = decide(snapshot([idle, ...full]));
    expect(verdict(after, 'idle')).toMatchObject({ admitted: true, utilization: 0, placements: [{ promised: false }] });
    expect(after.verdicts.slice(1).map(({ admitted }) => admitted)).toEqual(
      before.verdicts.map(({ admitted }) => admitted),
    );
  });
});

describe('promises', () => {
  const some = [tenant('a', { streams: 6, framesPerSecond: 30 }), tenant('b', { streams: 6, framesPerSecond: 30 })];

  test('of others never make a refusal look like anything else: it is told when it is decided on', () => {
    const greedy = tenant('greedy', { streams: 400 });
    const before = decide(snapshot([...some, greedy]));
    expect(verdict(before, 'greedy')).toMatchObject({ admitted: false, placements: [{ promised: false }] });
    const visitor = tenant('visitor');
    const requests = [...some, greedy, visitor];
    const after = decide(snapshot(requests, { promised: before.plans, due: new Set(['default/visitor']) }));
    expect(verdict(after, 'visitor').admitted).toBe(true);
    expect(after.verdicts.find(({ name }) => name === 'greedy')).toBeUndefined();
    expect(after.plans[0]!.spare.map(({ request }) => request.name)).toEqual(['greedy']);
  });

  test('that are not made leave streams that may be split to all devices of one node, and others to one', () => {
    const devices = [0, 1].map((index) => device('edge-1', 1, undefined, { index })).concat(device('edge-2', 3));
    const [split, whole] = [true, false].map((allowSplit) =>
      tenant(allowSplit ? 'split' : 'whole', { streams: 401, placement: { allowSplit } }),
    );
    const placements = (decision: Decision, name: string): unknown[] =>
      verdict(decision, name).placements.map(({ node, device: index, streams }) => [node, index, streams]);
    const first = decide(snapshot([split!, whole!], { devices }));
    expect(placements(first, 'split')).toEqual([
      ['edge-1', 0, 201],
      ['edge-1', 1, 200],
    ]);
    expect(placements(first, 'whole')).toEqual([['edge-1', 0, 401]]);
    // What has changed takes the place of what it was, and is not served twice.
    const changed = tenant('split', { streams: 500, placement: { allowSplit: true } });
    const then = decide(snapshot([changed, whole!], { devices, promised: first.plans }));
    expect(placements(then, 'split').map((placement) => (placement as number[])[2])).toEqual([250, 250]);
    // Where a device is gone, the others take all of them.
    const left = decide(snapshot([changed, whole!], { devices: devices.slice(1), promised: then.plans.slice(1) }));
    expect(placements(left, 'split').map((placement) => (placement as number[])[2])).toEqual([500]);
  });

  test('are sticky: whoever comes first in the list later does not push out those admitted before', () => {
    const before = decide(snapshot(some));
    const greedy = tenant('greedy', { streams: 18, framesPerSecond: 30, beyondPromise: 'Refuse' });
    expect(verdict(decide(snapshot([greedy, ...some])), 'greedy').admitted).toBe(true);
    const after = decide(snapshot([greedy, ...some], { promised: before.plans }));
    expect(after.verdicts.map(({ admitted }) => admitted)).toEqual([false, true, true]);
    expect(after.plans[0]).toBe(before.plans[0]); // nothing to program anew
  });

  test('stand while a changed request does not fit, and give way when it does', () => {
    const { plans } = decide(snapshot(some));
    const tooMuch = decide(
      snapshot([tenant('a', { streams: 100, framesPerSecond: 30 }), some[1]!], { promised: plans }),
    );
    expect(verdict(tooMuch, 'a')).toMatchObject({
      admitted: false,
      stands: expect.stringMatching(/^6 on edge-1, visited/),
      reason: 'UtilizationExceeded',
      placements: [{ streams: 6 }],
    });
    expect(verdict(tooMuch, 'a').message).toMatch(/the one before goes on/);
    const less = decide(snapshot([tenant('a', { streams: 1 }), some[1]!], { promised: plans }));
    expect(verdict(less, 'a')).toMatchObject({ admitted: true, reason: 'Admitted', placements: [{ streams: 1 }] });
  });

  test('in part say how many streams they are for, also after a change', () => {
    const terms = { framesPerSecond: 30, deadline: '100ms', minStreams: 1 };
    const before = decide(snapshot([tenant('a', { ...terms, streams: 12 })]));
    expect(verdict(before, 'a').reason).toBe('Admitted');
    const asked = tenant('a', { ...terms, streams: 13, framesPerSecond: 120 });
    const after = verdict(decide(snapshot([asked], { promised: before.plans })), 'a');
    expect(after).toMatchObject({ admitted: true, reason: 'AdmittedInPart' });
    expect(after.placements[0]!.streams).toBeLessThan(12);
    expect(after.message).toContain(`${after.placements[0]!.streams} of 13 streams are promised`);
  });

  test('end with their tenant, which makes room for one that waited', () => {
    const waiting = tenant('waiting', { streams: 16, framesPerSecond: 30 });
    const before = decide(snapshot([...some, waiting]));
    expect(verdict(before, 'waiting').admitted).toBe(false);
    const after = decide(snapshot([some[0]!, waiting], { promised: before.plans }));
    expect(after.verdicts.map(({ admitted }) => admitted)).toEqual([true, true]);
  });

  test('outlive a restart by their record', () => {
    const before = decide(snapshot(some));
    const requests = new Map(some.map((each) => [tenantKey(each.metadata), requestOf(each)]));
    const restored = planOf(scheduleOf(before.plans[0]!), edge, requests);
    const greedy = tenant('greedy', { streams: 18, framesPerSecond: 30, beyondPromise: 'Refuse' });
    const after = decide(snapshot([greedy, ...some], { promised: [restored] }));
    expect(after.verdicts.map(({ admitted }) => admitted)).toEqual([false, true, true]);
    expect(scheduleOf(after.plans[0]!)).toEqual(scheduleOf(before.plans[0]!));
  });

  test('are decided again when the device turned out slower: the first keep their place', () => {
    const before = decide(snapshot(some));
    const after = decide(snapshot(some, { devices: [device('edge-1', 2.5)], promised: before.plans }));
    expect(after.verdicts.map(({ admitted }) => admitted)).toEqual([true, false]);
  });
});
