import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { tenantPath } from '../api/names.js';
import type { KubeObject } from '../kube/objects.js';
import { isLoopback, partsOf } from './addresses.js';
import type { TenantObject } from './objects.js';
import type { TenantStatus } from './tenant-status.js';

export interface ServiceObject extends KubeObject {
  readonly spec: {
    readonly type?: string;
    /** Null: taken off. */
    readonly selector?: object | null;
    readonly externalName?: string | null;
    readonly ports: readonly {
      readonly name: string;
      readonly protocol: string;
      readonly port: number;
      readonly targetPort: number;
      readonly appProtocol: string;
    }[];
  };
}

export interface EndpointSliceObject extends KubeObject {
  readonly addressType: 'IPv4' | 'IPv6';
  readonly endpoints: readonly {
    readonly addresses: readonly string[];
    readonly nodeName: string;
    readonly conditions: { readonly ready: boolean };
  }[];
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
}

export const MANAGED_BY = 'deeprt.dev';
const SERVICE_LABEL = 'kubernetes.io/service-name';
const MANAGER_LABEL = 'endpointslice.kubernetes.io/managed-by';
/** What cameras send to, whatever port the agents listen on. */
const PORTS = { http: 80, https: 443 };
export type Scheme = keyof typeof PORTS;

/** What the agents speak: HTTP or HTTPS, and gRPC on a port of its own where they are told to. */
export interface Spoken {
  readonly scheme: Scheme;
  readonly grpcPort: number | undefined;
}

/** Services that this operator made. */
export const SERVICE_SELECTOR = `app.kubernetes.io/managed-by=${MANAGED_BY}`;

/** Slices that this operator made. */
export const SLICE_SELECTOR = `${MANAGER_LABEL}=${MANAGED_BY}`;

/** A Service's name is a DNS label of at most 63 characters; a tenant's name may be longer and have dots. */
export function serviceName(tenant: string): string {
  const name = `deeprt-${tenant}`;
  if (name.length <= 63 && !name.includes('.')) return name;
  const digest = createHash('sha256').update(tenant).digest('hex').slice(0, 8);
  return `${name.replaceAll('.', '-').slice(0, 54)}-${digest}`;
}

/** Where a tenant's frames go to, from inside the cluster. */
export function urlOf({ metadata: { name, namespace = '' } }: TenantObject, scheme: Scheme): string {
  return `${scheme}://${serviceName(name)}.${namespace}.svc/v2/models/${tenantPath({ namespace, name })}/infer`;
}

/** The tenant's Service: one DNS name whatever nodes serve it. It goes with the tenant. */
export function serviceOf(tenant: TenantObject, { scheme, grpcPort }: Spoken): ServiceObject {
  const port = PORTS[scheme];
  // KEP-3726: HTTP/2 in clear has a name of its own.
  const appProtocol = scheme === 'https' ? scheme : 'kubernetes.io/h2c';
  return {
    metadata: {
      name: serviceName(tenant.metadata.name),
      namespace: tenant.metadata.namespace!,
      labels: { 'app.kubernetes.io/managed-by': MANAGED_BY },
      ownerReferences: [ownerOf(tenant)],
    },
    spec: {
      ports: [
        { name: scheme, protocol: 'TCP', port, targetPort: port, appProtocol: scheme },
        ...(grpcPort === undefined
          ? []
          : [{ name: 'grpc', protocol: 'TCP', port: grpcPort, targetPort: grpcPort, appProtocol }]),
      ],
    },
  };
}

