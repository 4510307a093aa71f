import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { tenantKey } from '../api/names.js';
import { scheduledOn } from '../api/schedule.js';
import type { Cluster } from '../kube/cluster.js';
import { reasonOf } from '../kube/cluster.js';
import type { EventObject } from '../kube/events.js';
import { EVENTS, EventRecorder } from '../kube/events.js';
import { ENDPOINT_SLICES, FLAVORS, MODELS, QUOTAS, SCHEDULES, SHARES, TENANTS } from '../kube/kinds.js';
import type { Lease, Term } from '../kube/leader.js';
import { LEASES, elect } from '../kube/leader.js';
import type { Logger } from '../kube/log.js';
import { Objects } from '../kube/objects.js';
import { Services } from '../kube/core-objects.js';
import type { AdminOptions } from './admin.js';
import { serveAdmin } from './admin.js';
import { Decider } from './decider.js';
import { liveCluster, reasonsOf } from './live.js';
import { OperatorMetrics } from './metrics.js';
import type { FlavorObject, ModelObject, QuotaObject, ScheduleObject, ShareObject, TenantObject } from './objects.js';
import { FramesPolicy, namespacesOf } from './frames-policy.js';
import { sharesOf } from './quota-status.js';
import { LivePage } from '../ui/live-page.js';
import { Publisher } from './publish/publisher.js';
import type { EndpointSliceObject, ServiceObject } from './services.js';
import type { ViewOptions } from './view.js';
import { ClusterView } from './view.js';

export interface OperatorOptions extends ViewOptions {
  readonly cluster: Cluster;
  /** Where operators run. */
  readonly namespace: string;
  /** Where the Lease is of all operators in the cluster, whatever namespace they run in. */
  readonly leaseNamespace: string;
  readonly leaseSeconds: number;
  /** Whether the agents serve HTTPS. */
  readonly tls: boolean;
  /** Where the agents serve gRPC, if they do. */
  readonly grpcPort?: number | undefined;
  /** The NetworkPolicy that lets tenants' namespaces send frames. */
  readonly framesPolicy?: string | undefined;
  /** How long what was borrowed of a team's share may be kept once that team asks for it. */
  readonly reclaimNoticeMs: number;
  readonly admin: AdminOptions;
  readonly log: Logger;
}

const LEASE_NAME = 'deeprt-operator';
/** How often conditions that change by mere time passing are looked at. */
const TICK_MS = 5000;

