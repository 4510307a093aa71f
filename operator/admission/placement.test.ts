import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { device, one, snapshot, tenant, two } from '../../test/support/admission.js';
import type { Decision } from './decide.js';
import type { Snapshot } from './snapshot.js';
import { decide } from './decide.js';
import type { DevicePlan } from './plan.js';
import { placedOn } from './plan.js';
import type { NodeInfo } from './node.js';
import { evicts, objection } from './node.js';
import { requestOf } from './request.js';
import { scheduleOf } from './schedule.js';

const MI = 1024 ** 2;

const ready = (name: string, more: Partial<NodeInfo> = {}): NodeInfo => ({
  name,
  labels: {},
  taints: [],
  state: 'Ready',
  ...more,
});
const nodes = (...all: NodeInfo[]): Map<string, NodeInfo> => new Map(all.map((node) => [node.name, node]));
const placedAt = ({ plans }: Pick<Decision, 'plans'>, node: string): string[] =>
  plans
    .filter((plan) => plan.device.node === node)
    .flatMap(placedOn)
    .map(({ request }) => request.name);
const reasonOf = ({ verdicts }: Decision, name: string): string | undefined =>
  verdicts.find((each) => each.name === name)?.reason;
const heavy = { streams: 15, framesPerSecond: 30, deadline: '100ms' };

describe('nodes', () => {
  const request = requestOf(
    tenant('a', {
      placement: {
        nodeSelector: { site: 'north' },
        tolerations: [
          { key: 'gpu', operator: 'Exists', effect: 'NoSchedule' },
          { key: 'zone', value: 'wet' },
        ],
      },
    }),
  );
  const labels = { site: 'north' };
  test.each<[string, Partial<NodeInfo>, string | undefined]>([
    ['a good one', {}, undefined],
    ['one not ready', { state: 'NotReady' }, 'NodeNotReady'],
    ['a lost one', { state: 'Lost' }, 'NodeNotReady'],
    ['a cordoned one', { state: 'Cordoned' }, 'NodeCordoned'],
    ['one whose agent is silent', { silent: true }, 'AgentSilent'],
    ['one elsewhere', { labels: { site: 'south' } }, 'NodeSelectorMismatch'],
    ['a tolerated taint', { taints: [{ key: 'gpu', value: 'x', effect: 'NoSchedule' }] }, undefined],
    ['a tolerated value', { taints: [{ key: 'zone', value: 'wet', effect: 'NoExecute' }] }, undefined],
    ['another effect', { taints: [{ key: 'gpu', effect: 'NoExecute' }] }, 'TaintNotTolerated'],
    ['another value', { taints: [{ key: 'zone', value: 'dry', effect: 'NoSchedule' }] }, 'TaintNotTolerated'],
    ['a mere preference', { taints: [{ key: 'spot', effect: 'PreferNoSchedule' }] }, undefined],
    [
      'what readiness says already',
      { taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }] },
      undefined,
    ],
  ])('%s', (_what, more, reason) => {
    expect(objection(ready('n', { labels, ...more }), request)?.reason).toBe(reason);
  });

  test('drive out whom they keep only by a NoExecute taint', () => {
    const taint = (key: string, effect: string): NodeInfo => ready('n', { taints: [{ key, effect }] });
    expect(evicts(taint('fire', 'NoExecute'), request)).toBe(true);
    expect(evicts(taint('fire', 'NoSchedule'), request)).toBe(false);
    expect(evicts(taint('node.kubernetes.io/unreachable', 'NoExecute'), request)).toBe(false);
    expect(evicts(ready('n', { state: 'Cordoned' }), request)).toBe(false);
    const before = decide(snapshot([tenant('a')], { devices: [one] }));
    const after = decide(
      snapshot([tenant('a')], {
        promised: before.plans,
        nodes: nodes(taint('fire', 'NoExecute')),
        devices: [one, two],
      }),
    );
    expect(placedAt(after, 'edge-1')).toEqual(['a']); // the taint is of another node
    const driven = decide(
      snapshot([tenant('a')], {
        promised: before.plans,
        nodes: nodes({ ...taint('fire', 'NoExecute'), name: 'edge-1' }),
      }),
    );
    expect(placedAt(driven, 'edge-2')).toEqual(['a']);
  });

  test('with several devices count once in the message, by the device that came closest', () => {
    const second = { ...device('edge-1', 3), device: 1 };
    const decision = decide(snapshot([tenant('x', { streams: 300 })], { devices: [one, second, two] }));
    expect(decision.verdicts[0]!.message).toMatch(/^0\/2 nodes admit: 2 UtilizationExceeded/);
  });

  test('that run out of memory refuse a further model, not a further tenant', () => {
    const small = {
      ...device('edge-1', 1, [
        [3, 8, 8],
        [3, 16, 16],
      ]),
      memoryOf: new Map([
        [
          'echo',
          {
            weightsBytes: 60 * MI,
            workspaceBytes: new Map([
              ['3x8x8', 20 * MI],
              ['3x16x16', 50 * MI],
            ]),
          },
        ],
      ]),
    };
    const all = [tenant('a'), tenant('b'), tenant('c', { inputShape: [3, 16, 16] })];
    const decide3 = (mebibytes: number, before: Partial<Snapshot> = {}): Decision =>
      decide(snapshot(all, { devices: [{ ...small, memoryBytes: mebibytes * MI }], ...before }));
    const reasons = (decision: Decision): (string | undefined)[] =>
      ['a', 'b', 'c'].map((name) => reasonOf(decision, name));
    expect(reasons(decide3(109))).toEqual(['Admitted', 'Admitted', 'InsufficientMemory']);
    expect(decide3(109).verdicts.find(({ name }) => name === 'c')!.message).toMatch(
      /its model needs 30Mi of device memory and 29Mi are left beside what is promised/,
    );
    // Shapes of a model share its weights and its workspace.
    expect(reasons(decide3(110))).toEqual(['Admitted', 'Admitted', 'Admitted']);
    // A device that has come to have less keeps what fits of what was promised.
    expect(reasons(decide3(100, { promised: decide3(110).plans }))).toEqual([
      'Admitted',
      'Admitted',
      'InsufficientMemory',
    ]);
    expect(reasons(decide3(79, { promised: decide3(110).plans }))).toEqual(Array(3).fill('InsufficientMemory'));
  });
});

