import { tenantKey } from '../../api/names.js';
import { table } from '../table.js';
import type { Reading } from './reading.js';

/** What nodes did for a tenant, over all that serve it. */
export interface TenantRates {
  readonly tenant: string;
  readonly nodes: readonly string[];
  readonly promised: string;
  /** Frames answered a second of late. */
  readonly framesPerSecond: number;
  /** Since the agents started. */
  readonly promisedFrames: number;
  readonly spareFrames: number;
  readonly misses: number;
  /** Share of all frames that were answered in time; undefined: there were none. */
  readonly onTime: number | undefined;
}

/** Who gets how much, by the agents' reports; the busiest first. */
export function topOf({ schedules, tenants }: Pick<Reading, 'schedules' | 'tenants'>): TenantRates[] {
  const parts = schedules.flatMap(({ spec, status }) =>
    (status?.tenants ?? []).map((each) => ({ node: spec.nodeName, ...each })),
  );
  const promised = new Map(
    tenants.map(({ metadata, status }) => [tenantKey({ namespace: '', ...metadata }), status?.promised ?? '-']),
  );
  return [...Map.groupBy(parts, tenantKey)]
    .map(([tenant, own]) => {
      const sum = (figure: (part: (typeof own)[number]) => number | undefined): number =>
        own.reduce((all, part) => all + (figure(part) ?? 0), 0);
      const promisedFrames = sum((part) => part.promisedFrames);
      const spareFrames = sum((part) => part.spareFrames);
      const frames = promisedFrames + spareFrames;
      return {
        tenant,
        nodes: own.map(({ node }) => node),
        promised: promised.get(tenant) ?? '-',
        framesPerSecond: sum((part) => part.framesPerSecond),
        promisedFrames,
        spareFrames,
        misses: sum((part) => part.misses),
        onTime: frames === 0 ? undefined : sum((part) => part.onTime) / frames,
      };
    })
    .sort((a, b) => b.framesPerSecond - a.framesPerSecond || (a.tenant < b.tenant ? -1 : 1));
}

export const topText = (rates: readonly TenantRates[]): string =>
  rates.length === 0
    ? 'no agent has reported of any tenant'
    : table(
        ['TENANT', 'NODES', 'PROMISED', 'FRAMES/S', 'PROMISED FRAMES', 'SPARE FRAMES', 'ON TIME', 'MISSES'],
        rates.map((each) => [
          each.tenant,
          each.nodes.join(','),
          each.promised,
          each.framesPerSecond.toFixed(1),
          `${each.promisedFrames}`,
          `${each.spareFrames}`,
          each.onTime === undefined ? '' : `${(100 * each.onTime).toFixed(2)}%`,
          `${each.misses}`,
        ]),
      );
