import type { KubeObject } from '../kube/objects.js';
import type { NodeObject } from '../kube/core-objects.js';
import type { Device } from './admission/device.js';
import { deviceKey } from './admission/device.js';
import type { Quota } from './admission/quotas.js';
import { Quotas } from './admission/quotas.js';
import type { FlavorObject, ProfileObject, QuotaObject } from './objects.js';

/** All that says which team a namespace is of, and what it may have. */
export interface TeamObjects {
  readonly quotas: readonly QuotaObject[];
  readonly flavors: readonly FlavorObject[];
  readonly namespaces: readonly KubeObject[];
  readonly nodes: readonly NodeObject[];
  readonly profiles: readonly ProfileObject[];
}

const byName = (a: KubeObject, b: KubeObject): number => (a.metadata.name < b.metadata.name ? -1 : 1);

/** Undefined: there is no quota, and nobody is limited. */
export function quotasFrom(objects: TeamObjects, devices: readonly Device[]): Quotas | undefined {
  if (objects.quotas.length === 0) return undefined;
  const quotas = [...objects.quotas].sort(byName);
  const ofNamespace = new Map<string, string>();
  for (const { metadata } of objects.namespaces) {
    const found = quotas.find(({ spec }) => isSelected(spec.namespaceSelector, metadata.labels ?? {}));
    if (found !== undefined) ofNamespace.set(metadata.name, found.metadata.name);
  }
  return new Quotas(quotas.map(quotaOf), ofNamespace, flavorsOf(objects), devices);
}

const quotaOf = ({ metadata, spec }: QuotaObject): Quota => ({
  name: metadata.name,
  cohort: spec.cohort,
  weight: spec.weight ?? 1,
  shares: new Map(
    spec.flavors.map(({ name, nominalQuota, borrowingLimit, lendingLimit }) => [
      name,
      {
        nominal: nominalQuota,
        borrowingLimit: borrowingLimit ?? (spec.cohort === undefined ? 0 : Infinity),
        lendingLimit: lendingLimit ?? nominalQuota,
      },
    ]),
  ),
  priorityClasses: spec.priorityClassNames === undefined ? undefined : new Set(spec.priorityClassNames),
  mostTenants: spec.maxTenants ?? Infinity,
  mostStreams: spec.maxStreams ?? Infinity,
});

/** Label selectors as Kubernetes has them: all that is given must hold. */
function isSelected(
  { matchLabels = {}, matchExpressions = [] }: QuotaObject['spec']['namespaceSelector'],
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
      }
    })
  );
}

/** The flavor of each measured device, by its `deviceKey`: of those that match the one that asks for most, then the first by name. */
export function flavorsOf({
  flavors,
  nodes,
  profiles,
}: Omit<TeamObjects, 'quotas' | 'namespaces'>): Map<string, string> {
  const labelsOf = new Map(nodes.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]));
  const narrowest = [...flavors].sort((a, b) => conditions(b) - conditions(a) || byName(a, b));
  const found = new Map<string, string>();
  for (const { spec, status } of profiles) {
    const labels = labelsOf.get(spec.nodeName);
    const flavor = narrowest.find((each) => isOf(each, status?.device, labels ?? {}));
    if (labels !== undefined && status?.device !== undefined && flavor !== undefined)
      found.set(deviceKey({ node: spec.nodeName, device: spec.device }), flavor.metadata.name);
  }
  return found;
}

const conditions = ({ spec: { deviceNames, executionProviders, nodeSelector = {} } }: FlavorObject): number =>
  (deviceNames === undefined ? 0 : 1) + (executionProviders === undefined ? 0 : 1) + Object.keys(nodeSelector).length;

type ProfiledDevice = NonNullable<ProfileObject['status']>['device'];

function isOf(
  { spec: { deviceNames, executionProviders, nodeSelector = {} } }: FlavorObject,
  device: ProfiledDevice,
  labels: Readonly<Record<string, string>>,
): boolean {
  const { name = '', executionProvider = '' } = device ?? {};
  const isNamed = (pattern: string): boolean =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  return (
    deviceNames?.some(isNamed) !== false &&
    executionProviders?.includes(executionProvider) !== false &&
    Object.entries(nodeSelector).every(([key, value]) => labels[key] === value)
  );
}