/** The nodes that serve the tenant, one slice per port that their agents listen on and per family of addresses. */
export function slicesOf(
  tenant: TenantObject,
  { placements }: TenantStatus,
  { scheme, grpcPort }: Spoken,
): EndpointSliceObject[] {
  const service = serviceName(tenant.metadata.name);
  const groups = new Map<
    string,
    { port: number; type: EndpointSliceObject['addressType']; nodes: Map<string, { address: string; ready: boolean }> }
  >();
  for (const { node, endpoint, ready = false } of placements ?? []) {
    const parts = endpoint === undefined ? undefined : partsOf(endpoint);
    if (parts === undefined || isIP(parts.address) === 0 || isLoopback(parts.address)) continue;
    const { address, port } = parts;
    const type = isIP(address) === 6 ? 'IPv6' : 'IPv4';
    const key = `${type.toLowerCase()}-${port}`;
    const group = groups.get(key) ?? { port, type, nodes: new Map<string, { address: string; ready: boolean }>() };
    // With streams on several devices of a node, it is ready when one of them is.
    group.nodes.set(node, { address, ready: ready || group.nodes.get(node)?.ready === true });
    groups.set(key, group);
  }
  return [...groups].map(([key, { port, type, nodes }]) => ({
    metadata: {
      name: `${service}-${key}`,
      namespace: tenant.metadata.namespace!,
      labels: { [SERVICE_LABEL]: service, [MANAGER_LABEL]: MANAGED_BY },
      ownerReferences: [ownerOf(tenant)],
    },
    addressType: type,
    endpoints: [...nodes].map(([nodeName, { address, ready }]) => ({
      addresses: [address],
      nodeName,
      conditions: { ready },
    })),
    ports: [
      { name: scheme, protocol: 'TCP', port },
      ...(grpcPort === undefined ? [] : [{ name: 'grpc', protocol: 'TCP', port: grpcPort }]),
    ],
  }));
}

/** The name of the Service that a slice belongs to. */
export function serviceOfSlice({ metadata }: KubeObject): string | undefined {
  return metadata.labels?.[SERVICE_LABEL];
}

/** The key of the tenant that an object was made for; undefined where it was made for none. */
export function tenantOf({ metadata }: KubeObject): string | undefined {
  const owner = metadata.ownerReferences?.find((each) => (each as Owner).kind === 'InferenceTenant') as
    Owner | undefined;
  return owner === undefined ? undefined : `${metadata.namespace ?? ''}/${owner.name}`;
}

interface Owner {
  readonly kind: string;
  readonly name: string;
  readonly uid?: string;
}

/**
 * Whether a Service was made by this operator, or for this tenant. Whatever else has its name is somebody else's: also another tenant's,
 * where two names come to the same.
 *
 * @param isTenant whether there is a tenant of that name beside it
 */
export function isOurs(service: KubeObject, tenant: TenantObject, isTenant: (name: string) => boolean): boolean {
  const { labels, ownerReferences } = service.metadata;
  if (ownerReferences?.some((each) => (each as Owner).uid === tenant.metadata.uid) === true) return true;
  const other = tenantOf(service)?.split('/')[1];
  const isAnothers =
    other !== undefined &&
    other !== tenant.metadata.name &&
    serviceName(other) === service.metadata.name &&
    isTenant(other);
  return labels?.['app.kubernetes.io/managed-by'] === MANAGED_BY && !isAnothers;
}

/** Whether a Service is as it should be, as far as that is this operator's affair. */
export const isAsWanted = (found: ServiceObject, wanted: ServiceObject): boolean =>
  isDeepStrictEqual(portsOf(found), portsOf(wanted)) &&
  isDeepStrictEqual(found.metadata.ownerReferences?.map(plain), wanted.metadata.ownerReferences?.map(plain)) &&
  hasLabelsOf(found, wanted) &&
  (found.spec.type ?? 'ClusterIP') === 'ClusterIP' &&
  Object.keys(found.spec.selector ?? {}).length === 0;

/** Whether an object has all labels of another. */
export const hasLabelsOf = (found: KubeObject, wanted: KubeObject): boolean =>
  Object.entries(wanted.metadata.labels ?? {}).every(([label, value]) => found.metadata.labels?.[label] === value);

/** A Service that takes back what somebody else has made of it: clients are sent by its slices, and by nothing else. */
export const restored = (wanted: ServiceObject): ServiceObject => ({
  ...wanted,
  spec: { ...wanted.spec, type: 'ClusterIP', selector: null, externalName: null },
});

const plain = (owner: object): object => ({ ...owner });

const portsOf = ({ spec }: ServiceObject): object[] =>
  spec.ports.map(({ name, protocol, port, targetPort, appProtocol }) => ({
    name,
    protocol,
    port,
    targetPort,
    appProtocol,
  }));

function ownerOf({ metadata }: TenantObject): object {
  const { name, uid } = metadata;
  return { apiVersion: 'deeprt.dev/v1alpha1', kind: 'InferenceTenant', name, uid, controller: true };
}
