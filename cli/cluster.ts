import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { apart } from '../agent/device/cores.js';
import { IngestServer, addressText } from '../agent/ingest/server.js';
import { Devices } from '../agent/node/devices.js';
import { Follower } from '../agent/node/follower.js';
import { formatDurationUs } from '../api/duration.js';
import { Cluster } from '../kube/cluster.js';
import { runOperator } from '../operator/operator.js';
import { BadInput } from './directory.js';
import { newLogger } from './log.js';
import type { DeviceFlags } from './options.js';
import {
  credentialsFrom,
  deviceMemoryOption,
  cpuDevicesOption,
  devicesOption,
  deviceOptions,
  durationOption,
  listenArgument,
  listenOption,
  logOption,
  modelsFromOption,
  promiseOption,
  promisedBy,
  providerOption,
  stateOption,
  aborted,
  stopSignal,
  threadsOption,
  tlsOption,
} from './options.js';
import { progressBar } from './progress.js';
import { ownFolder } from './state-folder.js';

interface Address {
  readonly host: string;
  readonly port: number;
}

const kubeconfigOption = (): Option =>
  new Option(
    '--kubeconfig <file>',
    'how to reach the API server; without it the pod’s service account, $KUBECONFIG or ~/.kube/config',
  );

const reportPeriodOption = (): Option =>
  durationOption(
    '--report-period <time>',
    'how often an agent reports at least; the same for operators and agents',
    '30s',
  );

/** @throws BadInput when there is no usable kubeconfig */
function connect(kubeconfig: string | undefined, writer: string): Cluster {
  try {
    return Cluster.load(kubeconfig, writer);
  } catch (error) {
    throw new BadInput(`no API server to talk to: ${(error as Error).message}`);
  }
}

