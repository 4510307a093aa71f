import { worthwhile } from '../../agent/profile/grid.js';
import { median, rounded } from '../figure.js';
import { markdown } from '../markdown.js';
import { draw } from '../plot.js';
import type { Point } from './measure.js';
import { CONCURRENT, CORES, LARGEST_BATCH } from './measure.js';

/** A network at one shape under every plan. */
export interface Measured {
  readonly network: string;
  readonly shape: string;
  readonly points: readonly Point[];
}

/** All networks on one provider. */
export interface Study {
  readonly provider: string;
  readonly device: string;
  readonly measured: readonly Measured[];
}

const PLANS = ['sequential', 'batched', 'threads', 'processes'] as const;

const fastest = (points: readonly Point[]): Point =>
  points.reduce((a, b) => (b.framesPerSecond > a.framesPerSecond ? b : a));
const times = (factor: number): string => `${factor.toFixed(2)}×`;
const rate = (framesPerSecond: number): string => Number(framesPerSecond.toPrecision(3)).toString();

/** How many times as much a plan does, and whether that is more than the bouts differ: its slowest beats the other's fastest. */
const gainOf = (point: Point, single: Point): { readonly factor: number; readonly pays: boolean } => ({
  factor: point.framesPerSecond / single.framesPerSecond,
  pays: point.spread[0] > single.spread[1],
});

/** Which plan does most, against one frame after the other. */
export function verdict({ points }: Measured): {
  readonly single: Point;
  readonly batched: Point;
  readonly concurrent: Point;
  readonly text: string;
} {
  const single = points[0]!;
  const batches = points.filter(({ plan }) => plan === 'batched');
  const batched = fastest(batches.length > 0 ? batches : [single]);
  const concurrent = fastest(points.filter(({ plan }) => plan === 'threads' || plan === 'processes'));
  const gain = (point: Point): string => {
    const { factor, pays } = gainOf(point, single);
    return `${times(factor)}${pays ? '' : ', no gain'}`;
  };
  return {
    single,
    batched,
    concurrent,
    text: `batches of ${batched.batch} ${gain(batched)}; ${concurrent.callers} ${concurrent.plan} ${gain(concurrent)}`,
  };
}

/** What the profiler would have the dispatcher run at most: the size with the least time a frame. */
function largestWorthwhile(points: readonly Point[]): number {
  const batches = points
    .filter(({ plan }) => plan === 'sequential' || plan === 'batched')
    .map(({ batch, p50Ms }) => ({ size: batch, wcetUs: Math.ceil(1000 * p50Ms) }));
  return worthwhile(batches).at(-1)!.size;
}

/** Throughput against latency of each network, a line a plan. */
export async function drawStudy(file: string, { provider, device, measured }: Study): Promise<void> {
  const values = measured.flatMap(({ network, shape, points }) =>
    points.flatMap((point) => {
      const own = {
        ...point,
        frames: point.callers * point.batch,
        subject: `${network} ${shape}`,
        gain: point.framesPerSecond / points[0]!.framesPerSecond,
      };
      // A line of batches begins at a batch of one, as those of callers begin at one caller.
      return point.plan === 'sequential' ? [own, ...PLANS.slice(1).map((plan) => ({ ...own, plan }))] : [own];
    }),
  );
  await draw(file, {
    title: {
      text: `Execution plans on ${device} (${provider})`,
      subtitle: `${CORES} cores; batches of 1 to ${LARGEST_BATCH}, 1 to ${CONCURRENT.at(-1)} callers; up and to the left is better`,
    },
    data: { values },
    facet: { field: 'subject', type: 'nominal', title: null, sort: null },
    columns: 4,
    resolve: { scale: { x: 'independent', y: 'shared' } },
    spec: {
      width: 170,
      height: 130,
      mark: { type: 'line', point: { size: 14 } },
      encoding: {
        x: { field: 'p50Ms', type: 'quantitative', scale: { type: 'log' }, title: 'latency, median, ms' },
        y: { field: 'gain', type: 'quantitative', title: 'throughput, of sequential' },
        order: { field: 'frames' },
        color: { field: 'plan', type: 'nominal', sort: [...PLANS], title: 'plan' },
      },
    },
  });
}

export const json = (studies: readonly Study[]): string => {
  const lines = studies.flatMap(({ provider, device, measured }) =>
    measured.map((each) => JSON.stringify({ provider, device, ...each }, rounded)),
  );
  return `[\n${lines.join(',\n')}\n]\n`;
};

