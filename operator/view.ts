import type { ResourceOf } from '../api/manifests.js';
import { tenantOfKey } from '../api/names.js';
import type { Cluster } from '../kube/cluster.js';
import { Informer } from '../kube/informer.js';
import { MODELS, PRIORITY_CLASSES, PROFILES, SCHEDULES, TENANTS } from '../kube/kinds.js';
import type { KubeObject } from '../kube/objects.js';
import type { NodeObject, PodObject } from '../kube/core-objects.js';
import { Objects } from '../kube/objects.js';
import { Nodes, Pods } from '../kube/core-objects.js';
import type { Endpoint } from './addresses.js';
import { checkedEndpoint } from './addresses.js';
import type { Device } from './admission/device.js';
import { deviceOf } from './admission/device.js';
import type { NodeInfo } from './admission/node.js';
import type { Priority, TenantRequest } from './admission/request.js';
import { requestOf } from './admission/request.js';
import type { Quotas } from './admission/quotas.js';
import { nodeInfosOf } from './node-infos.js';
import { NodeStates } from './node-states.js';
import type { ModelObject, ProfileObject, ScheduleObject, TenantObject } from './objects.js';
import type { PriorityClass } from './ranking.js';
import { Priorities, byRank } from './ranking.js';
import { Reports } from './reports.js';
import { TeamView } from './team-view.js';
import { quotasFrom } from './teams.js';

/** What changed, for whoever decides what to do about it. */
export interface ViewListener {
  tenant(key: string, tenant: TenantObject, gone: boolean): void;
  schedule(node: string, schedule: ScheduleObject, gone: boolean): void;
  profile(profile: ProfileObject): void;
  model(name: string): void;
  /** A node, or its agent, has other addresses. */
  addresses(node: string): void;
  /** Something of a team's quota or of a flavor has changed, what is told of it included. */
  team(kind: string, name: string): void;
  /** A node, profile, model or priority changed in a way that may matter to anybody. */
  world(): void;
  failed(kind: string, error: string, retryMs: number): void;
  /** An object that nothing can be made of; the others are not concerned. */
  odd(kind: string, key: string, error: string): void;
}

export interface ViewOptions {
  /** How long a node may be not ready before it counts as lost. */
  readonly nodeGraceMs: number;
  /** How long an agent may say nothing before it is not believed to serve. */
  readonly agentSilenceMs: number;
  /** Where the agents' pods are. */
  readonly agentNamespace: string;
  /** Whether tenants may have Kubernetes' own classes, which come before all others. */
  readonly systemPriorities: boolean;
}

/** A local copy of all that decisions depend on. */
export class ClusterView {
  readonly tenants: Informer<TenantObject>;
  readonly models: Informer<ModelObject>;
  readonly profiles: Informer<ProfileObject>;
  readonly schedules: Informer<ScheduleObject>;
  readonly nodes: Informer<NodeObject>;
  readonly priorities: Informer<PriorityClass>;
  /** The agents' pods; none where agents run outside of pods. */
  readonly pods: Informer<PodObject>;
  readonly teams: TeamView;
  readonly reports: Reports;
  readonly #options: ViewOptions;
  readonly #listener: ViewListener;
  readonly #nodeStates: NodeStates;
  readonly #devices = new WeakMap<ProfileObject, Device | 'odd'>();
  readonly #requests = new WeakMap<TenantObject, TenantRequest>();
  readonly #podAddresses = new Map<string, string>();

