import type { ResourceOf } from '../../api/manifests.js';
import { tenantKey } from '../../api/names.js';
import { decide } from '../../operator/admission/decide.js';
import { requestOf } from '../../operator/admission/request.js';
import type { Snapshot } from '../../operator/admission/snapshot.js';
import type { Verdict } from '../../operator/admission/verdict.js';
import { table } from '../table.js';

/** What is supposed to be otherwise. */
export interface Change {
  /** Tenants as they would be: new ones, and others in place of those of their name. */
  readonly tenants?: readonly ResourceOf<'InferenceTenant'>[];
  readonly models?: ReadonlyMap<string, ResourceOf<'InferenceModel'>>;
  /** Keys of tenants that would leave. */
  readonly without?: readonly string[];
  /** A node that would not be there. */
  readonly drain?: string;
}

export interface Outcome {
  readonly tenant: string;
  /** What is promised now; undefined for one that is new. */
  readonly before: Verdict | undefined;
  /** Undefined for one that leaves. */
  readonly after: Verdict | undefined;
}

/** The operator's own decision on top of what is promised; nothing is written. Only those who change are told of. */
export function whatIf(snapshot: Snapshot, change: Change): Outcome[] {
  const before = verdicts(snapshot);
  const after = verdicts(changed(snapshot, change));
  const keys = new Set([...before.keys(), ...after.keys()]);
  const named = new Set((change.tenants ?? []).map(({ metadata }) => tenantKey(metadata)));
  return [...keys]
    .map((tenant) => ({ tenant, before: before.get(tenant), after: after.get(tenant) }))
    .filter(({ tenant, ...outcome }) => named.has(tenant) || placesOf(outcome.before) !== placesOf(outcome.after));
}

export const verdicts = (snapshot: Snapshot): Map<string, Verdict> =>
  new Map(decide(snapshot).verdicts.map((verdict) => [tenantKey(verdict), verdict]));

function changed(snapshot: Snapshot, { tenants = [], models = new Map(), without = [], drain }: Change): Snapshot {
  const asked = new Map(tenants.map((tenant) => [tenantKey(tenant.metadata), tenant]));
  const gone = new Set(without);
  // One that is there already keeps its rank; new ones come last.
  const kept = snapshot.requests
    .filter(({ key }) => !gone.has(key))
    .map((request) => {
      const other = asked.get(request.key);
      asked.delete(request.key);
      return other === undefined ? request : requestOf(other, request);
    });
  const stays = ({ node }: { readonly node: string }): boolean => node !== drain;
  return {
    ...snapshot,
    models: new Map([...snapshot.models, ...models]),
    devices: snapshot.devices.filter(stays),
    requests: [...kept, ...[...asked.values()].map((tenant) => requestOf(tenant))],
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