function summary(measured: readonly Measured[]): string {
  const rows = measured.map((each) => {
    const { single, batched, concurrent } = verdict(each);
    const gain = (point: Point): string => {
      const { factor, pays } = gainOf(point, single);
      return `${times(factor)}${pays ? '' : ' (no gain)'}`;
    };
    return [
      `${each.network} ${each.shape}`,
      single.p50Ms.toFixed(1),
      rate(single.framesPerSecond),
      `${batched.batch}: ${gain(batched)}`,
      times(batched.p50Ms / single.p50Ms),
      `${concurrent.callers} ${concurrent.plan}: ${gain(concurrent)}`,
      times(concurrent.p50Ms / single.p50Ms),
      largestWorthwhile(each.points),
    ];
  });
  return markdown(
    [
      'network, shape',
      'one frame, ms',
      'frames/s',
      'best batch: throughput',
      'its latency',
      'best callers: throughput',
      'their latency',
      'largest batch of the profiler',
    ],
    rows,
  );
}

const WITHIN_MS = [50, 100, 250] as const;

/** What deadlines leave of that: a frame may wait for one run, and then be in the next. */
function withinDeadlines(measured: readonly Measured[]): string {
  const rows = measured.map(({ network, shape, points }) => {
    const single = points[0]!;
    const best = WITHIN_MS.map((ms) => {
      const fits = points.filter(({ plan, p95Ms }) => (plan === 'sequential' || plan === 'batched') && p95Ms <= ms);
      if (fits.length === 0) return '–';
      const { batch, framesPerSecond } = fastest(fits);
      return batch === 1 ? 'one by one' : `${batch}: ${times(framesPerSecond / single.framesPerSecond)}`;
    });
    return [`${network} ${shape}`, ...best];
  });
  return markdown(['network, shape', ...WITHIN_MS.map((ms) => `deadline ${2 * ms} ms`)], rows);
}

/** What all of it says, in a few sentences. */
function conclusions(measured: readonly Measured[]): string {
  const gains = measured.map((each) => {
    const { single, batched, concurrent } = verdict(each);
    const gain = (point: Point): number => {
      const { factor, pays } = gainOf(point, single);
      return pays ? factor : 1;
    };
    return { batched: gain(batched), concurrent: gain(concurrent), latency: batched.p50Ms / single.p50Ms };
  });
  const paying = gains.filter(({ batched }) => batched > 1);
  const callers = gains.filter(({ concurrent }) => concurrent > 1);
  const both = gains.filter(({ batched, concurrent }) => batched >= concurrent);
  return [
    `Batching gains more than the spread in ${paying.length} of ${gains.length} cases, ${times(median(paying.map(({ batched }) => batched)))} at the median; its best batch takes ${times(median(paying.map(({ latency }) => latency)))} the time of one frame at the median.`,
    `Several callers gain in ${callers.length}, ${times(median(callers.map(({ concurrent }) => concurrent)))} at the median; batching does as well or better in ${both.length}.`,
    'Where callers gain and batches less, devices that are groups of cores (`--cpu-devices`) are how an agent takes it.',
    'So neither is a matter of course, and which batches pay is a matter of network, shape and device: profiles are measured.',
  ].join('\n');
}

function everyPoint({ network, shape, points }: Measured): string {
  const rows = points.map(({ plan, callers, batch, p50Ms, p95Ms, framesPerSecond, spread }) => [
    plan,
    callers,
    batch,
    p50Ms.toFixed(1),
    p95Ms.toFixed(1),
    rate(framesPerSecond),
    `${rate(spread[0])}–${rate(spread[1])}`,
  ]);
  const head = ['plan', 'callers', 'batch', 'p50 ms', 'p95 ms', 'frames/s', 'least–most of three bouts'];
  return `### ${network} ${shape}\n\n${markdown(head, rows)}`;
}

export function report(studies: readonly Study[]): string {
  return `<!-- written by make plans -->
# Execution plans

How latency and throughput respond to how a device is asked: one frame after the other (sequential), several callers at once, each with a session of its own (threads or processes), or batches from one caller.
The paper's networks have seeded weights and take as long as trained ones; the others are the demo's.
Every caller asks again as soon as it is answered; on the CPU the callers share the ${CORES} cores out, one thread each at least, and one caller has them all.
A gain counts only where its slowest bout of three beats the sequential plan's fastest.
Callers whose weights would not fit in memory together, and batches of which a run would take more than four seconds, are left out.
The last column is the largest batch that the profiler would keep: the one with the least time a frame, since larger ones are faster in several runs.
[plans.json](plans.json) has all of it.

${studies
  .map(
    (study) => `## ${study.device}, provider ${study.provider}

![Throughput and latency by plan](plans-${study.provider}.svg)

${conclusions(study.measured)}

${summary(study.measured)}

The best batches whose p95 fits twice into a deadline, so that a frame may wait for one run and be in the next:

${withinDeadlines(study.measured)}

${study.measured.map(everyPoint).join('\n\n')}`,
  )
  .join('\n\n')}
`;
}
