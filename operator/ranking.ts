import type { KubeObject } from '../kube/objects.js';
import type { Priority, TenantRequest } from './admission/request.js';
import type { TenantObject } from './objects.js';
import { isAnswered, isTold } from './objects.js';

/** The parts of a PriorityClass that decide. */
export interface PriorityClass extends KubeObject {
  readonly value?: number;
  readonly globalDefault?: boolean;
  readonly preemptionPolicy?: 'Never' | 'PreemptLowerPriority';
}

/** What the cluster's PriorityClasses say of tenants. */
export class Priorities {
  readonly #byName: ReadonlyMap<string, PriorityClass>;
  readonly #ordinary: PriorityClass | undefined;
  readonly #systemPriorities: boolean;

  /** @param systemPriorities whether tenants may have Kubernetes' own classes, which come before all others */
  constructor(classes: readonly PriorityClass[], systemPriorities: boolean) {
    this.#byName = new Map(classes.map((each) => [each.metadata.name, each]));
    this.#ordinary = classes.find(({ globalDefault }) => globalDefault === true);
    this.#systemPriorities = systemPriorities;
  }

  of(className: string | undefined): Priority {
    const found = className === undefined ? this.#ordinary : this.#byName.get(className);
    const forbidden = className?.startsWith('system-') === true && !this.#systemPriorities;
    return {
      priority: forbidden ? 0 : (found?.value ?? 0),
      preempts: !forbidden && found?.preemptionPolicy !== 'Never',
      unknownClass: found === undefined ? className : undefined,
      forbiddenClass: forbidden ? className : undefined,
    };
  }
}

interface Asking {
  readonly tenant: TenantObject;
  readonly request: TenantRequest;
}

/** In the order in which tenants are decided: the most important first, then the oldest. */
export const byRank = (a: Asking, b: Asking): number =>
  b.request.priority - a.request.priority ||
  // Where a record was lost, who was told yes comes before who waits, and before that who asks for nothing new.
  claimOf(b.tenant) - claimOf(a.tenant) ||
  compare(a.tenant.metadata.creationTimestamp ?? '', b.tenant.metadata.creationTimestamp ?? '') ||
  compare(a.request.key, b.request.key);

const claimOf = (tenant: TenantObject): number => (isTold(tenant) ? (isAnswered(tenant) ? 2 : 1) : 0);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
