import type { Arrival } from '../sched/arrivals.js';
import { arrivalsOf, seededRandom } from '../sched/arrivals.js';
import { mergeStreams } from '../sched/paper/arrivals-bound.js';
import type { Streams } from '../sched/category.js';
import { Dispatcher } from '../sched/dispatcher.js';
import { WcetTable } from '../sched/wcet.js';
import type { Device } from '../operator/admission/device.js';
import type { DevicePlan, Fit } from '../operator/admission/device-plan.js';
import { placedOn, planFor } from '../operator/admission/device-plan.js';
import type { TenantRequest } from '../operator/admission/request.js';
import { findOffer } from '../sched/offer.js';
import type { Figure } from './figure.js';
import { median } from './figure.js';

const CATEGORIES = 8;
const RATES = [5, 10, 15, 24, 25, 30];

/** A device fast enough for any of these loads: what is measured is the scheduler, not admission's verdict. */
const fastTable = new WcetTable(
  [1, 2, 4, 8, 16, 32, 64].map((batch) => ({ batch, wcetUs: 20 + Math.ceil(batch / 8) })),
);

/** CPU time of the dispatcher per frame: arrival, window, job, EDF choice, finish; no clock, no device. */
function costPerFrameUs(streams: number): number {
  const random = seededRandom(streams);
  const cameras = Array.from({ length: streams }, (_, i) => {
    const periodUs = Math.floor(1e6 / RATES[i % RATES.length]!);
    return {
      category: `c${i % CATEGORIES}`,
      periodUs,
      jitterUs: periodUs / 10,
      phaseUs: Math.floor(random() * periodUs),
    };
  });
  const arrivals = [...arrivalsOf(cameras, 300_000_000 / streams, random)];
  const categories = Array.from({ length: CATEGORIES }, (_, i) => ({
    name: `c${i}`,
    wcet: fastTable,
    windowUs: 20_000 + 5000 * i,
    offsetUs: 0,
    relativeDeadlineUs: 30_000,
  }));
  const runs = Array.from({ length: 7 }, () => {
    const dispatcher = new Dispatcher<Arrival>({
      realTime: categories,
      bestEffort: [],
      bestEffortUs: 0,
      earlyRelease: true,
    });
    const startMs = performance.now();
    drive(dispatcher, arrivals);
    return ((performance.now() - startMs) * 1000) / arrivals.length;
  });
  return median(runs);
}

function drive(dispatcher: Dispatcher<Arrival>, arrivals: readonly Arrival[]): void {
  let nowUs = 0;
  let i = 0;
  while (nowUs < Infinity) {
    const decision = dispatcher.next(nowUs);
    if ('run' in decision) {
      nowUs += decision.run.wcetUs;
      for (let arrival = arrivals[i]; arrival !== undefined && arrival.atUs < nowUs; arrival = arrivals[++i])
        dispatcher.arrive(arrival.category, arrival, arrival.atUs);
      dispatcher.finish(nowUs);
      continue;
    }
    const arrival = arrivals[i];
    nowUs = Math.min(decision.waitUntilUs, arrival?.atUs ?? Infinity);
    if (arrival !== undefined && arrival.atUs === nowUs) {
      dispatcher.arrive(arrival.category, arrival, nowUs);
      i++;
    }
  }
}

const device = (slow: number): Device => ({
  node: 'bench',
  device: 0,
  ingestUs: 0,
  failures: new Map(),
  memoryOf: new Map(),
  memoryBytes: undefined,
  tables: new Map(
    Array.from({ length: CATEGORIES }, (_, i) => [
      `m${i}@3x224x224`,
      new WcetTable(
        [1, 2, 4, 8, 16, 32].map((batch) => ({ batch, wcetUs: Math.ceil(slow * (1000 + 150 * i + 100 * batch)) })),
      ),
    ]),
  ),
});

function tenants(count: number): TenantRequest[] {
  const random = seededRandom(count);
  return Array.from({ length: count }, (_, i) => {
    const periodUs = Math.floor(1e6 / RATES[Math.floor(random() * RATES.length)]!);
    return {
      namespace: 'bench',
      name: `t${i}`,
      model: `m${i % CATEGORIES}`,
      shape: [3, 224, 224],
      class: 'RealTime' as const,
      streams: 1,
      periodUs,
      jitterUs: Math.floor(periodUs / 10),
      deadlineUs: 50_000 + 10_000 * Math.floor(random() * 45),
      lateFrames: 'Serve' as const,
      strategy: 'Pack' as const,
      allowSplit: false,
      nodeSelector: {},
      tolerations: [],
      priority: 0,
      preempts: true,
      generation: 1,
    };
  });
}

