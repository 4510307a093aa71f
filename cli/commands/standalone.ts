import type { Command } from 'commander';
import { apart } from '../../agent/device/cores.js';
import { newLogger } from '../log.js';
import type { ListenFlags } from '../listening.js';
import { ingestOptions, withListenOptions } from '../listening.js';
import type { DeviceFlags } from '../device-options.js';
import { deviceOptions, promisedBy, withDeviceOptions } from '../device-options.js';
import { durationArgument, logOption, stateOption } from '../options.js';
import { untilStopped } from '../signals.js';
import { reportOf, reportTable } from '../report.js';
import { Standalone } from '../standalone.js';
import { manifests, outputOption, print } from './shared.js';

export function standaloneCommand(program: Command): void {
  withListenOptions(withDeviceOptions(program.command('standalone')))
    .description(
      'Runs DeepRT on this machine over a folder of manifests, without a cluster: loads the models, measures the machine\n(or reuses the measurement in --state), admits the tenants, serves their frames over HTTP. Follows the folder while\nit runs. SIGINT or SIGTERM: answers what was accepted, prints the report, ends.',
    )
    .addOption(manifests())
    .option('--duration <time>', 'end after this long, for instance 30s', durationArgument)
    .addOption(outputOption('--report <form>'))
    .addOption(stateOption())
    .option('--no-adaptation', 'without the Adaptation Module, to compare')
    .addOption(logOption())
    .addHelpText(
      'after',
      '\nFrames go to POST /v2/models/<namespace>.<tenant>/infer (Open Inference Protocol v2, or a JPEG or PNG body):\n  curl -H "Content-Type: image/jpeg" --data-binary @frame.jpg http://127.0.0.1:8080/v2/models/default.gate/infer',
    )
    .action(
      async (
        options: DeviceFlags &
          ListenFlags & {
            filename: string;
            duration?: number;
            report: 'table' | 'json';
            state: string;
            adaptation: boolean;
            log: 'text' | 'json';
          },
      ) => {
        const log = newLogger(options.log);
        const standalone = await Standalone.start({
          dir: options.filename,
          stateDir: options.state,
          devices: apart(await deviceOptions(options)),
          promise: promisedBy(options),
          adaptation: options.adaptation,
          listen: options,
          ingest: await ingestOptions(options, undefined, log),
          log,
        });
        const servingSinceMs = performance.now();
        const watcher = standalone.watch();
        await untilStopped(options.duration);
        await watcher.stop();
        await standalone.stop();
        const report = reportOf(standalone, servingSinceMs);
        print(options.report === 'json' ? JSON.stringify(report, null, 2) : reportTable(report));
      },
    );
}
