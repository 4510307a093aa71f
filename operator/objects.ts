import type { Resource, ResourceOf } from '../api/manifests.js';
import type { KubeObject, Meta } from '../kube/objects.js';

/** The project's kinds as the local copies have them. */
type Kept<K extends Resource['kind']> = Omit<ResourceOf<K>, 'metadata' | 'apiVersion' | 'kind'> &
  KubeObject & { readonly metadata: Meta };

export type TenantObject = Kept<'InferenceTenant'>;
export type ModelObject = Kept<'InferenceModel'>;
export type ProfileObject = Kept<'GPUProfile'>;
export type ScheduleObject = Kept<'NodeSchedule'>;
export type QuotaObject = Kept<'TenantQuota'>;
export type FlavorObject = Kept<'DeviceFlavor'>;
export type ShareObject = Kept<'TenantShare'>;

/** Whether a tenant was told that it is promised something. */
export const isTold = ({ status }: TenantObject): boolean => status?.promised !== undefined;

/** Whether what it asks for now was promised. */
export const isAnswered = ({ metadata, status }: TenantObject): boolean =>
  status?.observedGeneration === metadata.generation &&
  status?.conditions?.some(({ type, status: value }) => type === 'Admitted' && value === 'True') === true;