/** As placement does it, but for its memory of earlier refusals. */
const withOneMore = (plan: DevicePlan, request: TenantRequest, streams: number): Fit =>
  planFor(plan.device, [...placedOn(plan), { request, streams }], plan);

/** The slowest device that still takes all of these tenants: the hardest state to decide in. */
function fullPlan(requests: readonly TenantRequest[]): DevicePlan {
  const placed = requests.map((request) => ({ request, streams: 1 }));
  let best: DevicePlan | undefined;
  for (let [low, high] = [0, 4], i = 0; i < 14; i++) {
    const middle = (low + high) / 2;
    const fit = planFor(device(middle), placed);
    if ('plan' in fit) [low, best] = [middle, fit.plan];
    else high = middle;
  }
  return best!;
}

/** One decision on one more tenant, in milliseconds: admitted, refused, and refused with its offer. */
function decisionMs(count: number): { admitted: number; refused: number; withOffer: number; variety: number } {
  const requests = tenants(count);
  const plan = fullPlan(requests);
  const small: TenantRequest = { ...requests[0]!, name: 'small', periodUs: 10_000_000, jitterUs: 0 };
  const large: TenantRequest = { ...requests[1]!, name: 'large', periodUs: 33_333, deadlineUs: 25_000 };
  const time = (task: () => unknown): number =>
    median(
      Array.from({ length: 31 }, () => {
        const startMs = performance.now();
        task();
        return performance.now() - startMs;
      }),
    );
  const admits = ({ count: streams, ...terms }: Streams): boolean =>
    'plan' in withOneMore(plan, { ...large, ...terms }, streams);
  return {
    admitted: time(() => withOneMore(plan, small, 1)),
    refused: time(() => withOneMore(plan, large, 1)),
    withOffer: time(() =>
      findOffer({ count: 8, periodUs: large.periodUs, jitterUs: large.jitterUs, deadlineUs: large.deadlineUs }, admits),
    ),
    variety: mergeStreams(
      requests.map(({ periodUs, jitterUs, deadlineUs }) => ({ count: 1, periodUs, jitterUs, deadlineUs })),
    ).length,
  };
}

export function benchSched(): Figure[] {
  const [thousand, tenThousand] = [costPerFrameUs(1000), costPerFrameUs(10_000)];
  const counts = [50, 100, 200, 400, 800];
  const decisions = counts.map((count) => ({ count, ...decisionMs(count) }));
  const at = (count: number) => decisions.find((decision) => decision.count === count)!;
  const nLogN = (800 * Math.log(800)) / (200 * Math.log(200));
  const slowest = (count: number): number => Math.max(at(count).admitted, at(count).refused);
  return [
    {
      name: 'scheduling cost per frame, 1,000 streams',
      value: thousand,
      unit: 'us',
      aim: '<= 5 us',
      met: thousand <= 5,
    },
    {
      name: 'the same at 10,000 streams, ratio',
      value: tenThousand / thousand,
      unit: 'x',
      aim: '<= 2 x',
      met: tenThousand <= 2 * thousand,
    },
    ...decisions.flatMap(({ count, admitted, refused, withOffer }): Figure[] => [
      {
        name: `one decision beside ${count} tenants, admitted`,
        value: admitted,
        unit: 'ms',
        ...(count === 200 ? { aim: '<= 5 ms', met: admitted <= 5 } : {}),
      },
      {
        name: `one decision beside ${count} tenants, refused`,
        value: refused,
        unit: 'ms',
        ...(count === 200 ? { aim: '<= 5 ms', met: refused <= 5 } : {}),
      },
      { name: `offer to the refused beside ${count} tenants`, value: withOffer, unit: 'ms' },
    ]),
    {
      name: 'growth of a decision from 200 to 800 tenants',
      value: slowest(800) / slowest(200),
      unit: 'x',
      aim: `<= ${nLogN.toFixed(1)} x (n log n)`,
      met: slowest(800) / slowest(200) <= nLogN,
    },
  ];
}
