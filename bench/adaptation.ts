import { join } from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import type { Outcome, Strained } from '../test/support/overruns.js';
import { SIMULATED_US, runStrained, strainedSet } from '../test/support/overruns.js';
import type { Figure } from './figure.js';
import { draw } from './plot.js';

const SETS = 150;
/** The set whose run is drawn: three categories, one of them overrunning. */
const DRAWN = 25;
const BUCKET_US = 100_000;
const SHOWN_US = 5_000_000;

/** Misses with and without the Adaptation Module over random admitted sets, and a plot of one of them. */
export async function benchAdaptation(): Promise<Figure[]> {
  const logs: number[] = [];
  for (let seed = 1; seed <= SETS; seed++) {
    const set = strainedSet(seed);
    const [without, adapted] = [runStrained(set, false), runStrained(set, true)];
    if (without.misses + adapted.misses > 0) logs.push(Math.log((adapted.misses + 1) / (without.misses + 1)));
  }
  const set = strainedSet(DRAWN);
  await draw(join('docs', 'adaptation.svg'), plotOf(set, runStrained(set, false), runStrained(set, true)));
  return [
    {
      name: `misses with adaptation / without, geometric mean over ${logs.length} random admitted sets`,
      value: Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length),
      unit: '',
      aim: 'at most 0.5',
      met: Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length) <= 0.5,
    },
  ];
}

/** Penalty, shape and misses over time. */
function plotOf(set: Strained, without: Outcome, adapted: Outcome): TopLevelSpec {
  const seconds = (us: number): number => us / 1e6;
  const shown = adapted.runs.filter(({ endUs }) => endUs < SHOWN_US);
  const penalties = shown.map(({ run, endUs, penaltyUs }) => ({
    time: seconds(endUs),
    category: run.category,
    penalty: penaltyUs / 1000,
  }));
  const rungs = shown.map(({ run, endUs }) => ({ time: seconds(endUs), category: run.category, rung: run.rung }));
  const misses = [
    ...missesOf(set, without).map((row) => ({ ...row, run: 'without adaptation' })),
    ...missesOf(set, adapted).map((row) => ({ ...row, run: 'with adaptation' })),
  ];
  const overruns = set.overruns.map(({ fromUs, forUs, factor, category }) => ({
    from: seconds(fromUs),
    to: seconds(fromUs + forUs),
    what: `${category} x${factor.toFixed(1)}`,
  }));
  const time = {
    field: 'time',
    type: 'quantitative' as const,
    title: 'seconds',
    scale: { domain: [0, seconds(SHOWN_US)] },
  };
  const colour = { field: 'category', type: 'nominal' as const, title: 'category' };
  const shade = {
    data: { values: overruns },
    mark: { type: 'rect' as const, opacity: 0.12, color: 'firebrick' },
    encoding: { x: { field: 'from', type: 'quantitative' as const }, x2: { field: 'to' } },
  };
  const size = { width: 720, height: 130 };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    title: {
      text: `An admitted set (utilization ${set.utilization.toFixed(2)}) while runs take longer than measured`,
      subtitle: `shaded: ${overruns.map(({ what }) => what).join(', ')}; ${without.misses} of ${without.frames} frames miss without adaptation, ${adapted.misses} with it`,
    },
    resolve: { scale: { color: 'independent' } },
    vconcat: [
      {
        ...size,
        layer: [
          shade,
          {
            data: { values: penalties },
            mark: { type: 'line', interpolate: 'step-after' },
            encoding: { x: time, y: { field: 'penalty', type: 'quantitative', title: 'penalty, ms' }, color: colour },
          },
        ],
      },
      {
        ...size,
        height: 90,
        layer: [
          shade,
          {
            data: { values: rungs },
            mark: { type: 'point', filled: true, size: 18 },
            encoding: {
              x: time,
              y: { field: 'rung', type: 'ordinal', title: 'shapes below full', sort: 'ascending' },
              yOffset: { field: 'category', type: 'nominal' },
              color: colour,
            },
          },
        ],
      },
      {
        ...size,
        layer: [
          shade,
          {
            data: { values: misses },
            mark: { type: 'line', interpolate: 'step-after' },
            encoding: {
              x: time,
              y: { field: 'misses', type: 'quantitative', title: 'misses per 0.1 s' },
              color: { field: 'run', type: 'nominal', title: '', scale: { range: ['seagreen', 'firebrick'] } },
            },
          },
        ],
      },
    ],
  };
}

/** Frames that missed, by the instant at which their deadline passed. */
function missesOf({ tenantOf }: Strained, { runs, given }: Outcome): { time: number; misses: number }[] {
  const counts = Array.from({ length: SHOWN_US / BUCKET_US }, () => 0);
  const note = (dueUs: number): void => {
    const bucket = Math.floor(dueUs / BUCKET_US);
    if (dueUs < Math.min(SHOWN_US, SIMULATED_US)) counts[bucket]!++;
  };
  for (const { run, endUs } of runs)
    for (const { camera, atUs } of run.frames) {
      const dueUs = atUs + tenantOf[camera]!.streams.deadlineUs;
      if (endUs > dueUs) note(dueUs);
    }
  for (const { camera, atUs } of given) note(atUs + tenantOf[camera]!.streams.deadlineUs);
  return counts.map((count, i) => ({ time: (i * BUCKET_US) / 1e6, misses: count }));
}
