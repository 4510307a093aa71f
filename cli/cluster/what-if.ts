import type { ResourceOf } from '../../api/manifests.js';
import { tenantKey } from '../../api/names.js';
import { decide } from '../../operator/admission/decide.js';
import { requestOf } from '../../operator/admission/request.js';
import type { Snapshot } from '../../operator/admission/snapshot.js';
import type { Verdict } from '../../operator/admission/verdict.js';
import type { KubeObject } from '../../kube/objects.js';
import { table } from '../table.js';
import type { Reading } from './reading.js';
import { prioritiesOf, snapshotOf } from './reading.js';

/** What is supposed to be otherwise. */
export interface Change {
  /** Tenants as they would be: new ones, and others in place of those of their name; so with models and what teams may have. */
  readonly tenants?: readonly ResourceOf<'InferenceTenant'>[];
  readonly models?: ReadonlyMap<string, ResourceOf<'InferenceModel'>>;
  readonly quotas?: readonly ResourceOf<'TenantQuota'>[];
  readonly flavors?: readonly ResourceOf<'DeviceFlavor'>[];
  /** Keys of tenants that would leave. */
  readonly without?: readonly string[] | undefined;
  /** A node that would not be there. */
  readonly drain?: string | undefined;
}

export interface Outcome {
  readonly tenant: string;
  /** What is promised now; undefined for one that is new. */
  readonly before: Verdict | undefined;
  /** Undefined for one that leaves. */
  readonly after: Verdict | undefined;
}

/** The operator's own decision on top of what is promised; nothing is written. Only those who change are told of. */
export function whatIf(reading: Reading, change: Change): Outcome[] {
  const before = verdicts(snapshotOf(reading));
  const after = verdicts(changed(reading, change));
  const keys = new Set([...before.keys(), ...after.keys()]);
  const named = new Set((change.tenants ?? []).map(({ metadata }) => tenantKey(metadata)));
  return [...keys]
    .map((tenant) => ({ tenant, before: before.get(tenant), after: after.get(tenant) }))
    .filter(({ tenant, ...outcome }) => named.has(tenant) || placesOf(outcome.before) !== placesOf(outcome.after));
}

/** Objects of a cluster, and others in place of those of their name. */
function replaced<T extends KubeObject>(there: readonly T[], others: readonly T[]): T[] {
  const names = new Set(others.map(({ metadata }) => metadata.name));
  return [...there.filter(({ metadata }) => !names.has(metadata.name)), ...others];
}

export const verdicts = (snapshot: Snapshot): Map<string, Verdict> =>
  new Map(decide(snapshot).verdicts.map((verdict) => [tenantKey(verdict), verdict]));

function changed(reading: Reading, change: Change): Snapshot {
  const { tenants = [], models = new Map(), quotas = [], flavors = [], without = [], drain } = change;
  const snapshot = snapshotOf({
    ...reading,
    quotas: replaced(reading.quotas, quotas),
    flavors: replaced(reading.flavors, flavors),
  });
  const priorities = prioritiesOf(reading);
  const asked = new Map(tenants.map((tenant) => [tenantKey(tenant.metadata), tenant]));
  const gone = new Set(without);
  // One that is there already keeps its rank; new ones come last.
  const kept = snapshot.requests
    .filter(({ key }) => !gone.has(key))
    .map((request) => {
      const other = asked.get(request.key);
      asked.delete(request.key);
      return other === undefined ? request : requestOf(other, priorities.of(other.spec.priorityClassName));
    });
  const stays = ({ node }: { readonly node: string }): boolean => node !== drain;
  return {
    ...snapshot,
    models: new Map([...snapshot.models, ...models]),
    devices: snapshot.devices.filter(stays),
    requests: [
      ...kept,
      ...[...asked.values()].map((tenant) => requestOf(tenant, priorities.of(tenant.spec.priorityClassName))),
    ].sort((a, b) => b.priority - a.priority),
  };
}

/** Where a tenant is promised, for comparison. */
const placesOf = (verdict: Verdict | undefined): string =>
  verdict === undefined
    ? ''
    : [
        verdict.admitted,
        ...verdict.placements.map(({ node, device, streams, promised }) => [node, device, streams, promised]),
      ].join();

const told = (verdict: Verdict | undefined): string => {
  if (verdict === undefined) return '-';
  const places = verdict.placements.map(
    ({ node, device, streams, promised }) => `${streams} on ${node}/${device}${promised ? '' : ' (spare)'}`,
  );
  return `${verdict.admitted ? 'admitted' : verdict.reason}${places.length === 0 ? '' : `: ${places.join(', ')}`}`;
};

export function outcomesText(outcomes: readonly Outcome[]): string {
  if (outcomes.length === 0) return 'nothing would change';
  const rows = outcomes.map(({ tenant, before, after }) => [
    tenant,
    told(before),
    told(after),
    after?.admitted === false ? after.message : '',
  ]);
  return table(['TENANT', 'NOW', 'THEN', 'WHY'], rows);
}
