import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { apart } from '../../agent/device/cores.js';
import { IngestServer, addressText } from '../../agent/ingest/server.js';
import { Devices } from '../../agent/node/devices.js';
import { Follower } from '../../agent/node/follower.js';
import { FollowedIssuerKeys } from '../../agent/node/issuer-keys.js';
import { BadInput } from '../directory.js';
import { newLogger } from '../log.js';
import type { DeviceFlags } from '../device-options.js';
import type { Address } from '../options.js';
import { deviceOptions, promisedBy, withDeviceOptions } from '../device-options.js';
import { listenArgument, logOption, stateOption, modelsFromOption } from '../options.js';
import { aborted, stopSignal } from '../signals.js';
import { progressBar } from '../progress.js';
import type { ListenFlags } from '../listening.js';
import { ingestOptions, listen, readersOf, reviewReadersOption, withListenOptions } from '../listening.js';
import { ownFolder } from '../state-folder.js';
import { kubeconfigOption, reportPeriodOption, connect } from './cluster.js';

/** How long tasks that are under way may take to end by themselves. */
const LONGEST_TASK_MS = 5000;

const WILDCARDS = new Set(['0.0.0.0', '::']);

export function agentCommand(program: Command): void {
  withListenOptions(withDeviceOptions(program.command('agent')))
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
    .option(
      '--advertise <address>',
      'address and port that cameras reach this node at; the one listened on when not given',
      listenArgument,
    )
    .addOption(reportPeriodOption())
    .addOption(reviewReadersOption())
    .addOption(logOption())
    .action(
      async (
        options: DeviceFlags &
          ListenFlags & {
            kubeconfig?: string;
            nodeName: string;
            modelDir: string;
            modelsFrom?: string[];
            state: string;
            advertise?: Address;
            reportPeriod: number;
            reviewReaders?: boolean;
            log: 'text' | 'json';
          },
      ) => {
        const log = newLogger(options.log);
        if (options.advertise === undefined && WILDCARDS.has(options.listen.host))
          throw new BadInput(
            `--listen ${addressText(options.listen)} tells nobody where this node is; give an address and port that cameras reach it at with --advertise`,
          );
        const cluster = connect(options.kubeconfig, 'deeprt-agent');
        const keys = new FollowedIssuerKeys(cluster, options.state, log);
        const ingest = await ingestOptions(options, keys, log);
        const readers = readersOf(options, options.admin ?? options.listen, cluster);
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
        const server = new IngestServer(devices, { ...ingest, readers });
        try {
          if (ingest.senders.mode !== 'Anyone') await keys.start();
          const { url, address } = await listen(server, options, log);
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
          keys.stop();
          await devices.stop();
          await cluster.close();
        }
      },
    );
}
