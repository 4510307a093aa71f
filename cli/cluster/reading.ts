import type { ResourceOf } from '../../api/manifests.js';
import { wallSeconds } from '../../kube/clock.js';
import type { Cluster } from '../../kube/cluster.js';
import { reasonOf, statusOf } from '../../kube/cluster.js';
import type { KindRef, KubeObject, NodeObject } from '../../kube/objects.js';
import { Nodes, Objects } from '../../kube/objects.js';
import { MODELS, PRIORITY_CLASSES, PROFILES, SCHEDULES, TENANTS } from '../../kube/kinds.js';
import { deviceOf, unmeasured } from '../../operator/admission/device.js';
import type { NodeInfo } from '../../operator/admission/node.js';
import { requestOf } from '../../operator/admission/request.js';
import { planOf } from '../../operator/admission/schedule.js';
import type { Snapshot } from '../../operator/admission/snapshot.js';
import { isTrusted } from '../../operator/node-states.js';
import type { ModelObject, ProfileObject, ScheduleObject, TenantObject } from '../../operator/objects.js';
import { implausible } from '../../operator/plausible.js';
import type { PriorityClass } from '../../operator/ranking.js';
import { Priorities, byRank } from '../../operator/ranking.js';

/** All of the cluster that decisions depend on, at one time. */
export interface Reading {
  readonly tenants: readonly TenantObject[];
  readonly models: readonly ModelObject[];
  readonly profiles: readonly ProfileObject[];
  readonly schedules: readonly ScheduleObject[];
  readonly nodes: readonly NodeObject[];
  readonly priorities: readonly PriorityClass[];
}

/** The user may not read something that the question needs. */
export class MayNotRead extends Error {}

/** How old an agent's report may be before it counts as silent; the operator's own default. */
export const SILENT_AFTER_S = 90;

/** @throws MayNotRead */
export async function readCluster(cluster: Cluster): Promise<Reading> {
  const all = async <T extends KubeObject>(kind: KindRef): Promise<T[]> =>
    (await new Objects<T>(cluster, kind).list().catch(told)).items;
  const [tenants, models, profiles, schedules, nodes, priorities] = await Promise.all([
    all<TenantObject>(TENANTS),
    all<ModelObject>(MODELS),
    all<ProfileObject>(PROFILES),
    all<ScheduleObject>(SCHEDULES),
    new Nodes(cluster).list().catch(told),
    all<PriorityClass>(PRIORITY_CLASSES),
  ]);
  return { tenants, models, profiles, schedules, nodes: nodes.items, priorities };
}

function told(error: unknown): never {
  if (statusOf(error) === 403) throw new MayNotRead(reasonOf(error));
  throw error;
}

/** A reading as the operator's decisions take it. */
export function snapshotOf(reading: Reading): Snapshot {
  const priorities = new Priorities(reading.priorities, true);
  const asking = reading.tenants
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((tenant) => ({
      tenant,
      request: requestOf(
        tenant as unknown as ResourceOf<'InferenceTenant'>,
        priorities.of(tenant.spec.priorityClassName),
      ),
    }))
    .sort(byRank);
  const requests = asking.map(({ request }) => request);
  const names = new Set(reading.nodes.map(({ metadata }) => metadata.name));
  const devices = reading.profiles
    .filter(({ spec }) => names.has(spec.nodeName))
    .map((profile) => deviceOf(profile as unknown as ResourceOf<'GPUProfile'>));
  const asked = new Map(requests.map((request) => [request.key, request]));
  const promised = reading.schedules.flatMap(({ spec }) =>
    (spec.devices ?? []).map((schedule) => {
      const found = devices.find(({ node, device }) => node === spec.nodeName && device === schedule.device);
      return planOf(schedule, found ?? unmeasured(spec.nodeName, schedule.device), asked);
    }),
  );
  return {
    models: new Map(
      reading.models.map((model) => [model.metadata.name, model as unknown as ResourceOf<'InferenceModel'>]),
    ),
    devices,
    nodes: nodesOf(reading),
    requests,
    promised,
  };
}

function nodesOf({ nodes, profiles, schedules }: Reading): Map<string, NodeInfo> {
  const odd = implausible(profiles);
  return new Map(
    nodes.map((node) => {
      const { name, labels = {} } = node.metadata;
      const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
      const ageS = reportAgeS(schedules.find(({ spec }) => spec.nodeName === name));
      return [
        name,
        {
          name,
          labels,
          taints: node.spec?.taints ?? [],
          state: !ready ? 'NotReady' : node.spec?.unschedulable === true ? 'Cordoned' : 'Ready',
          silent: ageS !== undefined && ageS > SILENT_AFTER_S,
          ...(isTrusted(node) ? {} : { implausible: odd.get(name) }),
        },
      ];
    }),
  );
}

/** How long ago a node's agent reported, by this machine's clock; undefined when it never did. */
export function reportAgeS(schedule: ScheduleObject | undefined): number | undefined {
  const reportedAt = schedule?.status?.reportedAt;
  return reportedAt === undefined ? undefined : Math.max(0, wallSeconds() - Date.parse(reportedAt) / 1000);
}
