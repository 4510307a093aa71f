import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Device } from '../operator/admission/device.js';
import { bytesUnknown } from '../operator/admission/device.js';
import { decide } from '../operator/admission/decide.js';
import type { TenantRequest } from '../operator/admission/request.js';
import { categoryName } from '../api/names.js';
import { WcetTable } from '../sched/wcet.js';
import type { NodeType } from './fleet.js';
import { planFleet } from './fleet.js';

const SHAPE = [3, 8, 8];
const MODELS = ['a', 'b', 'c'];

/** A device on which a frame of any model takes so long beside what a batch takes. */
const device = (slow: number, models = MODELS): Device => ({
  node: 'type',
  device: 0,
  tables: new Map(
    models.map((model) => [
      categoryName(model, SHAPE),
      new WcetTable([1, 2, 4, 8, 16].map((batch) => ({ batch, wcetUs: slow * (2000 + 1000 * batch) }))),
    ]),
  ),
  failures: new Map(),
  memoryOf: new Map(),
  memoryBytes: undefined,
  stages: undefined,
  bytesOf: bytesUnknown,
});
const type = (name: string, price: number, ...devices: Device[]): NodeType => ({ name, price, devices });

const tenant = (i: number, model: string, streams: number, fps: number, deadlineMs: number): TenantRequest => ({
  key: `default/t${i}`,
  namespace: 'default',
  name: `t${i}`,
  model,
  shape: SHAPE,
  class: 'RealTime',
  streams,
  periodUs: Math.floor(1e6 / fps),
  jitterUs: Math.floor(1e5 / fps),
  deadlineUs: 1000 * deadlineMs,
  beyondPromise: 'Serve',
  spareFrames: 'All',
  jitterGiven: false,
  lateFrames: 'Serve',
  strategy: 'Pack',
  allowSplit: false,
  nodeSelector: {},
  tolerations: [],
  priority: 0,
  preempts: false,
  suspended: false,
  generation: 1,
});

const cameras = fc.array(
  fc.tuple(
    fc.constantFrom(...MODELS),
    fc.integer({ min: 1, max: 4 }),
    fc.constantFrom(5, 10, 30),
    fc.constantFrom(100, 200, 500),
  ),
  { minLength: 1, maxLength: 40 },
);

test('so many nodes of one type are bought as the operator needs to admit everybody, and the bound is below their price', () => {
  fc.assert(
    fc.property(cameras, (drawn) => {
      const requests = drawn.map(([model, ...terms], i) => tenant(i, model, ...terms));
      const fleet = planFleet([type('node', 10, device(1))], requests);
      expect(fleet.refused).toEqual([]);
      expect(fleet.boundPrice).toBeLessThanOrEqual(fleet.price);
      const { nodes } = fleet.parts[0]!;
      // In the fleet's own order: by category, tight deadlines first.
      const order = [...requests].sort((a, b) => a.model.localeCompare(b.model) || a.deadlineUs - b.deadlineUs);
      const devices = Array.from({ length: nodes }, (_, i) => ({ ...device(1), node: `n${i}` }));
      const { verdicts } = decide({
        models: new Map(MODELS.map((name) => [name, { metadata: { name }, spec: {} } as never])),
        devices,
        requests: order,
      });
      expect(verdicts.filter(({ admitted }) => !admitted)).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

test('the cheaper type is bought; a dear one for those only whom the cheap one cannot serve', () => {
  const cheap = type('cheap', 1, device(10, ['a']));
  const dear = type('dear', 30, device(1));
  const slack = Array.from({ length: 6 }, (_, i) => tenant(i, 'a', 1, 5, 500));
  const only = planFleet([cheap, dear], slack);
  expect(only.parts.map(({ type: name }) => name)).toEqual(['cheap']);
  const tight = tenant(9, 'b', 1, 30, 100);
  const both = planFleet([cheap, dear], [...slack, tight]);
  expect(both.refused).toEqual([]);
  expect(both.price).toBeLessThanOrEqual(planFleet([dear], [...slack, tight]).price);
});

test('whom nobody serves is named, with each type’s reason', () => {
  const { refused, parts } = planFleet([type('slow', 1, device(100))], [tenant(0, 'a', 1, 30, 100)]);
  expect(parts).toEqual([]);
  expect(refused).toEqual([
    { tenant: 'default/t0', why: expect.stringMatching(/^slow: one frame of a@3x8x8 alone takes/) },
  ]);
});

test('nodes of several devices are filled, device by device', () => {
  const two = type('two', 2, device(1), { ...device(1), device: 1 });
  const requests = Array.from({ length: 20 }, (_, i) => tenant(i, 'a', 2, 30, 100));
  const [one, pair] = [planFleet([type('one', 1, device(1))], requests), planFleet([two], requests)];
  expect(pair.parts[0]!.nodes).toBe(Math.ceil(one.parts[0]!.nodes / 2));
  expect(one.parts[0]!.bottleneck).toBe('device');
});
