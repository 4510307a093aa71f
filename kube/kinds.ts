import type { KindRef } from './objects.js';

const ours = (kind: string, plural: string): KindRef => ({ group: 'deeprt.dev', version: 'v1alpha1', plural, kind });

export const TENANTS = ours('InferenceTenant', 'inferencetenants');
export const MODELS = ours('InferenceModel', 'inferencemodels');
export const PROFILES = ours('GPUProfile', 'gpuprofiles');
export const SCHEDULES = ours('NodeSchedule', 'nodeschedules');
export const QUOTAS = ours('TenantQuota', 'tenantquotas');
export const FLAVORS = ours('DeviceFlavor', 'deviceflavors');
export const SHARES = ours('TenantShare', 'tenantshares');
export const ENDPOINT_SLICES: KindRef = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
};
export const NETWORK_POLICIES: KindRef = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
};
export const PRIORITY_CLASSES: KindRef = {
  group: 'scheduling.k8s.io',
  version: 'v1',
  plural: 'priorityclasses',
  kind: 'PriorityClass',
};
export const TOKEN_REVIEWS: KindRef = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
};
export const ACCESS_REVIEWS: KindRef = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
};