  constructor(cluster: Cluster, options: ViewOptions, listener: ViewListener) {
    this.#options = options;
    this.#listener = listener;
    this.#nodeStates = new NodeStates(options.nodeGraceMs);
    const informer = <T extends KubeObject>(
      source: { listWatch(): ConstructorParameters<typeof Informer<T>>[0] },
      kind: string,
      changed: (key: string, object: T, gone: boolean) => void,
    ): Informer<T> =>
      new Informer<T>(source.listWatch(), {
        changed,
        failed: (error, retryMs) => listener.failed(kind, error, retryMs),
      });
    const world = (): void => listener.world();
    const specs = new Map<string, unknown>();
    this.tenants = informer(new Objects<TenantObject>(cluster, TENANTS), TENANTS.kind, (key, tenant, gone) =>
      listener.tenant(key, tenant, gone),
    );
    this.models = informer(new Objects<ModelObject>(cluster, MODELS), MODELS.kind, (name, model, gone) => {
      listener.model(name);
      // What is told of a model decides nothing.
      const spec = gone ? undefined : JSON.stringify([model.metadata.generation, model.metadata.deletionTimestamp]);
      if (specs.get(name) === spec) return;
      specs.set(name, spec);
      listener.world();
    });
    this.profiles = informer(new Objects<ProfileObject>(cluster, PROFILES), PROFILES.kind, (_key, profile) => {
      listener.profile(profile);
      listener.world();
    });
    this.schedules = informer(
      new Objects<ScheduleObject>(cluster, SCHEDULES),
      SCHEDULES.kind,
      (key, schedule, gone) => {
        if (gone) {
          this.reports.forget(key);
        } else this.reports.heard(key, schedule);
        listener.schedule(key, schedule, gone);
      },
    );
    this.nodes = informer(new Nodes(cluster), 'Node', (key, node, gone) => {
      if (!this.#nodeStates.noticed(node, gone, world)) return;
      listener.addresses(key);
      world();
    });
    this.pods = informer(new Pods(cluster, options.agentNamespace, AGENT_PODS), 'Pod', (key, pod, gone) =>
      this.#podChanged(key, pod, gone),
    );
    this.teams = new TeamView(cluster, listener);
    this.reports = new Reports(options.agentSilenceMs, () => listener.world());
    this.priorities = informer(new Objects<PriorityClass>(cluster, PRIORITY_CLASSES), PRIORITY_CLASSES.kind, world);
  }

  get #all(): Informer<KubeObject>[] {
    const { tenants, models, profiles, schedules, nodes, priorities, pods, teams } = this;
    return [tenants, models, profiles, schedules, nodes, priorities, pods, ...teams.all];
  }