/** The commands that take part in a Kubernetes cluster. */
export function addClusterCommands(program: Command): void {
  program
    .command('operator')
    .description(
      'Runs the control plane: admits InferenceTenants onto the nodes’ measured devices and programs the agents. Of\nseveral operators one leads, elected by a Lease. SIGINT or SIGTERM: finishes what it writes, leaves the Lease free, ends.',
    )
    .addOption(kubeconfigOption())
    .option('--namespace <name>', 'where operators and agents run', process.env['POD_NAMESPACE'] ?? 'deeprt-system')
    .option(
      '--lease-namespace <name>',
      'where the Lease is that all operators of the cluster stand for, whatever namespace they run in',
      'kube-system',
    )
    .addOption(
      durationOption('--lease-duration <time>', 'how long others wait for a leader that does not renew', '20s'),
    )
    .addOption(
      durationOption(
        '--node-grace <time>',
        'how long a node may be not ready before its tenants are placed elsewhere',
        '60s',
      ),
    )
    .addOption(
      durationOption(
        '--agent-silence <time>',
        'how long an agent may not report before it is not believed to serve; at least twice --report-period',
        '90s',
      ),
    )
    .addOption(reportPeriodOption())
    .option('--system-priorities', 'tenants may have Kubernetes’ own priority classes (system-…)', false)
    .option('--tls', 'the agents serve HTTPS (agent --tls-dir): tenants’ Services have port 443 instead of 80', false)
    .addOption(listenOption('--listen <address>', 'address and port of health and metrics', '127.0.0.1:8081'))
    .addOption(logOption())
    .action(
      async (options: {
        kubeconfig?: string;
        namespace: string;
        leaseNamespace: string;
        leaseDuration: number;
        nodeGrace: number;
        agentSilence: number;
        reportPeriod: number;
        systemPriorities: boolean;
        tls: boolean;
        listen: Address;
        log: 'text' | 'json';
      }) => {
        const leaseSeconds = Math.round(options.leaseDuration / 1e6);
        if (leaseSeconds < 2) throw new BadInput('--lease-duration must be at least 2s');
        if (options.agentSilence < 2 * options.reportPeriod)
          throw new BadInput(
            `--agent-silence ${formatDurationUs(options.agentSilence)} is less than twice --report-period ${formatDurationUs(options.reportPeriod)}: agents would count as silent between two reports; give a longer silence, or a shorter period here and to the agents`,
          );
        await runOperator(
          {
            cluster: connect(options.kubeconfig, 'deeprt-operator'),
            namespace: options.namespace,
            leaseNamespace: options.leaseNamespace,
            leaseSeconds,
            nodeGraceMs: options.nodeGrace / 1000,
            agentSilenceMs: options.agentSilence / 1000,
            systemPriorities: options.systemPriorities,
            tls: options.tls,
            listen: options.listen,
            log: newLogger(options.log),
          },
          stopSignal(),
        );
      },
    );

  program
    .command('agent')
    .description(
      'Serves this node: measures its device, publishes the GPUProfile, follows the node’s NodeSchedule and answers frames. Goes on\nserving, also after a restart, while the API server is away. SIGINT or SIGTERM: answers what was accepted, ends.',
    )
    .addOption(kubeconfigOption())
    .addOption(
      new Option('--node-name <name>', 'the Node that this machine is')
        .env('NODE_NAME')
        .default(hostname().toLowerCase()),
    )
    .option('--model-dir <dir>', 'where relative file: URIs of models start', '.')
    .addOption(modelsFromOption())
    .addOption(stateOption())
    .addOption(providerOption())
    .addOption(threadsOption())
    .addOption(devicesOption())
    .addOption(cpuDevicesOption())
    .addOption(deviceMemoryOption())
    .addOption(promiseOption())
    .addOption(listenOption('--listen <address>', 'address and port to serve frames on', '127.0.0.1:8080'))
    .option(
      '--advertise <address>',
      'address and port that cameras reach this node at; the one listened on when not given',
      listenArgument,
    )
    .addOption(reportPeriodOption())
    .addOption(tlsOption())
    .addOption(logOption())
    .action(
      async (
        options: DeviceFlags & {
          kubeconfig?: string;
          nodeName: string;
          modelDir: string;
          modelsFrom?: string[];
          state: string;
          listen: Address;
          advertise?: Address;
          reportPeriod: number;
          tlsDir?: string;
          log: 'text' | 'json';
        },
      ) => {
        const log = newLogger(options.log);
        if (options.advertise === undefined && WILDCARDS.has(options.listen.host))
          throw new BadInput(
            `--listen ${addressText(options.listen)} tells nobody where this node is; give an address and port that cameras reach it at with --advertise`,
          );
        const credentials = await credentialsFrom(options.tlsDir, log);
        const cluster = connect(options.kubeconfig, 'deeprt-agent');
        await ownFolder(options.state);
        const devices = await Devices.start({
          node: options.nodeName,
          devices: apart(await deviceOptions(options)),
          promise: promisedBy(options),
          stateDir: options.state,
          ...(options.modelsFrom === undefined ? {} : { modelsFrom: options.modelsFrom }),
          log,
          progress: progressBar('profiling'),
        });
        const stop = stopSignal();
        const server = new IngestServer(devices, credentials);
        try {
          const { url, address } = await server.listen(options.listen.host, options.listen.port);
          const endpoint = addressText(options.advertise ?? { host: address.address, port: address.port });
          log.info({ url, endpoint }, 'listening');
          const nodeAgent = new Follower(devices, {
            node: options.nodeName,
            cluster,
            stateDir: options.state,
            modelDir: resolve(options.modelDir),
            endpoint,
            reportPeriodMs: options.reportPeriod / 1000,
            log,
          });
          // Measuring may take minutes: who is asked to end does not wait for it.
          await Promise.race([nodeAgent.resume(), aborted(stop)]);
          server.open();
          await Promise.race([nodeAgent.run(stop), aborted(stop, LONGEST_TASK_MS)]);
          await server.drain();
        } finally {
          await devices.stop();
          await cluster.close();
        }
      },
    );
}

/** How long tasks that are under way may take to end by themselves. */
const LONGEST_TASK_MS = 5000;

const WILDCARDS = new Set(['0.0.0.0', '::']);
