import type { ResourceOf } from '../../api/manifests.js';
import { shapeText } from '../../api/names.js';
import type { TenantRequest } from './request.js';
import type { Answer } from './verdict.js';

/** What a check may look at besides the request. */
interface Facts {
  readonly model: ResourceOf<'InferenceModel'> | undefined;
  /** Whether the tenant is served with the model already: it may keep one that is being deleted. */
  readonly served: boolean;
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

/** What must hold for a tenant to be served at all, whatever was promised. */
export const TO_BE_SERVED: readonly Check[] = [theModelExists, theModelStays, theShapeIsOffered];

/** What must hold besides for a tenant to be promised anything new. */
export const TO_BE_PLACED: readonly Check[] = [thePriorityClassExists, thePriorityClassIsForTenants];

/** The first objection, in order. */
export function objectionOf(checks: readonly Check[], request: TenantRequest, facts: Facts): Answer | undefined {
  for (const check of checks) {
    const answer = check(request, facts);
    if (answer !== undefined) return answer;
  }
  return undefined;
}