  start(): void {
    for (const informer of this.#all) informer.start();
  }

  /** Resolves when everything is known once. */
  async synced(): Promise<void> {
    await Promise.all(this.#all.map((informer) => informer.synced()));
  }

  async stop(): Promise<void> {
    this.#nodeStates.stop();
    await Promise.all(this.#all.map((informer) => informer.stop()));
  }

  /** Seconds since anything was last heard of each kind. */
  silence(): Map<string, number> {
    const kinds = [
      ...['InferenceTenant', 'InferenceModel', 'GPUProfile', 'NodeSchedule', 'Node', 'PriorityClass', 'Pod'],
      ...['TenantQuota', 'DeviceFlavor', 'Namespace'],
    ];
    return new Map(this.#all.map((informer, i) => [kinds[i]!, (performance.now() - informer.lastEventMs) / 1000]));
  }

  /** By its key. */
  tenant(key: string): TenantObject | undefined {
    const { namespace, name } = tenantOfKey(key);
    return this.tenants.get(name, namespace);
  }

  /** Measured devices of the nodes that there are. */
  devices(): Device[] {
    return this.profiles
      .list()
      .filter((profile) => this.nodes.get(profile.spec.nodeName) !== undefined && !this.isVanished(profile.spec))
      .flatMap((profile) => this.#device(profile) ?? [])
      .sort((a, b) => (a.node < b.node ? -1 : a.node > b.node ? 1 : a.device - b.device));
  }

  /** Whether the node's agent tells which devices it has, and this one is not among them. */
  isVanished({ nodeName, device }: { readonly nodeName: string; readonly device: number }): boolean {
    const reported = this.schedules.get(nodeName)?.status?.devices ?? [];
    return (
      reported.length > 0 &&
      this.reports.isSilent(nodeName) === false &&
      !reported.some((each) => each.device === device)
    );
  }

  #device(profile: ProfileObject): Device | undefined {
    const known = this.#devices.get(profile);
    if (known !== undefined) return known === 'odd' ? undefined : known;
    try {
      const device = deviceOf(profile as unknown as ResourceOf<'GPUProfile'>);
      this.#devices.set(profile, device);
      return device;
    } catch (error) {
      this.#devices.set(profile, 'odd');
      this.#listener.odd(PROFILES.kind, profile.metadata.name, (error as Error).message);
      return undefined;
    }
  }

  nodeInfos(): Map<string, NodeInfo> {
    return nodeInfosOf(
      this.nodes.list(),
      this.profiles.list(),
      (node) => this.#nodeStates.of(node),
      (node) => this.reports.isSilent(node) === true,
    );
  }

  modelsByName(): Map<string, ResourceOf<'InferenceModel'>> {
    return new Map(
      this.models.list().map((model) => [model.metadata.name, model as unknown as ResourceOf<'InferenceModel'>]),
    );
  }

  /** What teams may have; undefined: nobody is limited. */
  quotas(devices: readonly Device[]): Quotas | undefined {
    const { quotas, flavors, namespaces } = this.teams;
    return quotasFrom(
      {
        quotas: quotas.list(),
        flavors: flavors.list(),
        namespaces: namespaces.list(),
        nodes: this.nodes.list(),
        profiles: this.profiles.list(),
      },
      devices,
    );
  }

  /** What tenants ask for, the most important first, then the oldest; and those of whom nobody can tell, with why. */
  requests(tenants: readonly TenantObject[]): {
    readonly asking: { tenant: TenantObject; request: TenantRequest }[];
    readonly odd: { tenant: TenantObject; error: string }[];
  } {
    const priorities = new Priorities(this.priorities.list(), this.#options.systemPriorities);
    const asking: { tenant: TenantObject; request: TenantRequest }[] = [];
    const odd: { tenant: TenantObject; error: string }[] = [];
    for (const tenant of tenants) {
      if (tenant.metadata.deletionTimestamp !== undefined) continue;
      try {
        const request = this.#request(tenant, priorities.of(tenant.spec.priorityClassName));
        asking.push({ tenant, request });
      } catch (error) {
        odd.push({ tenant, error: (error as Error).message });
      }
    }
    return { asking: asking.sort(byRank), odd };
  }

  /** Where the node's agent is reached, if what it says of that may be believed. */
  endpointOf(node: string): Endpoint {
    const addresses = this.nodes.get(node)?.status?.addresses ?? [];
    const pods = this.pods.list().filter(({ spec }) => spec?.nodeName === node);
    return checkedEndpoint(this.schedules.get(node)?.status?.endpoint, [
      ...addresses.map(({ address }) => address),
      ...pods.flatMap(({ status }) => (status?.podIPs ?? []).map(({ ip }) => ip)),
    ]);
  }

  nodeLost(node: string): boolean {
    return this.stateOf(node) === 'Lost';
  }

  /** A node that is gone is lost, too. */
  stateOf(node: string): NodeInfo['state'] {
    const found = this.nodes.get(node);
    return found === undefined ? 'Lost' : this.#nodeStates.of(found);
  }

  #request(tenant: TenantObject, rank: Priority): TenantRequest {
    const known = this.#requests.get(tenant);
    if (
      known?.priority === rank.priority &&
      known.preempts === rank.preempts &&
      known.unknownClass === rank.unknownClass &&
      known.forbiddenClass === rank.forbiddenClass
    )
      return known;
    const request = requestOf(tenant as unknown as ResourceOf<'InferenceTenant'>, rank);
    this.#requests.set(tenant, request);
    return request;
  }

  #podChanged(key: string, { spec, status }: PodObject, gone: boolean): void {
    const node = spec?.nodeName;
    const addresses = gone ? undefined : JSON.stringify(status?.podIPs);
    if (node === undefined || this.#podAddresses.get(key) === addresses) return;
    if (addresses === undefined) this.#podAddresses.delete(key);
    else this.#podAddresses.set(key, addresses);
    this.#listener.addresses(node);
  }
}

/** As the chart labels them. */
const AGENT_PODS = 'app.kubernetes.io/name=deeprt,app.kubernetes.io/component=agent';
