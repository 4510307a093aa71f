import type { ResourceOf } from '../../api/manifests.js';
import { sameShape, tenantKey } from '../../api/names.js';
import type { ScheduleCategory, ScheduleDevice } from '../../api/schedule.js';
import type { Streams } from '../../sched/category.js';
import { DueCurve } from '../../sched/curve.js';
import { memoryFor, profiledMemory, total } from '../../sched/memory.js';
import { promisedPoints } from '../../sched/promise.js';
import type { Demand, Visit } from '../../sched/rounds.js';
import { chooseRounds, grown, leastQuota, utilizationOf } from '../../sched/rounds.js';
import { heldUp } from '../../sched/stages.js';
import { gapsUs } from '../../sched/table.js';
import { WcetTable } from '../../sched/wcet.js';

export type ProfileStatus = NonNullable<ResourceOf<'GPUProfile'>['status']>;

/** How a device is to serve what it was promised to, by its own newest measurement. */
export interface Checked {
  /** By category. */
  readonly visits: ReadonlyMap<string, Visit>;
  /** The long-run share of the device that all promised frames take. */
  readonly utilization: number;
  /** Why not every promise would be kept; undefined when all is well. */
  readonly refusal?: string;
}

/**
 * What was promised of a category, by `<namespace>/<name>`, as the device sees it: what receiving and decoding may delay
 * takes its part of the deadline.
 */
export function promisedOf(
  category: ScheduleCategory,
  { receiveUs = 0 }: Pick<ScheduleDevice, 'receiveUs'>,
  { stages }: ProfileStatus,
): Map<string, Streams> {
  const tenants = category.class === 'RealTime' ? category.tenants : [];
  return new Map(
    tenants.map(({ namespace, name, streams, periodUs, jitterUs, deadlineUs = 0, decodeUs = 0 }) => {
      const { beforeUs, inAllUs } = heldUp(receiveUs, decodeUs, stages?.channelUs ?? 0);
      const left = { delayUs: beforeUs, deadlineUs: Math.max(1, deadlineUs - inAllUs) };
      return [tenantKey({ namespace, name }), { count: streams, periodUs, jitterUs, ...left }];
    }),
  );
}

/**
 * The admission test once more, over what was promised and what the device was measured to do: whether each promised
 * frame will meet its deadline (docs/theory.md, Theorem 1), and whether the models fit into its memory. A schedule of
 * version 0.2 or before tells no visits: they are chosen here.
 */
export function recheck(schedule: ScheduleDevice, profile: ProfileStatus): Checked {
  const bytes = total(memoryFor(profiledMemory(profile), schedule.categories));
  const limitBytes = profile.device?.memoryBytes;
  const overMemory =
    limitBytes !== undefined && bytes > limitBytes
      ? `its models take ${bytes} bytes of the device's memory, of which there are ${limitBytes}`
      : undefined;
  const served = schedule.categories.filter((category) => category.class === 'RealTime' && category.tenants.length > 0);
  const demands: Demand[] = [];
  for (const category of served) {
    const measured = profile.categories?.find(
      ({ model, shape }) => model === category.model && sameShape(shape, category.shape),
    );
    if (measured === undefined)
      return {
        visits: new Map(),
        utilization: 0,
        refusal: `category ${category.name} has not been measured on this device`,
      };
    demands.push({
      name: category.name,
      wcet: new WcetTable(promisedPoints(measured.batches, profile.promise), profile.dispatchOverheadUs ?? 0),
      curve: new DueCurve([...promisedOf(category, schedule, profile).values()]),
    });
  }
  const { visits, refusal } = served.every(({ quota }) => quota !== undefined)
    ? programmed(served, demands)
    : chosen(demands);
  const why = overMemory ?? refusal;
  return {
    visits: new Map(served.map(({ name }, i) => [name, visits[i]!])),
    utilization: demands.reduce((sum, demand, i) => sum + utilizationOf(demand, visits[i]!.quota), 0),
    ...(why === undefined ? {} : { refusal: why }),
  };
}

function programmed(
  served: readonly ScheduleCategory[],
  demands: readonly Demand[],
): { visits: Visit[]; refusal?: string } {
  const turns = served.map(({ stride = 1, offset = 0, quota = 1 }) => ({ stride, offset, quota }));
  const gaps = gapsUs(
    turns,
    demands.map(({ wcet }, i) => wcet.at(turns[i]!.quota)),
  );
  const visits = turns.map((turn, i) => ({ ...turn, gapUs: gaps[i]! }));
  const short = demands.findIndex((demand, i) => leastQuota(demand, gaps[i]!, turns[i]!.quota) !== turns[i]!.quota);
  if (short === -1) return { visits };
  const { name } = demands[short]!;
  const refusal = `${name} would be visited every ${milliseconds(gaps[short]!)} for up to ${turns[short]!.quota} frames, which does not keep all of its deadlines`;
  return { visits, refusal };
}

function chosen(demands: readonly Demand[]): { visits: readonly Visit[]; refusal?: string } {
  const choice = chooseRounds(demands);
  if ('visits' in choice) return { visits: grown(demands, choice.visits) };
  const { category, gapUs } = choice.misfit;
  const visits = demands.map(({ wcet }) => ({ stride: 1, offset: 0, quota: wcet.largestBatch, gapUs }));
  return {
    visits,
    refusal: `${category} would be visited every ${milliseconds(gapUs)}, which does not keep all of its deadlines`,
  };
}

const milliseconds = (us: number): string => `${(us / 1000).toFixed(1)}ms`;
