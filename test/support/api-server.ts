import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent, request } from 'undici';
import { parseAllDocuments, stringify } from 'yaml';
import { freePort } from '../../hack/free-port.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const START_TIMEOUT_MS = 60_000;

/** The folder with etcd, kube-apiserver and kubectl; built on the first call where nobody has. */
export function kubeTools(): string {
  return execFileSync(join(ROOT, 'hack/kube.sh'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

/** A real kube-apiserver over a real etcd, on loopback ports and in a folder of its own. */
export class ApiServer {
  readonly dir: string;
  readonly kubeconfig: string;
  readonly #tools: string;
  readonly #ports: { etcd: number; peer: number; api: number };
  readonly #token = randomBytes(16).toString('hex');
  #etcd: ChildProcess | undefined;
  #api: ChildProcess | undefined;
  #client: Agent | undefined;

  private constructor(dir: string, tools: string, ports: { etcd: number; peer: number; api: number }) {
    this.dir = dir;
    this.kubeconfig = join(dir, 'admin.kubeconfig');
    this.#tools = tools;
    this.#ports = ports;
  }

  /** Starts one with the four CustomResourceDefinitions in it. */
  static async start(): Promise<ApiServer> {
    const tools = kubeTools();
    const dir = await mkdtemp(join(tmpdir(), 'deeprt-kube-'));
    const [etcd, peer, api] = await Promise.all([freePort(), freePort(), freePort()]);
    const server = new ApiServer(dir, tools, { etcd, peer, api });
    try {
      await server.#startEtcd();
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      await writeFile(join(dir, 'sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }));
      await writeFile(join(dir, 'sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
      await writeFile(join(dir, 'tokens.csv'), `${server.#token},admin,admin,system:masters\n`);
      await server.up();
      await writeFile(server.kubeconfig, await server.kubeconfigFor());
      const kinds = await readdir(join(ROOT, 'crds'));
      for (const file of kinds) await server.applyFile(join(ROOT, 'crds', file));
      await until(async () => {
        const { body } = await server.request<{
          items: { status?: { conditions?: { type: string; status: string }[] } }[];
        }>('GET', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions');
        return (
          body.items.length === kinds.length &&
          body.items.every(({ status }) =>
            status?.conditions?.some((each) => each.type === 'Established' && each.status === 'True'),
          )
        );
      }, 'the CustomResourceDefinitions to be served');
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Starts the API server (again); its data outlives it. */
  async up(): Promise<void> {
    const { dir } = this;
    this.#api = this.#spawn('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${this.#ports.etcd}`,
      `--secure-port=${this.#ports.api}`,
      '--bind-address=127.0.0.1',
      `--cert-dir=${join(dir, 'certs')}`,
      `--token-auth-file=${join(dir, 'tokens.csv')}`,
      '--authorization-mode=Node,RBAC',
      `--service-account-key-file=${join(dir, 'sa.pub')}`,
      `--service-account-signing-key-file=${join(dir, 'sa.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.0.0.0/16',
      '--disable-admission-plugins=ServiceAccount',
    ]);
    await until(
      async () => (await this.request<unknown>('GET', '/readyz')).status === 200,
      'the API server to be ready',
      this.#api,
    );
  }

  /** Ends the API server; etcd stays. */
  async down(): Promise<void> {
    await end(this.#api);
    await this.#client?.destroy();
    this.#client = undefined;
  }

  /** Does something while the API server takes connections and answers nothing. */
  async held<T>(during: () => Promise<T>): Promise<T> {
    this.#api?.kill('SIGSTOP');
    try {
      return await during();
    } finally {
      this.#api?.kill('SIGCONT');
    }
  }

  /** Where the API server listens on loopback. */
  get port(): number {
    return this.#ports.api;
  }

  /** Has etcd forget all history, so that whoever resumes a watch is told 410 Gone. */
  async compact(): Promise<void> {
    const post = async (path: string, body: object): Promise<{ header: { revision: string } }> =>
      (await (
        await fetch(`http://127.0.0.1:${this.#ports.etcd}/v3/kv/${path}`, {
          method: 'POST',
          body: JSON.stringify(body),
        })
      ).json()) as { header: { revision: string } };
    const { header } = await post('range', { key: Buffer.from('x').toString('base64') });
    await post('compaction', { revision: header.revision, physical: true });
  }

  async stop(): Promise<void> {
    await this.down();
    await end(this.#etcd);
    await rm(this.dir, { recursive: true, force: true });
  }

  /** A kubeconfig for whoever has this token; through another port where one is named. */
  async kubeconfigFor(token = this.#token, port = this.#ports.api): Promise<string> {
    const ca = await readFile(join(this.dir, 'certs', 'apiserver.crt'));
    return stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [
        {
          name: 'test',
          cluster: {
            server: `https://127.0.0.1:${port}`,
            'certificate-authority-data': ca.toString('base64'),
          },
        },
      ],
      users: [{ name: 'test', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    });
  }

  /** One HTTP request, as the administrator or with another token. */
  async request<T>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: object,
    { token = this.#token, type }: { token?: string; type?: string } = {},
  ): Promise<Answer<T>> {
    this.#client ??= new Agent({ connect: { rejectUnauthorized: false }, connections: 64 });
    const contentType = type ?? (method === 'PATCH' ? 'application/merge-patch+json' : 'application/json');
    const answer = await request(`https://127.0.0.1:${this.#ports.api}${path}`, {
      method,
      dispatcher: this.#client,
      headers: { authorization: `Bearer ${token}`, 'content-type': contentType },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.body.text();
    const parsed: unknown = text.startsWith('{') ? JSON.parse(text) : text;
    return { status: answer.statusCode, body: parsed as T };
  }

  /** The same, failing on anything but success. */
  async must<T>(...args: Parameters<ApiServer['request']>): Promise<T> {
    let { status, body } = await this.request<T>(...args);
    // A store that is still filling after a start says so; a client is to come again.
    for (let tries = 0; status === 429 && tries < 20; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      ({ status, body } = await this.request<T>(...args));
    }
    if (status >= 300) throw new Error(`${args[0]} ${args[1]}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  async applyFile(file: string): Promise<void> {
    for (const document of parseAllDocuments(await readFile(file, 'utf8'))) {
      const object = document.toJS() as Parameters<ApiServer['apply']>[0] | null;
      if (object !== null) await this.apply(object);
    }
  }

  /** Server-side apply of one object. */
  async apply(object: {
    apiVersion: string;
    kind: string;
    metadata: { name: string; namespace?: string };
  }): Promise<{ metadata: { uid: string; generation: number } }> {
    return this.must('PATCH', `${pathOf(object)}?fieldManager=test&force=true&fieldValidation=Strict`, object, {
      type: 'application/apply-patch+yaml',
    });
  }

  /** The real kubectl. */
  kubectl(...args: string[]): { code: number; output: string } {
    return this.kubectlWith({}, ...args);
  }

  /** The same with further environment. */
  kubectlWith(env: Readonly<Record<string, string>>, ...args: string[]): { code: number; output: string } {
    try {
      const output = execFileSync(join(this.#tools, 'kubectl'), args, {
        encoding: 'utf8',
        stdio: 'pipe',
        env: {
          ...process.env,
          HOME: this.dir,
          KUBECONFIG: this.kubeconfig,
          KUBECACHEDIR: join(this.dir, 'kubectl'),
          ...env,
        },
      });
      return { code: 0, output };
    } catch (error) {
      const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string };
      return { code: status, output: stdout + stderr };
    }
  }

  async #startEtcd(): Promise<void> {
    const client = `http://127.0.0.1:${this.#ports.etcd}`;
    const peer = `http://127.0.0.1:${this.#ports.peer}`;
    this.#etcd = this.#spawn('etcd', [
      `--data-dir=${join(this.dir, 'etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
      '--log-level=error',
    ]);
    await until(async () => (await fetch(`${client}/health`)).ok, 'etcd to be healthy', this.#etcd);
  }

  #spawn(tool: string, args: string[]): ChildProcess {
    const child = spawn(join(this.#tools, tool), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Small heaps that turn over fast: a third of the processor's time would go into collecting them.
      env: { ...process.env, GOGC: '400' },
    });
    const log = createWriteStream(join(this.dir, `${tool}.log`), { flags: 'a' });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill); // also when the test run itself fails
    child.once('exit', () => process.off('exit', kill));
    return child;
  }
}

const PLURALS: Readonly<Record<string, string>> = {
  PriorityClass: 'priorityclasses',
  ValidatingAdmissionPolicy: 'validatingadmissionpolicies',
};
const CLUSTER_SCOPED = new Set([
  'TenantQuota',
  'DeviceFlavor',
  'Node',
  'Namespace',
  'PriorityClass',
  'InferenceModel',
  'GPUProfile',
  'NodeSchedule',
  'ClusterRole',
  'ClusterRoleBinding',
  'CustomResourceDefinition',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
]);

/** The path of an object. */
export function pathOf({
  apiVersion,
  kind,
  metadata: { name, namespace },
}: {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`.replace(/ys$/, 'ies');
  return CLUSTER_SCOPED.has(kind)
    ? `${root}/${plural}/${name}`
    : `${root}/namespaces/${namespace ?? 'default'}/${plural}/${name}`;
}

/** Asks until it is so, or fails. */
export async function until(
  holds: () => Promise<boolean> | boolean,
  what: string,
  child?: ChildProcess,
  timeoutMs = START_TIMEOUT_MS,
): Promise<void> {
  let last: Error | undefined;
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline;) {
    try {
      if (await holds()) return;
      last = undefined;
    } catch (error) {
      last = error as Error;
    }
    if (child !== undefined && child.exitCode !== null) throw new Error(`waited for ${what}, but its process ended`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${what}${last === undefined ? '' : `: ${last.message}`}`);
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
