import { categoryName } from '../api/names.js';
import type { NodeType } from '../cli/fleet.js';
import { planFleet } from '../cli/fleet.js';
import type { Device } from '../operator/admission/device.js';
import { bytesUnknown } from '../operator/admission/device.js';
import type { TenantRequest } from '../operator/admission/request.js';
import { seededRandom } from '../sched/arrivals.js';
import { WcetTable } from '../sched/wcet.js';
import type { Figure } from './figure.js';

const TENANTS = 2000;
const SHAPE = [3, 8, 8];
const LARGEST_BATCH = 32;
/** Price and slowness of each type; synthetic. */
const TYPES = [
  [0.6, 2],
  [1, 1],
  [1.8, 0.5],
  [3.2, 0.25],
  [7, 0.125],
] as const;

/** How long planning a fleet takes, and how far above the bound what it buys is: eight networks on GPU-like devices. */
export function benchFleet(): Figure[] {
  const random = seededRandom(3);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!;
  const networks = Array.from({ length: 8 }, (_, i) => ({
    name: `network-${i}`,
    fixedUs: 2000 + 6000 * random(),
    perFrameUs: 500 + 1500 * random(),
  }));
  const device = (slow: number): Device => ({
    node: 'type',
    device: 0,
    tables: new Map(
      networks.map(({ name, fixedUs, perFrameUs }) => [
        categoryName(name, SHAPE),
        new WcetTable(
          Array.from({ length: LARGEST_BATCH }, (_, i) => ({
            batch: i + 1,
            wcetUs: Math.ceil(slow * (fixedUs + perFrameUs * (i + 1))),
          })),
        ),
      ]),
    ),
    failures: new Map(),
    memoryOf: new Map(),
    memoryBytes: undefined,
    stages: undefined,
    bytesOf: bytesUnknown,
  });
  const types = TYPES.map(([price, slow], i): NodeType => ({ name: `type-${i}`, price, devices: [device(slow)] }));
  const requests = Array.from({ length: TENANTS }, (_, i): TenantRequest => {
    const name = `t${i}`;
    return {
      key: `default/${name}`,
      namespace: 'default',
      name,
      model: pick(networks).name,
      shape: SHAPE,
      class: 'RealTime',
      streams: pick([1, 2, 3]),
      periodUs: Math.floor(1e6 / pick([5, 10, 15, 25, 30])),
      jitterUs: 5000,
      deadlineUs: 1000 * pick([100, 150, 200, 300, 500]),
      beyondPromise: 'Serve',
      spareFrames: 'All',
      jitterGiven: true,
      lateFrames: 'Serve',
      strategy: 'Pack',
      allowSplit: false,
      nodeSelector: {},
      tolerations: [],
      priority: 0,
      preempts: false,
      suspended: false,
      generation: 1,
    };
  });
  const startMs = performance.now();
  const { price, boundPrice, refused } = planFleet(types, requests);
  const seconds = (performance.now() - startMs) / 1000;
  if (refused.length > 0) throw new Error(`${refused.length} tenants are served by no type`);
  const ratio = price / boundPrice;
  return [
    {
      name: `fleet: planning for ${TENANTS} tenants over ${TYPES.length} types`,
      value: seconds,
      unit: 's',
      aim: '≤ 60',
      met: seconds <= 60,
    },
    {
      name: 'fleet: price, of the least that any packing can cost',
      value: ratio,
      unit: '×',
      aim: '≤ 1.1',
      met: ratio <= 1.1,
    },
  ];
}
