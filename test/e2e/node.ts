import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';

/**
 * A whole Kubernetes of one node (etcd, API server, controller manager, scheduler, proxy, containerd, kubelet) in this process's own
 * network, mount and process namespaces, which hack/e2e.sh makes: nothing of it is seen from outside, and all of it ends with this process.
 */

export const NODE = 'edge-1';
const NODE_IP = '10.99.0.1';
const API_PORT = 6443;
const PODS = '10.244.0.0/24';
const SERVICES = '10.96.0.0/16';
const PAUSE = 'deeprt.test/pause:1';
const TOKEN = randomBytes(16).toString('hex');

export const work = process.env['E2E_WORK']!;
export const tools = process.env['E2E_TOOLS']!;
const cgroup = process.env['E2E_CGROUP']!;
const path = (name: string): string => join(work, name);
const socket = path('containerd.sock');
export const kubeconfig = path('admin.kubeconfig');

const children = new Map<string, { child: ChildProcess; start: () => ChildProcess }>();

export function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout;
}

export const kubectl = (...args: string[]): string => run(join(tools, 'kubectl'), '--kubeconfig', kubeconfig, ...args);
export const kubectlJson = <T>(...args: string[]): T => JSON.parse(kubectl(...args, '-o', 'json')) as T;
export const helm = (...args: string[]): string => run(process.env['E2E_HELM']!, '--kubeconfig', kubeconfig, ...args);

/** Starts a part of the cluster; its output goes to a file named like it. */
export function daemon(name: string, command: string, ...args: string[]): void {
  const start = (): ChildProcess => {
    const log = createWriteStream(path(`${name}.log`), { flags: 'a' });
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    return child;
  };
  children.set(name, { child: start(), start });
}

/** Ends a part of the cluster without asking it; `revive` starts it again. */
export function kill(name: string): void {
  children.get(name)!.child.kill('SIGKILL');
}
export function revive(name: string): void {
  const part = children.get(name)!;
  children.set(name, { ...part, child: part.start() });
}
export const logOf = (name: string): string => readFileSync(path(`${name}.log`), 'utf8');

export async function until<T>(
  what: string,
  holds: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 60_000,
): Promise<T> {
  let last = '';
  for (const deadline = Date.now() + withinMs; Date.now() < deadline;) {
    try {
      const found = await holds();
      if (found !== undefined && found !== false) return found;
      last = '';
    } catch (error) {
      last = (error as Error).message;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`waited in vain for ${what}; ${last}`);
}

/** What the parts write outside the work folder is seen in these namespaces only. */
function files(): void {
  for (const folder of ['/run', '/var/log', path('var-lib')]) {
    mkdirSync(folder, { recursive: true });
    run('mount', '-t', 'tmpfs', 'tmpfs', folder);
  }
  for (const folder of ['upper', 'work']) mkdirSync(path(`var-lib/${folder}`));
  const layers = `lowerdir=/var/lib,upperdir=${path('var-lib/upper')},workdir=${path('var-lib/work')}`;
  run('mount', '-t', 'overlay', 'overlay', '-o', layers, '/var/lib');
}

function network(): void {
  writeFileSync(path('hosts'), `127.0.0.1 localhost\n${NODE_IP} ${NODE}\n`);
  run('mount', '--bind', path('hosts'), '/etc/hosts');
  run('hostname', NODE);
  run('ip', 'link', 'set', 'lo', 'up');
  run('ip', 'link', 'add', 'node0', 'type', 'bridge');
  run('ip', 'address', 'add', `${NODE_IP}/24`, 'dev', 'node0');
  run('ip', 'link', 'set', 'node0', 'up');
  run('ip', 'route', 'add', 'default', 'dev', 'node0');
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  // Ports of the node's loopback address are forwarded to pods.
  writeFileSync('/proc/sys/net/ipv4/conf/all/route_localnet', '1');
  mkdirSync(path('cni'), { recursive: true });
  const plugins = [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: PODS }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ];
  writeFileSync(path('cni/10-bridge.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins }));
}

function kubeconfigFor(): void {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'e2e',
    clusters: [
      {
        name: 'e2e',
        cluster: { server: `https://${NODE_IP}:${API_PORT}`, 'certificate-authority': path('certs/apiserver.crt') },
      },
    ],
    users: [{ name: 'admin', user: { token: TOKEN } }],
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'admin' } }],
  };
  writeFileSync(kubeconfig, stringify(config));
}

