import type { ResourceOf } from '../../api/manifests.js';
import { shapeText } from '../../api/names.js';
import type { Quota } from './quotas.js';
import type { TenantRequest } from './request.js';
import type { Answer } from './verdict.js';

/** What a check may look at besides the request. */
interface Facts {
  readonly model: ResourceOf<'InferenceModel'> | undefined;
  /** Whether the tenant is served with the model already: it may keep one that is being deleted. */
  readonly served: boolean;
  /** What its team may have and, without the tenant itself, has. */
  readonly team?: Team | undefined;
}

export interface Team {
  readonly quota: Quota;
  readonly tenants: number;
  readonly streams: number;
}

type Check = (request: TenantRequest, facts: Facts) => Answer | undefined;

const theModelExists: Check = ({ model: name }, { model }) =>
  model === undefined
    ? {
        reason: 'ModelNotFound',
        message: `there is no InferenceModel "${name}"; apply it, or correct spec.modelRef.name`,
      }
    : undefined;

const theModelStays: Check = ({ model: name }, { model, served }) =>
  model?.metadata.deletionTimestamp !== undefined && !served
    ? {
        reason: 'ModelNotFound',
        message: `InferenceModel "${name}" is being deleted and takes no new tenants; correct spec.modelRef.name, or apply the model again once it has gone`,
      }
    : undefined;

/** What a model offers that leaves its shapes to the network is known where it was measured. */
const theShapeIsOffered: Check = ({ model: name, shape }, { model }) => {
  if (model !== undefined && model.spec.shapes === undefined) return undefined;
  const wanted = shapeText(shape);
  const offered = model?.spec.shapes?.map(shapeText) ?? [];
  return offered.includes(wanted)
    ? undefined
    : {
        reason: 'ShapeNotOffered',
        message: `InferenceModel "${name}" does not offer ${wanted}; spec.inputShape must be one of ${offered.join(', ')}`,
      };
};

const thePriorityClassExists: Check = ({ unknownClass }) =>
  unknownClass === undefined
    ? undefined
    : {
        reason: 'PriorityClassNotFound',
        message: `there is no PriorityClass "${unknownClass}"; create it, or correct spec.priorityClassName`,
      };

const thePriorityClassIsForTenants: Check = ({ forbiddenClass }) =>
  forbiddenClass === undefined
    ? undefined
    : {
        reason: 'PriorityClassForbidden',
        message: `PriorityClass "${forbiddenClass}" is for what keeps the cluster running; use another one, or start the operator with --system-priorities`,
      };

const theTeamMayUseThePriorityClass: Check = ({ className }, { team }) =>
  className === undefined || team?.quota.priorityClasses?.has(className) !== false
    ? undefined
    : {
        reason: 'PriorityClassForbidden',
        message: `TenantQuota ${team.quota.name} does not let tenants use PriorityClass "${className}"; it allows ${[...team.quota.priorityClasses].join(', ') || 'none'}`,
      };

const over = ({ quota }: Team, more: number, what: string, most: number): Answer => ({
  reason: 'QuotaExceeded',
  message: `TenantQuota ${quota.name} allows ${most} ${what}, and this would make it ${more}; let another one go, or ask for a larger quota`,
});

const theTeamMayHaveOneMore: Check = (_, { team }) =>
  team === undefined || team.tenants + 1 <= team.quota.mostTenants
    ? undefined
    : over(team, team.tenants + 1, 'tenants', team.quota.mostTenants);

/** Of a tenant that takes fewer streams than all, so many as it takes at least. */
const theTeamMayHaveTheStreams: Check = ({ streams, minStreams = streams }, { team }) =>
  theTeamMayHaveAll({ streams: minStreams }, team);

/** The same for all streams that are asked for. */
export const theTeamMayHaveAll = (
  { streams }: Pick<TenantRequest, 'streams'>,
  team: Team | undefined,
): Answer | undefined =>
  team === undefined || team.streams + streams <= team.quota.mostStreams
    ? undefined
    : over(team, team.streams + streams, 'streams', team.quota.mostStreams);

/** What must hold for a tenant to be served at all, whatever was promised. */
export const TO_BE_SERVED: readonly Check[] = [theModelExists, theModelStays, theShapeIsOffered];

/** What must hold besides for a tenant to be promised anything new. */
export const TO_BE_PLACED: readonly Check[] = [
  thePriorityClassExists,
  thePriorityClassIsForTenants,
  theTeamMayUseThePriorityClass,
  theTeamMayHaveOneMore,
  theTeamMayHaveTheStreams,
];

/** The first objection, in order. */
export function objectionOf(checks: readonly Check[], request: TenantRequest, facts: Facts): Answer | undefined {
  for (const check of checks) {
    const answer = check(request, facts);
    if (answer !== undefined) return answer;
  }
  return undefined;
}
