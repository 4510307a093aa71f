import type { Arrival } from '../sched/arrivals.js';
import { arrivalsOf, seededRandom } from '../sched/arrivals.js';
import type { BatcherConfig } from '../sched/queue.js';
import { Batcher } from '../sched/batcher.js';
import type { Streams } from '../sched/category.js';
import { DueCurve } from '../sched/curve.js';
import type { FrameOffer } from '../sched/frame.js';
import { mergeStreams } from '../sched/paper/arrivals-bound.js';
import { chooseRounds, grown } from '../sched/rounds.js';
import { WcetTable } from '../sched/wcet.js';
import type { Device } from '../operator/admission/device.js';
import { bytesUnknown } from '../operator/admission/device.js';
import type { DevicePlan, Fit } from '../operator/admission/plan.js';
import { placedOn } from '../operator/admission/plan.js';
import { planFor } from '../operator/admission/device-plan.js';
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

interface Load {
  readonly config: BatcherConfig;
  readonly arrivals: readonly Arrival[];
}

/** So many cameras, admitted, and one spare frame beside every promised one. */
function loadOf(streams: number, categories: number, wcet: WcetTable): Load {
  const random = seededRandom(streams);
  const cameras = Array.from({ length: streams }, (_, i) => {
    const periodUs = Math.floor(1e6 / RATES[i % RATES.length]!);
    const phaseUs = Math.floor(random() * periodUs);
    return {
      category: `c${i % categories}`,
      count: 1,
      periodUs,
      jitterUs: periodUs / 10,
      phaseUs,
      deadlineUs: 100_000,
    };
  });
  const names = Array.from({ length: categories }, (_, i) => `c${i}`);
  const demands = names.map((name) => ({
    name,
    wcet,
    curve: new DueCurve(cameras.filter((c) => c.category === name)),
  }));
  const choice = chooseRounds(demands);
  if ('misfit' in choice) throw new Error('the device is meant to be fast enough');
  const visits = grown(demands, choice.visits);
  const promisedOf = (name: string): Map<string, Streams> =>
    new Map(cameras.flatMap((camera, i) => (camera.category === name ? [[`t${i}`, camera] as const] : [])));
  return {
    config: {
      categories: names.map((name, i) => ({ name, ladder: [wcet], visit: visits[i]!, promised: promisedOf(name) })),
    },
    arrivals: [...arrivalsOf(cameras, 300_000_000 / streams, random)],
  };
}

/** Drives a batcher through frames that arrive while it runs its batches at their WCET. */
function serve(
  batcher: Batcher<Arrival>,
  frames: readonly Arrival[],
  offers: readonly FrameOffer[],
  before?: (nowUs: number) => void,
): void {
  for (let nowUs = 0, next = 0; next < frames.length;) {
    for (; next < frames.length && frames[next]!.atUs <= nowUs; next++) batcher.arrive(frames[next]!, offers[next]!);
    before?.(nowUs);
    const { run, waitUntilUs } = batcher.next(nowUs);
    if (run === undefined) nowUs = Math.min(waitUntilUs, frames[next]?.atUs ?? Infinity);
    else batcher.finish((nowUs += run.wcetUs));
  }
}

const offersOf = (frames: readonly Arrival[], promised: (i: number) => boolean): FrameOffer[] =>
  frames.map(({ category, camera, atUs }, i) => {
    const dueUs = atUs + 100_000;
    return { category, tenant: `t${camera}`, promised: promised(i), atUs, dueUs, deepest: 0, late: 'drop' };
  });

/** CPU time of the batcher per frame, one spare frame beside every promised one: arrival, guard, decision, finish; no clock, no device. */
function costPerFrameUs(streams: number): number {
  const { config, arrivals } = loadOf(streams, CATEGORIES, fastTable);
  const frames = arrivals.flatMap((arrival) => [arrival, { ...arrival }]);
  const offers = offersOf(frames, (i) => i % 2 === 0);
  const runs = Array.from({ length: 7 }, () => {
    const batcher = new Batcher<Arrival>(config);
    const startMs = performance.now();
    serve(batcher, frames, offers);
    return ((performance.now() - startMs) * 1000) / frames.length;
  });
  return median(runs);
}

