import type { ResourceOf } from '../../api/manifests.js';
import { wallSeconds } from '../../kube/clock.js';
import type { Cluster } from '../../kube/cluster.js';
import { reasonOf, statusOf } from '../../kube/cluster.js';
import type { KindRef, KubeObject } from '../../kube/objects.js';
import { Objects } from '../../kube/objects.js';
import type { NodeObject } from '../../kube/core-objects.js';
import { Namespaces, Nodes } from '../../kube/core-objects.js';
import { FLAVORS, MODELS, PRIORITY_CLASSES, PROFILES, QUOTAS, SCHEDULES, TENANTS } from '../../kube/kinds.js';
import { deviceOf, unmeasured } from '../../operator/admission/device.js';
import type { NodeInfo } from '../../operator/admission/node.js';
import { requestOf } from '../../operator/admission/request.js';
import { planOf } from '../../operator/admission/schedule.js';
import type { Snapshot } from '../../operator/admission/snapshot.js';
import { nodeInfosOf } from '../../operator/node-infos.js';
import { isReady } from '../../operator/node-states.js';
import type {
  FlavorObject,
  ModelObject,
  ProfileObject,
  QuotaObject,
  ScheduleObject,
  TenantObject,
} from '../../operator/objects.js';
import type { PriorityClass } from '../../operator/ranking.js';
import { Priorities, byRank } from '../../operator/ranking.js';
import type { TeamObjects } from '../../operator/teams.js';
import { quotasFrom } from '../../operator/teams.js';

/** All of the cluster that decisions depend on, at one time; where the user may not read quotas, as if nobody were limited. */
export interface Reading extends TeamObjects {
  readonly tenants: readonly TenantObject[];
  readonly models: readonly ModelObject[];
  readonly schedules: readonly ScheduleObject[];
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
  /** What an older cluster does not know, or the user may not read, is left out. */
  const some = <T>(list: Promise<{ readonly items: readonly T[] }>): Promise<readonly T[]> =>
    list.then(
      ({ items }) => items,
      (error: unknown) => {
        if (statusOf(error) === 403 || statusOf(error) === 404) return [];
        throw error;
      },
    );
  const [tenants, models, profiles, schedules, nodes, priorities, quotas, flavors, namespaces] = await Promise.all([
    all<TenantObject>(TENANTS),
    all<ModelObject>(MODELS),
    all<ProfileObject>(PROFILES),
    all<ScheduleObject>(SCHEDULES),
    new Nodes(cluster).list().catch(told),
    all<PriorityClass>(PRIORITY_CLASSES),
    some(new Objects<QuotaObject>(cluster, QUOTAS).list()),
    some(new Objects<FlavorObject>(cluster, FLAVORS).list()),
    some(new Namespaces(cluster).list()),
  ]);
  return {
    ...{ tenants, models, profiles, schedules, nodes: nodes.items, priorities },
    ...{ quotas, flavors, namespaces },
  };
}

function told(error: unknown): never {
  if (statusOf(error) === 403) throw new MayNotRead(reasonOf(error));
  throw error;
}

/** What the operator makes of PriorityClasses, unless it was told otherwise. */
export const prioritiesOf = ({ priorities }: Pick<Reading, 'priorities'>): Priorities =>
  new Priorities(priorities, false);

/** The operator leaves out what nothing can be made of, so that is done here as well. */
function readable<T>(make: () => T): T[] {
  try {
    return [make()];
  } catch {
    return [];
  }
}

/** A reading as the operator's decisions take it. */
export function snapshotOf(reading: Reading): Snapshot {
  const priorities = prioritiesOf(reading);
  const asking = reading.tenants
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .flatMap((tenant) =>
      readable(() => ({
        tenant,
        request: requestOf(
          tenant as unknown as ResourceOf<'InferenceTenant'>,
          priorities.of(tenant.spec.priorityClassName),
        ),
      })),
    )
    .sort(byRank);
  const requests = asking.map(({ request }) => request);
  const names = new Set(reading.nodes.map(({ metadata }) => metadata.name));
  const devices = reading.profiles
    .filter(({ spec }) => names.has(spec.nodeName))
    .flatMap((profile) => readable(() => deviceOf(profile as unknown as ResourceOf<'GPUProfile'>)));
  const asked = new Map(requests.map((request) => [request.key, request]));
  const promised = reading.schedules.flatMap(({ spec }) =>
    (spec.devices ?? []).flatMap((schedule) => {
      const found = devices.find(({ node, device }) => node === spec.nodeName && device === schedule.device);
      return readable(() => planOf(schedule, found ?? unmeasured(spec.nodeName, schedule.device), asked));
    }),
  );
  return {
    models: new Map(
      reading.models.map((model) => [model.metadata.name, model as unknown as ResourceOf<'InferenceModel'>]),
    ),
    devices,
    nodes: nodeInfosOf(reading.nodes, reading.profiles, stateOf, (node) => {
      const ageS = reportAgeS(reading.schedules.find(({ spec }) => spec.nodeName === node));
      return ageS !== undefined && ageS > SILENT_AFTER_S;
    }),
    requests,
    promised,
    quotas: quotasFrom(reading, devices),
  };
}

const stateOf = (node: NodeObject): NodeInfo['state'] =>
  !isReady(node) ? 'NotReady' : node.spec?.unschedulable === true ? 'Cordoned' : 'Ready';

/** How long ago a node's agent reported, by this machine's clock; undefined when it never did. */
export function reportAgeS(schedule: ScheduleObject | undefined): number | undefined {
  const reportedAt = schedule?.status?.reportedAt;
  return reportedAt === undefined ? undefined : Math.max(0, wallSeconds() - Date.parse(reportedAt) / 1000);
}
