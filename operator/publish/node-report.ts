import { tenantKey } from '../../api/names.js';
import { scheduledOn } from '../../api/schedule.js';
import type { NodeReport } from '../tenant-status.js';
import type { ClusterView } from '../view.js';

/** What a node's agent last said, as far as one tenant is concerned. */
export function reportOf(view: ClusterView, node: string, key: string): NodeReport {
  const schedule = view.schedules.get(node);
  const serving = (schedule?.spec.devices ?? []).filter((device) =>
    scheduledOn(device).some((each) => tenantKey(each) === key),
  );
  const reported = schedule?.status?.devices ?? [];
  const own = reported.filter(({ device }) => serving.some((each) => each.device === device));
  const failed = own.find(({ failure }) => failure !== undefined);
  const gone =
    reported.length === 0 ? undefined : serving.find(({ device }) => !reported.some((each) => each.device === device));
  // That another device's part of it was refused concerns others.
  const refused = reported.some(({ refusal }) => refusal !== undefined);
  const ownRefusal = own.find(({ refusal }) => refusal !== undefined)?.refusal;
  const applied = schedule?.status?.conditions?.find(({ type }) => type === 'Applied');
  const figures = schedule?.status?.tenants?.find((each) => tenantKey(each) === key);
  return {
    current: serving.length > 0 && schedule?.status?.observedGeneration === schedule?.metadata.generation,
    applied: refused && ownRefusal === undefined && applied !== undefined ? { ...applied, status: 'True' } : applied,
    deviceFailure:
      gone !== undefined
        ? `device ${gone.device} is not there any more`
        : failed === undefined
          ? undefined
          : `device ${failed.device}: ${failed.failure ?? ''}`,
    silent: view.reports.isSilent(node),
    ...view.endpointOf(node),
    misses: figures?.misses ?? 0,
    promisedFrames: figures?.promisedFrames ?? 0,
    spareFrames: figures?.spareFrames ?? 0,
    onTime: figures?.onTime ?? 0,
    degraded: figures?.degraded,
    keptApart: figures?.keptApart === true,
  };
}

/** Whether a node's agent may still answer frames of a tenant that is to go. */
export function stillServes(view: ClusterView, node: string, key: string): boolean {
  const schedule = view.schedules.get(node);
  // An agent that never reported, is silent or gone with its node has nobody to withdraw from.
  if (schedule === undefined || view.nodeLost(node) || view.reports.isSilent(node) !== false) return false;
  const listed = (schedule.spec.devices ?? []).some((device) =>
    scheduledOn(device).some((each) => tenantKey(each) === key),
  );
  return listed || (schedule.status?.observedGeneration ?? 0) < (schedule.metadata.generation ?? 0);
}