async function controlPlane(): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(path('sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }));
  writeFileSync(path('sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(path('tokens.csv'), `${TOKEN},admin,admin,system:masters\n`);
  daemon('etcd', join(tools, 'etcd'), `--data-dir=${path('etcd')}`, '--unsafe-no-fsync', '--log-level=error');
  daemon(
    'kube-apiserver',
    join(tools, 'kube-apiserver'),
    '--etcd-servers=http://127.0.0.1:2379',
    `--secure-port=${API_PORT}`,
    `--bind-address=0.0.0.0`,
    `--advertise-address=${NODE_IP}`,
    `--cert-dir=${path('certs')}`,
    `--token-auth-file=${path('tokens.csv')}`,
    '--authorization-mode=Node,RBAC',
    `--service-account-key-file=${path('sa.pub')}`,
    `--service-account-signing-key-file=${path('sa.key')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-cluster-ip-range=${SERVICES}`,
    '--allow-privileged=true',
  );
  kubeconfigFor();
  await until('the API server', () => kubectl('get', '--raw', '/readyz') === 'ok');
  daemon(
    'kube-controller-manager',
    join(tools, 'kube-controller-manager'),
    `--kubeconfig=${kubeconfig}`,
    `--service-account-private-key-file=${path('sa.key')}`,
    `--root-ca-file=${path('certs/apiserver.crt')}`,
    '--leader-elect=false',
    '--use-service-account-credentials=true',
    '--node-monitor-grace-period=20s',
    `--cert-dir=${path('certs')}`,
  );
  daemon(
    'kube-scheduler',
    join(tools, 'kube-scheduler'),
    `--kubeconfig=${kubeconfig}`,
    '--leader-elect=false',
    `--cert-dir=${path('certs')}`,
  );
  daemon(
    'kube-proxy',
    join(tools, 'kube-proxy'),
    `--kubeconfig=${kubeconfig}`,
    '--proxy-mode=iptables',
    `--cluster-cidr=${PODS}`,
    `--hostname-override=${NODE}`,
    '--conntrack-max-per-core=0',
  );
}

async function containers(): Promise<void> {
  writeFileSync(
    path('containerd.toml'),
    `version = 2
root = "${path('containerd')}"
state = "${path('containerd-state')}"
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${path('cni')}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
`,
  );
  daemon('containerd', 'containerd', '--config', path('containerd.toml'));
  await until('containerd', () => run('ctr', '-a', socket, 'version') !== '');
  importPause();
  run('ctr', '-a', socket, '-n', 'k8s.io', 'images', 'import', path('deeprt.tar'));
  // The previous chart runs the software that is there.
  const image = 'docker.io/library/deeprt';
  run(
    'ctr',
    '-a',
    socket,
    '-n',
    'k8s.io',
    'images',
    'tag',
    `${image}:${process.env['E2E_VERSION']!}`,
    `${image}:0.1.0`,
  );
}

/** The image that holds a pod's namespaces: one static program. */
function importPause(): void {
  const folder = path('pause-image');
  mkdirSync(folder, { recursive: true });
  run('tar', '-C', work, '-cf', join(folder, 'layer.tar'), 'pause');
  const digest = run('sha256sum', join(folder, 'layer.tar')).split(' ')[0]!;
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: ['/pause'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(
    join(folder, 'manifest.json'),
    JSON.stringify([{ Config: 'config.json', RepoTags: [PAUSE], Layers: ['layer.tar'] }]),
  );
  run('tar', '-C', folder, '-cf', path('pause.tar'), 'manifest.json', 'config.json', 'layer.tar');
  run('ctr', '-a', socket, '-n', 'k8s.io', 'images', 'import', path('pause.tar'));
}

async function kubelet(): Promise<void> {
  const config = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    localStorageCapacityIsolation: false,
    containerRuntimeEndpoint: `unix://${socket}`,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    nodeStatusUpdateFrequency: '4s',
    evictionHard: { 'nodefs.available': '1%', 'imagefs.available': '1%', 'nodefs.inodesFree': '1%' },
    registerNode: true,
  };
  for (const controller of execFileSync('ls', ['/sys/fs/cgroup'], { encoding: 'utf8' }).split('\n').filter(Boolean))
    try {
      mkdirSync(`/sys/fs/cgroup/${controller}/${cgroup}`);
    } catch {
      // A file of the unified hierarchy.
    }
  writeFileSync(path('kubelet.yaml'), stringify(config));
  daemon(
    'kubelet',
    join(tools, 'kubelet'),
    `--config=${path('kubelet.yaml')}`,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${NODE}`,
    `--node-ip=${NODE_IP}`,
    `--root-dir=${path('kubelet')}`,
    `--cert-dir=${path('certs')}`,
  );
  await until('the node to be ready', () => /\sReady\s/.test(kubectl('get', 'node', NODE)), 90_000);
}

export async function startCluster(): Promise<void> {
  files();
  network();
  await controlPlane();
  await containers();
  await kubelet();
}
