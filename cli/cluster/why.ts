import type { ResourceOf } from '../../api/manifests.js';
import { requestOf } from '../../operator/admission/request.js';
import type { Snapshot } from '../../operator/admission/snapshot.js';
import type { TenantObject } from '../../operator/objects.js';
import { explainReason } from './explain.js';
import { verdicts } from './what-if.js';
import { table } from '../table.js';

/** Of the tenants that might make room, at most so many are tried. */
const MOST_TRIED = 200;

type Status = NonNullable<TenantObject['status']>;

/** Why a tenant is where it is, or is nowhere. */
export interface Why {
  readonly tenant: string;
  /** Whether what it asks for now is promised; undefined: nobody has decided yet. */
  readonly admitted: boolean | undefined;
  /** What is promised: after a refused change, what was before. */
  readonly promised: string | undefined;
  readonly conditions: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
    readonly message: string;
  }[];
  readonly placements: NonNullable<Status['placements']>;
  /** What each node says against it. */
  readonly refusals: NonNullable<Status['refusals']>;
  /** What the reason means, and what helps. */
  readonly remedy: string | undefined;
  /** Changes of the tenant, each of which would be admitted. */
  readonly patches: readonly string[];
  /** Tenants each of whose leaving would make room; undefined where that could not be looked into. */
  readonly madeRoomBy: readonly string[] | undefined;
}

/** @param snapshot all of the cluster, where the user may see it */
export function whyOf(tenant: TenantObject, snapshot: Snapshot | undefined): Why {
  const { name, namespace = '', generation, deletionTimestamp } = tenant.metadata;
  const { status = {} } = tenant;
  const key = `${namespace}/${name}`;
  const conditions = (status.conditions ?? []).map(({ type, status: value, reason, message }) => ({
    type,
    status: value,
    reason,
    message,
  }));
  const decided = status.observedGeneration === generation || deletionTimestamp !== undefined;
  const condition = conditions.find(({ type }) => type === 'Admitted');
  const admitted = decided && condition !== undefined ? condition.status === 'True' : undefined;
  return {
    tenant: key,
    admitted,
    promised: status.promised,
    conditions,
    placements: status.placements ?? [],
    refusals: status.refusals ?? [],
    remedy: admitted === false ? explainReason(condition!.reason) : undefined,
    patches:
      admitted === false
        ? offersOf(tenant)
            .filter((offer) => snapshot === undefined || wouldBeAdmitted(snapshot, key, tenant, offer))
            .map((spec) => `kubectl patch itn ${name} -n ${namespace} --type merge -p '${JSON.stringify({ spec })}'`)
        : [],
    madeRoomBy: admitted === false && snapshot !== undefined ? roomMakers(snapshot, key) : undefined,
  };
}

/** `status.offer` as changes of the spec; null: the field is to go. */
function offersOf({ spec: asked, status }: TenantObject): object[] {
  const { framesPerSecond, deadline, streams, minStreams, frames } = status?.offer ?? {};
  const size = /^(\d+)x(\d+)$/.exec(frames ?? '');
  const encoding = asked.frames?.encoding ?? 'JPEG';
  return [
    ...(framesPerSecond === undefined ? [] : [{ framesPerSecond, period: null }]),
    ...(deadline === undefined ? [] : [{ deadline }]),
    ...(streams === undefined ? [] : [{ streams, ...(minStreams === undefined ? {} : { minStreams }) }]),
    ...(frames === 'Tensor' ? [{ frames: { encoding: 'Tensor', width: null, height: null } }] : []),
    ...(size === null ? [] : [{ frames: { encoding, width: Number(size[1]), height: Number(size[2]) } }]),
  ];
}

/** Others may have taken since what was offered when the tenant was decided on. */
function wouldBeAdmitted(snapshot: Snapshot, key: string, tenant: TenantObject, offer: object): boolean {
  const changed = { ...tenant, spec: merged(tenant.spec, offer) } as unknown as ResourceOf<'InferenceTenant'>;
  const requests = snapshot.requests.map((request) => (request.key === key ? requestOf(changed, request) : request));
  return verdicts({ ...snapshot, requests }).get(key)?.admitted === true;
}

/** A JSON merge patch (RFC 7396) applied. */
function merged(target: object, patch: object): object {
  const result: Record<string, unknown> = { ...target };
  for (const [key, value] of Object.entries(patch) as [string, unknown][])
    if (value === null) delete result[key];
    else result[key] = typeof value === 'object' ? merged(result[key] ?? {}, value) : value;
  return result;
}

function roomMakers(snapshot: Snapshot, key: string): string[] {
  const placed = new Set(
    (snapshot.promised ?? []).flatMap(({ categories }) => categories.flatMap((each) => each.placed)),
  );
  const others = [...new Set([...placed].map(({ request }) => request.key))].filter((other) => other !== key);
  return others.slice(0, MOST_TRIED).filter((other) => {
    const requests = snapshot.requests.filter((request) => request.key !== other);
    return verdicts({ ...snapshot, requests }).get(key)?.admitted === true;
  });
}

export function whyText(why: Why): string {
  const verdict =
    why.admitted === undefined
      ? 'is not decided on yet'
      : why.admitted
        ? why.promised === undefined
          ? 'is served best effort, without a promise'
          : `is promised ${why.promised}`
        : `is not promised what it asks for${why.promised === undefined ? '' : `; ${why.promised} as before goes on`}`;
  const parts = [
    `${why.tenant} ${verdict}`,
    table(
      ['CONDITION', 'STATUS', 'REASON', 'MESSAGE'],
      why.conditions.map(({ type, status, reason, message }) => [type, status, reason, message]),
    ),
  ];
  if (why.placements.length > 0)
    parts.push(
      table(
        ['NODE', 'DEVICE', 'STREAMS', 'PROMISED', 'VISITED', 'COVERS', 'READY', 'ENDPOINT'],
        why.placements.map(({ node, device, streams, promised, gapUs, covers, ready, endpoint }) => [
          node,
          `${device}`,
          `${streams}`,
          promised === false ? 'no' : 'yes',
          gapUs === undefined ? '' : `every ${(gapUs / 1000).toFixed(1)}ms`,
          covers ?? '',
          ready === true ? 'yes' : 'no',
          endpoint ?? '',
        ]),
      ),
    );
  if (why.refusals.length > 0)
    parts.push(
      table(
        ['NODE', 'REASON', 'WHY'],
        why.refusals.map(({ node, reason, message }) => [node, reason, message]),
      ),
    );
  if (why.remedy !== undefined) parts.push(why.remedy);
  if (why.patches.length > 0)
    parts.push(`Each of these would be admitted:\n${why.patches.map((each) => `  ${each}`).join('\n')}`);
  if (why.madeRoomBy !== undefined && why.madeRoomBy.length > 0)
    parts.push(`It would be admitted if one of these left: ${why.madeRoomBy.join(', ')}`);
  return parts.join('\n\n');
}
