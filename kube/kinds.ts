import type { KindRef } from './objects.js';

const ours = (kind: string, plural: string): KindRef => ({ group: 'deeprt.dev', version: 'v1alpha1', plural, kind });
/** Of Kubernetes itself. */
const theirs = (group: string, kind: string, plural: string): KindRef => ({ group, version: 'v1', plural, kind });

export const TENANTS = ours('InferenceTenant', 'inferencetenants');
export const MODELS = ours('InferenceModel', 'inferencemodels');
export const PROFILES = ours('GPUProfile', 'gpuprofiles');
export const SCHEDULES = ours('NodeSchedule', 'nodeschedules');
export const QUOTAS = ours('TenantQuota', 'tenantquotas');
export const FLAVORS = ours('DeviceFlavor', 'deviceflavors');
export const SHARES = ours('TenantShare', 'tenantshares');
export const ENDPOINT_SLICES = theirs('discovery.k8s.io', 'EndpointSlice', 'endpointslices');
export const NETWORK_POLICIES = theirs('networking.k8s.io', 'NetworkPolicy', 'networkpolicies');
export const PRIORITY_CLASSES = theirs('scheduling.k8s.io', 'PriorityClass', 'priorityclasses');
export const TOKEN_REVIEWS = theirs('authentication.k8s.io', 'TokenReview', 'tokenreviews');
export const ACCESS_REVIEWS = theirs('authorization.k8s.io', 'SubjectAccessReview', 'subjectaccessreviews');