describe('a lost node', () => {
  test('keeps the place of whoever fits nowhere else, and everything when it is back', () => {
    const both = [tenant('big', heavy), tenant('small')];
    const before = decide(snapshot(both, { devices: [one] }));
    const slow = device('edge-2', 3);
    const lost = decide(
      snapshot(both, {
        devices: [one, slow],
        promised: before.plans,
        nodes: nodes(ready('edge-1', { state: 'Lost' })),
      }),
    );
    expect([placedAt(lost, 'edge-1'), placedAt(lost, 'edge-2')]).toEqual([['big'], ['small']]);
    expect(lost.verdicts.map(({ name, admitted, reason }) => [name, admitted, reason])).toEqual([
      ['big', false, 'NodeLost'],
      ['small', true, 'Admitted'],
    ]);
    const back = decide(snapshot(both, { devices: [one, slow], promised: lost.plans }));
    expect([placedAt(back, 'edge-1'), placedAt(back, 'edge-2')]).toEqual([['big'], ['small']]);
  });

  test('moves only the streams of a split tenant that it served', () => {
    const wide = tenant('wide', { ...heavy, streams: 30, placement: { allowSplit: true } });
    const before = decide(snapshot([wide]));
    expect(before.plans.flatMap(placedOn)).toHaveLength(2);
    const third = device('edge-3');
    const after = decide(
      snapshot([wide], {
        devices: [one, two, third],
        promised: before.plans,
        nodes: nodes(ready('edge-2', { state: 'Lost' })),
      }),
    );
    const streams = (decision: Decision, node: string): number[] =>
      decision.plans
        .filter((plan) => plan.device.node === node)
        .flatMap(placedOn)
        .map((placed) => placed.streams);
    expect(streams(after, 'edge-1')).toEqual(streams(before, 'edge-1'));
    expect(streams(after, 'edge-3')).toEqual(streams(before, 'edge-2'));
    expect(streams(after, 'edge-2')).toEqual([]);
  });

  test('is told to whoever has only some of its streams promised, too', () => {
    const part = tenant('part', { ...heavy, streams: 60, minStreams: 2 });
    const before = decide(snapshot([part], { devices: [one] }));
    expect(before.verdicts[0]).toMatchObject({ admitted: true, reason: 'AdmittedInPart' });
    const lostOn = (...devices: (typeof one)[]): Decision =>
      decide(snapshot([part], { devices, promised: before.plans, nodes: nodes(ready('edge-1', { state: 'Lost' })) }));
    const [nowhere] = lostOn(one).verdicts;
    expect(nowhere).toMatchObject({ admitted: false, reason: 'NodeLost' });
    expect(nowhere).not.toHaveProperty('promised');
    const elsewhere = lostOn(one, device('edge-2', 3));
    expect(placedAt(elsewhere, 'edge-1')).toEqual([]);
    const [{ placements, message }] = elsewhere.verdicts as [Decision['verdicts'][number]];
    expect(message).toContain(`${placements[0]!.streams} of 60 streams are promised`);
  });

  test('of two that take all of a tenant or nothing leaves the rest its promise, and no more is said', () => {
    const wide = tenant('wide', { ...heavy, streams: 30, placement: { allowSplit: true } });
    const before = decide(snapshot([wide]));
    const after = decide(snapshot([wide], { devices: [one], promised: before.plans }));
    expect(after.verdicts[0]).toMatchObject({ admitted: false });
    expect(after.verdicts[0]!.message).not.toContain('minStreams');
  });

  test('that is deleted has its tenants told so where they fit nowhere else', () => {
    const before = decide(snapshot([tenant('big', heavy)], { devices: [one] }));
    const after = decide(snapshot([tenant('big', heavy)], { devices: [device('edge-2', 3)], promised: before.plans }));
    expect(after.verdicts[0]).toMatchObject({ admitted: false, reason: 'NodeLost' });
    expect(after.verdicts[0]!.message).toMatch(/^edge-1 is gone; edge-2: /);
  });
});