/** One question to the guard for a run of 32 frames, on a busy device: the median and the 99.9th percentile, in microseconds. */
function guardUs(): { median: number; worst: number } {
  const wcet = new WcetTable([1, 2, 4, 8, 16, 32, 64].map((batch) => ({ batch, wcetUs: 200 + 30 * batch })));
  const { config, arrivals } = loadOf(1000, 16, wcet);
  const offers = offersOf(arrivals, () => true);
  const times: number[] = [];
  // The first times through are for the compiler.
  for (let i = -5; i < 40; i++) {
    const batcher = new Batcher<Arrival>(config);
    serve(batcher, arrivals, offers, (nowUs) => {
      const startMs = performance.now();
      batcher.slackUs(nowUs, wcet.at(32));
      if (i >= 0) times.push((performance.now() - startMs) * 1000);
    });
  }
  const sorted = times.sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, worst: sorted[Math.floor(sorted.length * 0.999)]! };
}

const device = (slow: number): Device => ({
  node: 'bench',
  device: 0,
  stages: undefined,
  bytesOf: bytesUnknown,
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
      key: `bench/t${i}`,
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
      beyondPromise: 'Serve' as const,
      spareFrames: 'All' as const,
      jitterGiven: true,
      strategy: 'Pack' as const,
      allowSplit: false,
      nodeSelector: {},
      tolerations: [],
      priority: 0,
      preempts: true,
      suspended: false,
      generation: 1,
    };
  });
}

/** As placement does it, but for its memory of earlier refusals. */
const withOneMore = (plan: DevicePlan, request: TenantRequest, streams: number): Fit =>
  planFor(plan.device, [...placedOn(plan), { request, streams, covered: {}, decodeUs: 0 }], plan);

/** The slowest device that still takes all of these tenants: the hardest state to decide in. */
function fullPlan(requests: readonly TenantRequest[]): DevicePlan {
  const placed = requests.map((request) => ({ request, streams: 1, covered: {}, decodeUs: 0 }));
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
      findOffer(
        { count: 8, periodUs: large.periodUs, jitterUs: large.jitterUs, deadlineUs: large.deadlineUs },
        () => large.jitterUs,
        admits,
      ),
    ),
    variety: mergeStreams(
      requests.map(({ periodUs, jitterUs, deadlineUs }) => ({ count: 1, periodUs, jitterUs, deadlineUs })),
    ).length,
  };
}

function aimAt(count: number, ms: number): { aim?: string; met?: boolean } {
  if (count === 200) return { aim: '<= 2 ms', met: ms <= 2 };
  return count === 2000 ? { aim: '<= 20 ms', met: ms <= 20 } : {};
}

export function benchSched(): Figure[] {
  const [thousand, tenThousand] = [costPerFrameUs(1000), costPerFrameUs(10_000)];
  const guard = guardUs();
  const counts = [50, 100, 200, 400, 800, 2000];
  const decisions = counts.map((count) => ({ count, ...decisionMs(count) }));
  const at = (count: number) => decisions.find((decision) => decision.count === count)!;
  const nLogN = (800 * Math.log(800)) / (200 * Math.log(200));
  const slowest = (count: number): number => Math.max(at(count).admitted, at(count).refused);
  return [
    {
      name: 'scheduling cost per frame, 1,000 streams',
      value: thousand,
      unit: 'us',
      aim: '<= 2 us',
      met: thousand <= 2,
    },
    {
      name: 'the same at 10,000 streams, ratio',
      value: tenThousand / thousand,
      unit: 'x',
      aim: '<= 2 x',
      met: tenThousand <= 2 * thousand,
    },
    {
      name: 'guard, 1,000 streams in 16 categories, median',
      value: guard.median,
      unit: 'us',
      aim: '<= 10 us',
      met: guard.median <= 10,
    },
    { name: 'guard, the same, p99.9', value: guard.worst, unit: 'us', aim: '<= 100 us', met: guard.worst <= 100 },
    ...decisions.flatMap(({ count, admitted, refused, withOffer }): Figure[] => [
      {
        name: `one decision beside ${count} tenants, admitted`,
        value: admitted,
        unit: 'ms',
        ...aimAt(count, admitted),
      },
      {
        name: `one decision beside ${count} tenants, refused`,
        value: refused,
        unit: 'ms',
        ...aimAt(count, refused),
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
