import { describe, expect, test } from '@jest/globals';
import type { Answer } from './answer.js';
import type { TenantObject } from './objects.js';
import type { Condition, NodeReport, Obstacle, TenantStatus } from './tenant-status.js';
import { isUrgent, tenantStatus } from './tenant-status.js';

const tenant = {
  metadata: { name: 'gate', namespace: 'default', generation: 4 },
  spec: { modelRef: { name: 'echo' }, inputShape: [3, 8, 8], period: '40ms', deadline: '100ms' },
} as TenantObject;
const placement = {
  node: 'edge-1',
  device: 0,
  streams: 2,
  category: 'echo@3x8x8',
  promised: true,
  gapUs: 1,
  quota: 2,
};
const admitted: Answer = {
  namespace: 'default',
  name: 'gate',
  admitted: true,
  reason: 'Admitted',
  message: 'streams: 2 on edge-1',
  promised: '2x25fps/100ms',
  utilization: 0.25,
  placements: [placement],
  generation: 3,
};
const refused: Answer = {
  ...admitted,
  admitted: false,
  reason: 'UtilizationExceeded',
  message: 'full',
  utilization: 0,
  placements: [],
};
const good = { status: 'True' as const, message: '' };
const serving: NodeReport = {
  current: true,
  applied: good,
  deviceFailure: undefined,
  silent: false,
  endpoint: '10.0.0.1:80',
  misses: 4,
  promisedFrames: 90,
  spareFrames: 10,
  onTime: 95,
  degraded: undefined,
  keptApart: false,
};

const statusOf = (
  verdict: Answer,
  report: Partial<NodeReport> = {},
  previous?: TenantStatus,
  now = 'now',
  obstacle?: Obstacle,
): TenantStatus =>
  tenantStatus(tenant, verdict, () => ({ ...serving, ...report }), previous, now, 'http://there', obstacle);
const told = (status: TenantStatus, type: string): [Condition['status'], string] => {
  const { status: value, reason } = status.conditions!.find((each) => each.type === type)!;
  return [value, reason];
};