describe('records', () => {
  test('of a crash between two nodes are put right: the newer promise counts, the streams are not doubled', () => {
    const old = decide(snapshot([tenant('a')], { devices: [one] }));
    const moved = decide(snapshot([tenant('a')], { devices: [two] }));
    const newer: DevicePlan = {
      ...moved.plans[0]!,
      categories: moved.plans[0]!.categories.map((category) => ({
        ...category,
        placed: category.placed.map((placed) => ({ ...placed, request: { ...placed.request, generation: 1 } })),
      })),
    };
    const after = decide(snapshot([tenant('a')], { promised: [old.plans[0]!, newer] }));
    expect([placedAt(after, 'edge-1'), placedAt(after, 'edge-2')]).toEqual([[], ['a']]);
    expect(after.verdicts[0]).toMatchObject({ admitted: true, placements: [{ node: 'edge-2' }] });
  });

  test('stand while the device’s profile is missing, and take nobody new', () => {
    const before = decide(snapshot([tenant('a')], { devices: [one] }));
    const unmeasured = { ...one, tables: new Map() };
    const after = decide(snapshot([tenant('a'), tenant('b')], { devices: [unmeasured], promised: before.plans }));
    expect(placedAt(after, 'edge-1')).toEqual(['a']);
    expect(reasonOf(after, 'b')).toBe('ProfilePending');
    const measured = decide(snapshot([tenant('a'), tenant('b')], { devices: [one], promised: after.plans }));
    expect(placedAt(measured, 'edge-1')).toEqual(['a', 'b']);
  });
});

describe('preemption', () => {
  test('takes one victim rather than several, the least important rather than others, and nobody in vain', () => {
    const tenants = [
      tenant('small', { streams: 1 }),
      tenant('big', { ...heavy, streams: 14 }),
      tenant('better', { ...heavy, streams: 5 }),
    ];
    const before = decide(snapshot(tenants, { devices: [one] }, [0, 0, 10]));
    expect(placedAt(before, 'edge-1')).toHaveLength(3);
    const urgent = tenant('urgent', { ...heavy, streams: 14, beyondPromise: 'Refuse' });
    const after = decide(snapshot([...tenants, urgent], { devices: [one], promised: before.plans }, [0, 0, 10, 1000]));
    expect(placedAt(after, 'edge-1').sort()).toEqual(['better', 'small', 'urgent']);
    expect(reasonOf(after, 'big')).toBe('Preempted');

    const giant = tenant('giant', { ...heavy, streams: 300, beyondPromise: 'Refuse' });
    const vain = decide(snapshot([...tenants, giant], { devices: [one], promised: before.plans }, [0, 0, 10, 1000]));
    expect(vain.plans[0]).toBe(before.plans[0]);
    const equal = decide(snapshot([...tenants, urgent], { devices: [one], promised: before.plans }, [0, 0, 10, 0]));
    expect(equal.plans[0]).toBe(before.plans[0]);
  });

  test('lets its victim find another node in the same decision', () => {
    const before = decide(snapshot([tenant('a', heavy)], { devices: [one] }));
    const urgent = tenant('urgent', { ...heavy, placement: { nodeSelector: { site: 'north' } } });
    const after = decide(
      snapshot(
        [tenant('a', heavy), urgent],
        {
          promised: before.plans,
          nodes: nodes(ready('edge-1', { labels: { site: 'north' } }), ready('edge-2')),
        },
        [0, 5],
      ),
    );
    expect([placedAt(after, 'edge-1'), placedAt(after, 'edge-2')]).toEqual([['urgent'], ['a']]);
    expect(reasonOf(after, 'a')).toBe('Admitted');
  });
});

test('who goes on from the decision before decides the same as who begins anew', () => {
  const rate = fc.constantFrom(5, 10, 30);
  const step = fc.record({ name: fc.integer({ min: 0, max: 5 }), streams: fc.integer({ min: 1, max: 8 }), rate });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      const asked = new Map<string, ReturnType<typeof tenant>>();
      let before: Decision = decide(snapshot([]));
      for (const [i, { name, streams, rate: framesPerSecond }] of steps.entries()) {
        const each = tenant(`t${name}`, { streams, framesPerSecond, deadline: '100ms' });
        asked.set(`default/t${name}`, { ...each, metadata: { ...each.metadata, generation: i } });
        const due = new Set([`default/t${name}`]);
        const now = snapshot([...asked.values()], { promised: before.plans, due });
        const anew = decide(now);
        const goneOn = decide({ ...now, settled: before.settled });
        expect(goneOn.verdicts).toEqual(anew.verdicts);
        expect(goneOn.plans.map((plan) => scheduleOf(plan))).toEqual(anew.plans.map((plan) => scheduleOf(plan)));
        before = goneOn;
      }
    }),
    { numRuns: 60 },
  );
});
