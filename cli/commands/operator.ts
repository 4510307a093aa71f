import type { Command } from 'commander';
import { Option } from 'commander';
import { formatDurationUs } from '../../api/duration.js';
import { runOperator } from '../../operator/operator.js';
import { BadInput } from '../directory.js';
import { newLogger } from '../log.js';
import { logOption, durationOption, listenOption, portArgument } from '../options.js';
import { stopSignal } from '../signals.js';
import type { Address } from '../options.js';
import { credentialsFrom, readersOf, reviewReadersOption } from '../listening.js';
import { kubeconfigOption, reportPeriodOption, connect } from './cluster.js';

/** Timers go no further than 24.8 days. */
const LONGEST_TIMER_US = 24 * 24 * 3_600_000_000;

export function operatorCommand(program: Command): void {
  program
    .command('operator')
    .description(
      'Runs the control plane: admits InferenceTenants onto the nodes’ measured devices and programs the agents. Of\nseveral operators one leads, elected by a Lease. SIGINT or SIGTERM: finishes what it writes, leaves the Lease free, ends.',
    )
    .addOption(kubeconfigOption())
    .option('--namespace <name>', 'where operators run', process.env['POD_NAMESPACE'] ?? 'deeprt-system')
    .option('--agent-namespace <name>', 'where agents run; --namespace when not given')
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
    .addOption(
      durationOption(
        '--reclaim-notice <time>',
        'how long what was borrowed of a team’s share (TenantQuota) may be kept once that team asks for it',
        '30s',
      ),
    )
    .addOption(reportPeriodOption())
    .option('--system-priorities', 'tenants may have Kubernetes’ own priority classes (system-…)', false)
    .option('--tls', 'the agents serve HTTPS (agent --tls-dir): tenants’ Services have port 443 instead of 80', false)
    .addOption(
      new Option(
        '--grpc-port <port>',
        'the agents serve gRPC on this port (agent --grpc): tenants’ Services have it, too; none when not given',
      ).argParser(portArgument),
    )
    .option(
      '--frames-policy <name>',
      'NetworkPolicy of --agent-namespace that lets the namespaces with tenants send frames; none when not given',
    )
    .addOption(
      listenOption('--listen <address>', 'address and port of health, metrics and the live page', '127.0.0.1:8081'),
    )
    .option(
      '--tls-dir <dir>',
      'serve these over HTTPS with tls.crt and tls.key of this folder, followed when they are renewed',
    )
    .addOption(reviewReadersOption())
    .addOption(logOption())
    .action(
      async (options: {
        kubeconfig?: string;
        namespace: string;
        agentNamespace?: string;
        leaseNamespace: string;
        leaseDuration: number;
        nodeGrace: number;
        agentSilence: number;
        reclaimNotice: number;
        reportPeriod: number;
        systemPriorities: boolean;
        tls: boolean;
        grpcPort?: number;
        framesPolicy?: string;
        listen: Address;
        tlsDir?: string;
        reviewReaders?: boolean;
        log: 'text' | 'json';
      }) => {
        const leaseSeconds = Math.round(options.leaseDuration / 1e6);
        if (leaseSeconds < 2) throw new BadInput('--lease-duration must be at least 2s');
        for (const [flag, us] of [
          ['--reclaim-notice', options.reclaimNotice],
          ['--node-grace', options.nodeGrace],
        ] as const)
          if (us > LONGEST_TIMER_US)
            throw new BadInput(`${flag} must be at most ${formatDurationUs(LONGEST_TIMER_US)}`);
        if (options.agentSilence < 2 * options.reportPeriod)
          throw new BadInput(
            `--agent-silence ${formatDurationUs(options.agentSilence)} is less than twice --report-period ${formatDurationUs(options.reportPeriod)}: agents would count as silent between two reports; give a longer silence, or a shorter period here and to the agents`,
          );
        const log = newLogger(options.log);
        const cluster = connect(options.kubeconfig, 'deeprt-operator');
        await runOperator(
          {
            cluster,
            namespace: options.namespace,
            agentNamespace: options.agentNamespace ?? options.namespace,
            leaseNamespace: options.leaseNamespace,
            leaseSeconds,
            nodeGraceMs: options.nodeGrace / 1000,
            agentSilenceMs: options.agentSilence / 1000,
            reclaimNoticeMs: options.reclaimNotice / 1000,
            systemPriorities: options.systemPriorities,
            tls: options.tls,
            grpcPort: options.grpcPort,
            framesPolicy: options.framesPolicy,
            admin: {
              listen: options.listen,
              credentials: await credentialsFrom(options.tlsDir, undefined, log),
              readers: readersOf(options, options.listen, cluster),
            },
            log,
          },
          stopSignal(),
        );
      },
    );
}