describe('the status of a tenant', () => {
  test('of one that is served says so in every condition, for the generation that was decided on', () => {
    const status = statusOf(admitted);
    for (const [type, reason] of [
      ['Admitted', 'Admitted'],
      ['Programmed', 'Programmed'],
      ['Ready', 'Serving'],
    ] as const)
      expect(told(status, type)).toEqual(['True', reason]);
    expect(status).toMatchObject({
      observedGeneration: 3,
      framesPerSecond: 25,
      promised: '2x25fps/100ms',
      nodes: 'edge-1',
      utilization: '0.250',
      misses: 4,
      promisedFrames: 90,
      spareFrames: 10,
      onTimeRatio: '0.950',
      placements: [{ endpoint: '10.0.0.1:80' }],
    });
    expect(status.conditions!.every(({ observedGeneration }) => observedGeneration === 3)).toBe(true);
  });

  test('of one on several devices of a node counts its frames once', () => {
    const status = statusOf({ ...admitted, placements: [placement, { ...placement, device: 1 }] });
    expect(status).toMatchObject({ streams: 4, misses: 4, promisedFrames: 90, spareFrames: 10, onTimeRatio: '0.950' });
  });

  test.each<[string, Partial<NodeReport>, [string, string], [string, string]]>([
    [
      'an agent that was never heard of',
      { silent: undefined, current: false, applied: undefined },
      ['False', 'AgentPending'],
      ['False', 'NotProgrammed'],
    ],
    [
      'an agent that has an older schedule',
      { current: false },
      ['False', 'SchedulePending'],
      ['False', 'NotProgrammed'],
    ],
    [
      'an agent that refused the schedule',
      { applied: { status: 'False', message: 'no' } },
      ['False', 'ScheduleRefused'],
      ['False', 'NotProgrammed'],
    ],
    ['an agent that fell silent', { silent: true }, ['Unknown', 'AgentSilent'], ['Unknown', 'NotProgrammed']],
    ['a device that is lost', { deviceFailure: 'device 0: gone' }, ['True', 'Programmed'], ['False', 'DeviceNotReady']],
  ])('%s shows', (_what, report, programmed, ready) => {
    const status = statusOf(admitted, report);
    expect(told(status, 'Admitted')).toEqual(['True', 'Admitted']);
    expect(told(status, 'Programmed')).toEqual(programmed);
    expect(told(status, 'Ready')).toEqual(ready);
  });

  test('stays Programmed while others come and go on its node, but not when it moves itself', () => {
    const before = statusOf(admitted);
    expect(told(statusOf(admitted, { current: false }, before), 'Programmed')).toEqual(['True', 'Programmed']);
    const moved = { ...admitted, placements: [{ ...placement, node: 'edge-2' }] };
    expect(told(statusOf(moved, { current: false }, before), 'Programmed')).toEqual(['False', 'SchedulePending']);
  });

  test('changes a transition time with the status only', () => {
    const first = statusOf(admitted, {}, undefined, 'monday');
    const second = statusOf({ ...admitted, message: 'streams: 2 on edge-1, elsewise' }, {}, first, 'tuesday');
    expect(second.conditions!.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual(Array(4).fill('monday'));
    const third = statusOf(refused, {}, second, 'wednesday');
    expect(third.conditions!.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual(Array(3).fill('wednesday'));
  });

  test('remembers what a tenant that waits was driven out by', () => {
    const preempted = statusOf({ ...refused, reason: 'Preempted' }, {}, statusOf(admitted));
    expect(told(statusOf(refused, {}, preempted), 'Admitted')).toEqual(['False', 'Preempted']);
    expect(told(statusOf({ ...refused, reason: 'ModelNotFound' }, {}, preempted), 'Admitted')).toEqual([
      'False',
      'ModelNotFound',
    ]);
    expect(told(statusOf(admitted, {}, preempted), 'Admitted')).toEqual(['True', 'Admitted']);
  });

  test('is urgent when a condition or place changes, not when a figure does', () => {
    const before = statusOf(admitted);
    expect(isUrgent(undefined, before)).toBe(true);
    expect(isUrgent(before, statusOf(admitted, { misses: 9 }))).toBe(false);
    expect(isUrgent(before, statusOf(admitted, { keptApart: true }))).toBe(true);
    const degraded = { shape: [3, 4, 4], since: '2026-01-01T00:00:00.000Z' };
    expect(isUrgent(before, statusOf(admitted, { degraded }))).toBe(true);
    expect(isUrgent(before, statusOf({ ...admitted, utilization: 0.5 }))).toBe(false);
    expect(isUrgent(before, statusOf(admitted, { endpoint: '10.0.0.2:80' }))).toBe(true);
    expect(isUrgent(before, statusOf(refused))).toBe(true);
  });

  test('tells where, since when and at which shape frames are computed while its device is behind', () => {
    expect(told(statusOf(admitted), 'Degraded')).toEqual(['False', 'FullShape']);
    const status = statusOf(admitted, { degraded: { shape: [3, 4, 4], since: '2026-01-01T00:00:00.000Z' } });
    expect(told(status, 'Degraded')).toEqual(['True', 'Overrun']);
    expect(status.conditions!.find(({ type }) => type === 'Degraded')!.message).toMatch(
      /edge-1 computes at 3x4x4 since 2026-01-01/,
    );
  });

  test('tells a refused change apart from the promise that goes on', () => {
    const status = statusOf({ ...admitted, admitted: false, reason: 'UtilizationExceeded', stands: '4 on edge-1' });
    expect(told(status, 'Admitted')).toEqual(['False', 'UtilizationExceeded']);
    expect(told(status, 'PreviousPromise')).toEqual(['True', 'GoesOn']);
    expect(told(status, 'Ready')).toEqual(['True', 'Serving']);
    expect(statusOf(admitted).conditions!.some(({ type }) => type === 'PreviousPromise')).toBe(false);
  });

  test('is not Ready while clients have no way to come, and says why', () => {
    const obstacle = { reason: 'ServiceNameTaken', message: 'somebody else has it' };
    expect(told(statusOf(admitted, {}, undefined, 'now', obstacle), 'Ready')).toEqual(['False', 'ServiceNameTaken']);
    const status = statusOf(admitted, { endpoint: undefined, endpointRefused: '127.0.0.1:80 is nowhere' });
    expect(told(status, 'Ready')).toEqual(['False', 'EndpointRefused']);
    expect(told(status, 'Programmed')).toEqual(['True', 'Programmed']);
  });

  test('tells who sends frames that the network fails on', () => {
    const status = statusOf(admitted, { keptApart: true });
    expect(told(status, 'KeptApart')).toEqual(['True', 'FramesFail']);
    expect(statusOf(admitted, {}, status).conditions!.some(({ type }) => type === 'KeptApart')).toBe(false);
  });
});
