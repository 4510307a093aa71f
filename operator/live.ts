import type { LiveCluster, LiveClusterDevice } from '../api/live.js';
import { VERSION } from '../api/version.js';
import { deviceKey } from './admission/device.js';
import type { DevicePlan } from './admission/plan.js';
import { placedOn } from './admission/plan.js';
import type { Decider } from './decider.js';
import { sharesOf } from './quota-status.js';
import type { ClusterView } from './view.js';

/** How many tenants there are by the reason of their answer. */
export function reasonsOf({ verdicts }: Pick<Decider, 'verdicts'>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { reason } of verdicts.values()) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return counts;
}

/**
 * How the cluster stands.
 *
 * @param decider of this operator, where it leads
 */
export function liveCluster(view: ClusterView, decider: Decider | undefined): LiveCluster {
  const plans = new Map((decider?.records.plans ?? []).map((plan) => [deviceKey(plan.device), plan]));
  return {
    version: VERSION,
    leading: decider !== undefined,
    devices: view.devices().map(({ node, device }) => liveDevice(view, node, device, plans)),
    shares: decider?.standings === undefined ? [] : sharesOf(decider.standings),
    reasons: decider === undefined ? {} : Object.fromEntries(reasonsOf(decider)),
    decisions: decider?.history.list() ?? [],
  };
}

function liveDevice(
  view: ClusterView,
  node: string,
  device: number,
  plans: ReadonlyMap<string, DevicePlan>,
): LiveClusterDevice {
  const plan = plans.get(deviceKey({ node, device }));
  const failure = view.schedules.get(node)?.status?.devices?.find((each) => each.device === device)?.failure;
  const reportAgeS = view.reports.ageS(node);
  return {
    node,
    device,
    state: view.reports.isSilent(node) === true ? 'Silent' : view.stateOf(node),
    ...(failure === undefined ? {} : { failure }),
    promised: plan?.utilization ?? 0,
    tenants: plan === undefined ? 0 : placedOn(plan).length,
    inSpareTime: plan?.spare.length ?? 0,
    models: [...new Set(plan?.categories.map(({ model }) => model))],
    ...(reportAgeS === undefined ? {} : { reportAgeS }),
  };
}