/** Follows the cluster, stands for leader, and while it leads decides and publishes. Ends when `stop` is aborted. */
export async function runOperator(options: OperatorOptions, stop: AbortSignal): Promise<void> {
  const { cluster, log } = options;
  let leading: { decider: Decider; publisher: Publisher } | undefined;

  const view = new ClusterView(cluster, options, {
    tenant: (key, tenant, gone) => {
      leading?.decider.tenantChanged(key, tenant, gone);
      if (gone) leading?.publisher.decided(key);
      else leading?.publisher.tenant(key);
    },
    schedule: (_node, schedule, gone) => {
      leading?.decider.scheduleChanged(schedule, gone);
      for (const key of tenantsOf(schedule)) leading?.publisher.tenant(key);
    },
    profile: (profile) => {
      for (const { name } of profile.status?.models ?? []) leading?.publisher.model(name);
    },
    model: (name) => leading?.publisher.model(name),
    addresses: (node) => {
      const schedule = view.schedules.get(node);
      for (const key of schedule === undefined ? [] : tenantsOf(schedule)) leading?.publisher.tenant(key);
    },
    team: (kind, name) => leading?.publisher.team(kind, name),
    world: () => leading?.decider.worldChanged(),
    failed: (kind, error, retryMs) => log.warn({ kind, error, retryMs }, 'watch ended; starting it again'),
    odd: (kind, name, error) => log.error({ kind, name, error }, 'this object is left out: nothing can be made of it'),
  });
  const metrics = new OperatorMetrics({
    depths: () => new Map([['decisions', leading?.decider.backlog ?? 0], ...(leading?.publisher.depths ?? [])]),
    silence: () => view.silence(),
    silentAgents: () => {
      const promising = leading === undefined ? [] : view.schedules.list().filter((each) => tenantsOf(each).length > 0);
      return new Map(promising.map(({ metadata: { name } }) => [name, view.reports.isSilent(name) === false ? 0 : 1]));
    },
    reasons: () => (leading === undefined ? new Map() : reasonsOf(leading.decider)),
    shares: () => (leading?.decider.standings === undefined ? [] : sharesOf(leading.decider.standings)),
    plans: () => leading?.decider.records.plans ?? [],
    admitted: () => leading?.decider.verdicts.values() ?? [],
  });
  const tenants = new Objects<TenantObject>(cluster, TENANTS);
  const schedules = new Objects<ScheduleObject>(cluster, SCHEDULES);
  const api = {
    tenants,
    models: new Objects<ModelObject>(cluster, MODELS),
    quotas: new Objects<QuotaObject>(cluster, QUOTAS),
    flavors: new Objects<FlavorObject>(cluster, FLAVORS),
    shares: new Objects<ShareObject>(cluster, SHARES),
    services: new Services<ServiceObject>(cluster),
    slices: new Objects<EndpointSliceObject>(cluster, ENDPOINT_SLICES),
    spoken: { scheme: options.tls ? ('https' as const) : ('http' as const), grpcPort: options.grpcPort },
    events: new EventRecorder(new Objects<EventObject>(cluster, EVENTS), 'deeprt-operator'),
  };

  const lead = async (term: Term): Promise<void> => {
    const publish = {
      tenant: (key: string) => publisher.decided(key),
      teams: () => publisher.teamsDecided(),
    };
    const decider = new Decider(view, tenants, schedules, term, log, metrics, publish, options.reclaimNoticeMs);
    const publisher: Publisher = new Publisher(view, api, decider, term, log, metrics);
    leading = { decider, publisher };
    metrics.leading.set(1);
    const { framesPolicy, agentNamespace, grpcPort } = options;
    const ports = grpcPort === undefined ? ['frames'] : ['frames', 'grpc'];
    const policy =
      framesPolicy === undefined
        ? undefined
        : new FramesPolicy(cluster, { namespace: agentNamespace, name: framesPolicy }, ports, log);
    // Agents fall silent and withdrawals time out without anything happening; namespaces come and go.
    const tick = setInterval(() => {
      if (term.holds()) void policy?.allow(namespacesOf(view.tenants.list()));
      for (const schedule of view.schedules.list())
        if (view.reports.isSilent(schedule.metadata.name) === true)
          for (const key of tenantsOf(schedule)) publisher.tenant(key);
    }, TICK_MS);
    const failed = (error: unknown): void => {
      log.error({ error: reasonOf(error) }, 'cannot lead; standing again');
      term.resign();
    };
    await Promise.all([decider.run().catch(failed), publisher.run().catch(failed)]);
    clearInterval(tick);
    leading = undefined;
    metrics.leading.set(0);
  };

  let synced = false;
  const page = new LivePage('cluster', [
    { event: 'cluster', everyMs: 1000, tell: () => ({ data: liveCluster(view, leading?.decider) }) },
  ]);
  const server = await serveAdmin(options.admin, metrics, page, () => synced);
  const { address, port } = server.address() as AddressInfo;
  const host = address.includes(':') ? `[${address}]` : address;
  const scheme = options.admin.credentials === undefined ? 'http' : 'https';
  log.info({ url: `${scheme}://${host}:${port}` }, 'listening for health, metrics and the live page');
  view.start();
  try {
    await Promise.race([view.synced(), aborted(stop)]);
    synced = true;
    if (stop.aborted) return;
    log.info({ tenants: view.tenants.list().length, nodes: view.nodes.list().length }, 'following the cluster');
    await elect(
      new Objects<Lease>(cluster, LEASES),
      {
        // Operators before 0.3 know that of their own namespace only.
        leases: [...new Set([options.leaseNamespace, options.namespace])].map((namespace) => ({
          namespace,
          name: LEASE_NAME,
        })),
        identity: `${options.namespace}/${hostname()}_${randomUUID()}`,
        durationSeconds: options.leaseSeconds,
        log,
      },
      stop,
      lead,
    );
  } finally {
    await view.stop();
    options.admin.credentials?.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await cluster.close();
  }
}

/** Keys of the tenants that a schedule serves. */
function tenantsOf({ spec }: ScheduleObject): string[] {
  return (spec.devices ?? []).flatMap(scheduledOn).map(tenantKey);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
