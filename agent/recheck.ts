import type { ResourceOf } from '../api/manifests.js';
import type { Streams } from '../sched/category.js';
import { mergeStreams, shortestDeadlineUs } from '../sched/category.js';
import { CategoryDemand, testDemand } from '../sched/demand.js';
import { memoryFor, profiledMemory, total } from '../sched/memory.js';
import { WcetTable } from '../sched/wcet.js';

export type ScheduleDevice = NonNullable<ResourceOf<'NodeSchedule'>['spec']['devices']>[number];
export type ProfileStatus = NonNullable<ResourceOf<'GPUProfile'>['status']>;

/**
 * The admission test once more, over what was promised and what the device was measured to do: whether each frame of
 * every tenant will meet its deadline (docs/theory.md, Theorem 3), and whether the models fit into its memory.
 *
 * @returns why not; undefined when all is well
 */
export function recheck(schedule: ScheduleDevice, profile: ProfileStatus): string | undefined {
  const bytes = total(memoryFor(profiledMemory(profile), schedule.categories));
  const limitBytes = profile.device?.memoryBytes;
  if (limitBytes !== undefined && bytes > limitBytes)
    return `its models take ${bytes} bytes of the device's memory, of which there are ${limitBytes}`;
  const demands: CategoryDemand[] = [];
  const ingestUs = profile.ingestUs ?? 0;
  for (const category of schedule.categories) {
    const measured = profile.categories?.find(
      ({ model, shape }) => model === category.model && shape.join() === category.shape.join(),
    );
    if (measured === undefined) return `category ${category.name} has not been measured on this device`;
    if (category.class === 'BestEffort') continue;
    const { windowUs = 0, relativeDeadlineUs = 0 } = category;
    const streams: Streams[] = category.tenants.map((tenant) => ({
      count: tenant.streams,
      periodUs: tenant.periodUs,
      jitterUs: tenant.jitterUs + ingestUs,
      deadlineUs: (tenant.deadlineUs ?? 0) - ingestUs,
    }));
    const shortestUs = shortestDeadlineUs(streams);
    if (windowUs + relativeDeadlineUs > shortestUs)
      return `category ${category.name} waits ${windowUs}us and runs within ${relativeDeadlineUs}us, but its shortest deadline leaves ${shortestUs}us`;
    const wcet = new WcetTable(
      measured.batches.map(({ size, wcetUs }) => ({ batch: size, wcetUs })),
      profile.dispatchOverheadUs ?? 0,
    );
    demands.push(new CategoryDemand({ name: category.name, wcet, windowUs, streams: mergeStreams(streams) }));
  }
  const { accepted, rate, critical } = testDemand(demands, schedule.bestEffortUs ?? 0);
  if (accepted) return undefined;
  return critical === undefined || rate >= 1
    ? `utilization would be ${rate.toFixed(2)}`
    : `${critical.late} could finish ${Math.ceil(critical.demandUs - critical.atUs)}us late`;
}
