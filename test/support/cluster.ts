import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ResourceOf } from '../../api/manifests.js';
import { ApiServer, until } from './api-server.js';
import type { Process } from './cli.js';
import { background, backgroundWith } from './cli.js';
import { objectsOf, rendered } from './chart.js';
import { faultyDevice } from './faulty-device.js';
import { keepFigures, lendFigures } from './figures.js';
import { brokenPromises } from './invariants.js';
import { modelManifest, tenantManifest } from './workspace.js';

export type Tenant = ResourceOf<'InferenceTenant'> & {
  metadata: { uid: string; resourceVersion: string; finalizers?: string[]; deletionTimestamp?: string };
};
export type Schedule = ResourceOf<'NodeSchedule'>;
export type Profile = ResourceOf<'GPUProfile'>;
type Condition = NonNullable<NonNullable<Tenant['status']>['conditions']>[number];

export const GROUP = '/apis/deeprt.dev/v1alpha1';
const NAMESPACE = 'deeprt-system';
/** Short times, so that tests need not wait long; operators in the field use the defaults. */
const QUICK = ['--lease-duration', '3s', '--node-grace', '2s', '--agent-silence', '20s', '--report-period', '10s'];

const LAST_WORDS = 6;

/** The kinds that say who may do what. */
const RIGHTS = /^(ServiceAccount|(Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/;

/** What nodes, and the agents that tests play, are reached at. */
const ADDRESSES = ['192.0.2.1', '192.0.2.7', '2001:db8::7'];

/** A real API server, operators and agents as processes, nodes as the test says. */
export class TestCluster {
  readonly api: ApiServer;
  readonly #processes: Process[] = [];
  /** Nodes whose figures hold for this machine. */
  readonly #measuring: { readonly state: string; readonly node: string }[] = [];
  #started = 0;

  private constructor(api: ApiServer) {
    this.api = api;
  }

  static async start(): Promise<TestCluster> {
    return new TestCluster(await ApiServer.start());
  }

  /** Ends everything that was started. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.kill('SIGKILL')));
    for (const { state, node } of this.#measuring) await keepFigures(state, node);
    await this.api.stop();
  }

  /** Installs the rights that the chart gives, with some of its values; operators and agents can then run as who they are in the field. */
  async deploy(...values: string[]): Promise<void> {
    await this.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
    for (const object of objectsOf(rendered(...values.map((value) => `--set=${value}`))))
      if (RIGHTS.test(object.kind)) await this.api.apply(object);
  }

  /** A token of a service account, bound to a node where one is named. */
  async token(account: string, node?: string, namespace = NAMESPACE): Promise<string> {
    let boundObjectRef = {};
    if (node !== undefined) {
      const { metadata } = await this.api.must<{ metadata: { uid: string } }>('GET', `/api/v1/nodes/${node}`);
      boundObjectRef = { boundObjectRef: { kind: 'Node', apiVersion: 'v1', name: node, uid: metadata.uid } };
    }
    const { status } = await this.api.must<{ status: { token: string } }>(
      'POST',
      `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 3600, ...boundObjectRef },
      },
    );
    return status.token;
  }

  /** An agent of a node as a process of its own, with its node's rights and no more. */
  async agent(node: string, options: AgentOptions = {}): Promise<RunningAgent> {
    const rights = await this.api.kubeconfigFor(await this.token('deeprt-agent', node, options.namespace));
    const kubeconfig = await this.file(`${node}.kubeconfig`, rights);
    const state = options.state ?? join(this.api.dir, `state-${node}`);
    if (options.faults === undefined && !existsSync(state)) {
      await lendFigures(state, node);
      this.#measuring.push({ state, node });
    }
    const args = [
      ...['agent', '--kubeconfig', kubeconfig, '--node-name', node, '--state', state],
      ...['--model-dir', options.modelDir ?? this.api.dir, '--listen', '127.0.0.1:0'],
      // An EndpointSlice takes no loopback addresses.
      ...['--advertise', '192.0.2.1:8080', '--report-period', '10s'],
      ...(options.args ?? []),
    ];
    const start = (): Process => {
      const faulty = options.faults === undefined ? '' : `--import=${faultyDevice(options.faults)}`;
      const process = backgroundWith(options.nodeOptions ?? faulty, ...args);
      this.#processes.push(process);
      return process;
    };
    const process = start();
    const { url } = await process.logged(({ msg }) => msg === 'listening');
    return { ...process, url: url as string, state, again: start };
  }

  /** A further operator; resolves once it follows the cluster. */
  operator(...args: string[]): Promise<Process> {
    return this.operatorWith('', ...args);
  }

  /** The same, with options for Node. */
  async operatorWith(nodeOptions: string, ...args: string[]): Promise<Process> {
    await this.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
    const admin = ['--kubeconfig', this.api.kubeconfig];
    const own = ['--namespace', NAMESPACE, '--listen', '127.0.0.1:0', ...QUICK, ...args];
    const process = backgroundWith(nodeOptions, 'operator', ...admin, ...own);
    this.#processes.push(process);
    await process.logged(({ msg }) => msg === 'following the cluster');
    return process;
  }

  /** A command of deeprt against this cluster, as administrator unless another --kubeconfig is given; ended with it. */
  spawn(command: string, ...args: string[]): Process {
    const process = background(command, '--kubeconfig', this.api.kubeconfig, ...args);
    this.#processes.push(process);
    return process;
  }

  /** A file of this cluster's own. */
  async file(name: string, content: string): Promise<string> {
    const path = join(this.api.dir, `${++this.#started}-${name}`);
    await writeFile(path, content);
    return path;
  }

  async node(
    name: string,
    { ready = true, ...more }: { ready?: boolean; labels?: object; spec?: object } = {},
  ): Promise<void> {
    await this.api.apply({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: more.labels ?? {} } as { name: string },
      ...(more.spec === undefined ? {} : { spec: more.spec }),
    });
    await this.api.must('PATCH', `/api/v1/nodes/${name}/status`, {
      status: {
        conditions: [{ type: 'Ready', status: ready ? 'True' : 'Unknown' }],
        addresses: ADDRESSES.map((address) => ({ type: 'InternalIP', address })),
      },
    });
  }

  /** Records that a node's device was measured: a batch of n takes `slow` times 2 + n ms. */
  async profile(
    node: string,
    { slow = 1, models = ['echo'], device = 0, failures = {} }: ProfileSpec = {},
  ): Promise<void> {
    const head = {
      apiVersion: 'deeprt.dev/v1alpha1',
      kind: 'GPUProfile',
      metadata: { name: `${node}-${device}` },
    };
    await this.api.apply({ ...head, spec: { nodeName: node, device } } as Parameters<ApiServer['apply']>[0]);
    await this.api.must(
      'PATCH',
      `${GROUP}/gpuprofiles/${node}-${device}/status?fieldManager=test&force=true`,
      {
        ...head,
        status: {
          device: { name: 'recorded', executionProvider: 'cpu' },
          categories: models.map((model) => ({
            model,
            shape: [3, 8, 8],
            batches: [1, 2, 4, 8].map((size) => ({ size, wcetUs: Math.round(slow * (2000 + 1000 * size)) })),
          })),
          models: [
            ...models.map((name) => ({ name, ready: true })),
            ...Object.entries(failures).map(([name, message]) => ({ name, ready: false, message })),
          ],
        },
      },
      { type: 'application/apply-patch+yaml' },
    );
  }

  async model(name = 'echo', sha256 = 'a'.repeat(64), spec: object = {}): Promise<void> {
    await this.api.apply(modelManifest(name, sha256, spec) as Parameters<ApiServer['apply']>[0]);
  }

  async tenant(name: string, spec: object = {}): Promise<void> {
    await this.api.apply(tenantManifest(name, { jitter: '5ms', ...spec }) as Parameters<ApiServer['apply']>[0]);
  }

  async getTenant(name: string): Promise<Tenant | undefined> {
    const { status, body } = await this.api.request<Tenant>('GET', tenantPath(name));
    return status === 404 ? undefined : body;
  }

  /** Asks for deletion; finalizers may delay it. */
  async deleteTenant(name: string): Promise<void> {
    await this.api.must('DELETE', tenantPath(name));
  }

  async schedule(node: string): Promise<Schedule | undefined> {
    const { status, body } = await this.api.request<Schedule>('GET', `${GROUP}/nodeschedules/${node}`);
    return status === 404 ? undefined : body;
  }

  /** Says as an agent would that the node's newest schedule is applied. */
  async report(node: string, status: object = {}): Promise<void> {
    const schedule = await this.schedule(node);
    const now = new Date().toISOString();
    const condition = { status: 'True', reason: 'Test', message: '', lastTransitionTime: now };
    await this.api.must('PATCH', `${GROUP}/nodeschedules/${node}/status`, {
      status: {
        observedGeneration: schedule!.metadata.generation,
        reportedAt: now,
        endpoint: '192.0.2.7:8080',
        conditions: [
          { type: 'Applied', ...condition },
          { type: 'DeviceReady', ...condition },
        ],
        ...status,
      },
    });
  }

  /** Names of the tenants that a node was programmed with. */
  async servedBy(node: string): Promise<string[]> {
    const schedule = await this.schedule(node);
    return (schedule?.spec.devices ?? [])
      .flatMap(({ categories }) => categories.flatMap(({ tenants }) => tenants.map((each) => each.name)))
      .sort();
  }

  /** Waits for a condition of a tenant that is up to date. */
  async condition(
    name: string,
    type: string,
    status: 'True' | 'False' | 'Unknown',
    reason?: string,
    withinMs = 20_000,
  ): Promise<Condition> {
    let found: Condition | undefined;
    let tenant: Tenant | undefined;
    try {
      await until(
        async () => {
          tenant = await this.getTenant(name);
          found = tenant?.status?.conditions?.find((each) => each.type === type);
          return (
            found?.status === status &&
            found.observedGeneration === tenant?.metadata.generation &&
            (reason === undefined || found.reason === reason)
          );
        },
        'it',
        undefined,
        withinMs,
      );
    } catch {
      const wanted = `${name} did not become ${type}=${status}${reason === undefined ? '' : `/${reason}`}`;
      const { conditions, ...rest } = tenant?.status ?? {};
      const told = (conditions ?? []).map((each) => `${each.type}=${each.status}/${each.reason}: ${each.message}`);
      throw new Error([wanted, ...told, JSON.stringify(rest), ...this.#lastWords()].join('\n'));
    }
    return found!;
  }

  /** What the processes that run logged last. */
  #lastWords(): string[] {
    const running = this.#processes.filter((process) => !process.ended());
    return running.flatMap((process) =>
      process
        .log()
        .slice(-LAST_WORDS)
        .map((line) => JSON.stringify(line)),
    );
  }

  async admitted(...names: string[]): Promise<void> {
    await Promise.all(names.map((name) => this.condition(name, 'Admitted', 'True', 'Admitted')));
  }

  /** Events on a tenant, oldest first. */
  async events(tenant: string): Promise<{ reason: string; type: string; note: string }[]> {
    const { items } = await this.api.must<{
      items: { reason: string; type: string; note: string; eventTime: string; regarding: { name: string } }[];
    }>('GET', '/apis/events.k8s.io/v1/namespaces/default/events');
    return items
      .filter(({ regarding }) => regarding.name === tenant)
      .sort((a, b) => (a.eventTime < b.eventTime ? -1 : 1));
  }

  /** Whether every promise in the cluster can be kept and belongs to somebody; the list of those that do not. */
  async brokenPromises(): Promise<string[]> {
    const list = async <T>(plural: string): Promise<T[]> =>
      (await this.api.must<{ items: T[] }>('GET', `${GROUP}/${plural}`)).items;
    return brokenPromises(
      await list<Schedule>('nodeschedules'),
      await list<Profile>('gpuprofiles'),
      await list<Tenant>('inferencetenants'),
    );
  }
}

export interface AgentOptions {
  /** Where its account is; with the operator's when absent. */
  readonly namespace?: string;
  readonly state?: string;
  readonly modelDir?: string;
  /** A file that says what goes wrong with its device. */
  readonly faults?: string;
  /** For Node, in place of what the faults need. */
  readonly nodeOptions?: string;
  /** Further arguments of the command. */
  readonly args?: readonly string[];
}

export interface RunningAgent extends Process {
  readonly url: string;
  readonly state: string;
  /** Starts the same agent once more, on another port. */
  again(): Process;
}

export interface ProfileSpec {
  readonly slow?: number;
  readonly models?: readonly string[];
  readonly device?: number;
  /** Models that cannot be had there, and why. */
  readonly failures?: Readonly<Record<string, string>>;
}

export const tenantPath = (name: string): string => `${GROUP}/namespaces/default/inferencetenants/${name}`;
