import type { TopLevelSpec } from 'vega-lite';
import type { DashboardSpec, PanelSpec } from '../../hack/dashboards.js';

/** What one query of a panel gave over time. */
export interface Series {
  readonly name: string;
  /** Seconds since the picture's beginning, and value. */
  readonly points: readonly (readonly [number, number])[];
}

/** Something that was done to the cluster, in seconds since the picture's beginning. */
export interface Mark {
  readonly at: number;
  readonly what: string;
}

interface Shown {
  /** Vega expression of an axis label. */
  readonly label: string;
  readonly title?: string;
}
/** Grafana's units, as far as the dashboards use them. */
const UNITS: Readonly<Record<string, Shown>> = {
  none: { label: "format(datum.value, '~g')" },
  percentunit: { label: "format(datum.value, '~%')" },
  s: { label: "format(datum.value, '~s') + 's'" },
  bytes: { label: "format(datum.value, '~s') + 'B'" },
  reqps: { label: "format(datum.value, '~g')", title: 'frames/s' },
  ops: { label: "format(datum.value, '~g')", title: 'per second' },
  cpm: { label: "format(datum.value, '~g')", title: 'per minute' },
};
const WIDTH = 400;
const OWN_LEGENDS = { scale: { color: 'independent' as const } };
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
type View = Extract<TopLevelSpec, { vconcat: unknown }>['vconcat'][number];

/** A dashboard's panels as it lays them out, with what was done to the cluster as dashed lines. */
export function pictureOf(
  dashboard: DashboardSpec,
  dataOf: (panel: PanelSpec) => readonly Series[],
  marks: readonly Mark[],
  stepS: number,
  untilS: number,
): TopLevelSpec {
  const done = marks.map(({ at, what }, i) => ({ at, what, letter: LETTERS[i] ?? '*' }));
  const rows = Object.entries(dashboard.rows).flatMap(([name, panels]): View[] => {
    const stats = panels.filter(({ kind }) => kind === 'stat');
    const graphs = panels.filter(({ kind }) => kind !== 'stat');
    const numbers = stats.map((panel) => statView(panel, dataOf(panel)));
    const lines = graphs.map((panel) => graphView(panel, dataOf(panel), done, stepS, untilS));
    const title = { text: name, anchor: 'start' as const, fontSize: 14 };
    return [
      ...(numbers.length > 0 ? [{ title, concat: numbers, columns: numbers.length }] : []),
      { ...(numbers.length > 0 ? {} : { title }), concat: lines, columns: 2, resolve: OWN_LEGENDS },
    ];
  });
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    title: {
      text: dashboard.title,
      subtitle: done.map(({ letter, at, what }) => `${letter}: ${what} (${at.toFixed(0)}s)`),
      anchor: 'start',
      fontSize: 18,
      subtitleFontSize: 10,
      subtitlePadding: 6,
    },
    vconcat: rows,
    resolve: OWN_LEGENDS,
    config: {
      concat: { spacing: 24 },
      legend: { orient: 'bottom', columns: 4, labelLimit: 200, labelFontSize: 9, symbolSize: 40, title: null },
      axis: { titleFontWeight: 'normal' },
    },
  };
}

/** The last value of each query. */
function statView({ title, unit }: PanelSpec, series: readonly Series[]): View {
  const format = unit === 'percentunit' ? '.2%' : '~g';
  return {
    title: { text: title, fontSize: 11, fontWeight: 'normal' },
    width: 140,
    height: 40,
    data: { values: series.map(({ name, points }, i) => ({ name, i, value: points.at(-1)?.[1] ?? null })) },
    encoding: { x: { field: 'i', type: 'ordinal', axis: null } },
    layer: [
      {
        mark: { type: 'text', fontSize: 20, baseline: 'bottom' },
        encoding: { text: { field: 'value', type: 'quantitative', format } },
      },
      { mark: { type: 'text', fontSize: 10, dy: 8 }, encoding: { text: { field: 'name' } } },
    ],
    view: { stroke: '#ccc' },
  };
}

function graphView(
  { title, unit }: PanelSpec,
  series: readonly Series[],
  done: readonly { at: number; letter: string }[],
  stepS: number,
  untilS: number,
): View {
  const { label, title: unitTitle } = UNITS[unit] ?? UNITS['none']!;
  const x = {
    field: 'at',
    type: 'quantitative' as const,
    scale: { domain: [0, untilS], nice: false },
    axis: { labelExpr: "datum.value + 's'", title: null, grid: false },
  };
  // Where a query gave nothing the line is broken.
  const values = series.flatMap(({ name, points }) => {
    let segment = 0;
    return points.map(([at, value], i) => {
      if (i > 0 && at - points[i - 1]![0] > 1.5 * stepS) segment++;
      return { name, at, value: Number(value.toPrecision(4)), segment };
    });
  });
  return {
    title: { text: title, anchor: 'start', fontSize: 11 },
    width: WIDTH,
    height: 110,
    layer: [
      {
        data: { values: done.map(({ at, letter }) => ({ at, letter })) },
        layer: [
          { mark: { type: 'rule', strokeDash: [3, 3], color: '#999' }, encoding: { x } },
          {
            mark: { type: 'text', color: '#666', fontSize: 9, y: -5 },
            encoding: { x, text: { field: 'letter' } },
          },
        ],
      },
      {
        data: { values },
        mark: { type: 'line', strokeWidth: 1.5, clip: true },
        encoding: {
          x,
          y: {
            field: 'value',
            type: 'quantitative',
            title: unitTitle ?? null,
            scale: { zero: true },
            axis: { labelExpr: label, tickCount: 4 },
          },
          color: { field: 'name', type: 'nominal' },
          detail: { field: 'segment' },
        },
      },
    ],
  };
}
