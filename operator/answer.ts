import type { Verdict } from './admission/verdict.js';
import type { TenantObject } from './objects.js';

/** An answer, and which generation of the tenant it answers. */
export interface Answer extends Verdict {
  readonly generation: number;
  /** Whether its promise is beyond its team's nominal share, and whether it was told to give that back. */
  readonly borrowing?: 'Borrowed' | 'Noticed' | undefined;
}

const nothing = ({ metadata }: TenantObject) =>
  ({
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    generation: metadata.generation ?? 0,
    admitted: false,
    utilization: 0,
    placements: [],
  }) as const;

/** To a tenant that was deleted and is kept by somebody else's finalizer. */
export const withdrawn = (tenant: TenantObject): Answer => ({
  ...nothing(tenant),
  reason: 'Withdrawn',
  message: 'it was deleted: nothing is promised, and no frame is served',
});

/** To an object that is older than the rules of today, or newer, and that nobody can read. */
export const unreadable = (tenant: TenantObject, error: string): Answer => ({
  ...nothing(tenant),
  reason: 'DecisionFailed',
  message: `the object cannot be read: ${error}; correct it, or delete it and make it anew`,
});
