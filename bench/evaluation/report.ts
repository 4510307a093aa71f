import { markdown } from '../markdown.js';
import { draw } from '../plot.js';
import { RULES } from './rules.js';
import type { Cell } from './study.js';
import type { WorkloadFile } from './workload.js';

const percent = (share: number): string => `${(100 * share).toFixed(share > 0 && share < 0.01 ? 2 : 1)}`;

/** A table for each workload. */
export const tablesOf = (files: readonly WorkloadFile[], cells: readonly Cell[]): string =>
  files
    .map((file) =>
      tableOf(
        file,
        cells.filter(({ workload }) => workload === file.name),
      ),
    )
    .join('\n\n');

/** The cells of one workload. */
function tableOf({ title }: WorkloadFile, cells: readonly Cell[]): string {
  const head = [
    'load',
    'rule',
    'in time/s (least–most)',
    'missed %',
    'worst camera %',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'busy %',
    'promised %',
    'of it missed %',
  ];
  const rows = cells.map((cell) => [
    cell.load,
    cell.rule,
    `${cell.goodput.toFixed(0)} (${cell.goodputSpread.map((each) => each.toFixed(0)).join('–')})`,
    percent(cell.missed),
    percent(cell.worstCamera),
    cell.p50Ms.toFixed(1),
    cell.p99Ms.toFixed(1),
    cell.p999Ms.toFixed(1),
    percent(cell.busy),
    cell.promisedShare === 0 ? '' : percent(cell.promisedShare),
    cell.promisedShare === 0 ? '' : percent(cell.promisedMissed),
  ]);
  return `### ${title[0]!.toUpperCase()}${title.slice(1)}\n\n${markdown(head, rows)}`;
}

/** One figure of all rules by what is offered, a panel a workload. */
export async function plot(
  path: string,
  what: 'goodput' | 'missed',
  text: string,
  subtitle: string,
  cells: readonly Cell[],
): Promise<void> {
  const values = cells.map((cell) => ({
    ...cell,
    goodput: cell.goodput / cell.offered,
    missed: Math.max(1e-4, cell.missed),
  }));
  await draw(path, {
    title: { text, subtitle },
    data: { values },
    facet: { field: 'workload', type: 'nominal', title: null },
    columns: 4,
    spec: {
      width: 200,
      height: 160,
      mark: { type: 'line', point: { size: 12 } },
      encoding: {
        x: { field: 'load', type: 'quantitative', title: 'offered load (in batches of eight)' },
        y: {
          field: what,
          type: 'quantitative',
          title: what === 'goodput' ? 'part of all frames in time' : 'missed',
          ...(what === 'missed' ? { scale: { type: 'log' } } : { scale: { domain: [0, 1] } }),
        },
        color: { field: 'rule', type: 'nominal', sort: RULES.map(({ name }) => name), scale: { scheme: 'tableau20' } },
      },
    },
  });
}
