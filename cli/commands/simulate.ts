import type { Command } from 'commander';
import { Option } from 'commander';
import type { Fault } from '../../sched/faults.js';
import { faultArgument, seedArgument, durationOption } from '../options.js';
import type { Policy } from '../policies.js';
import { POLICIES } from '../policies.js';
import { simulateFiles, simulationTable } from '../simulate.js';
import { manifests, profileOption, outputOption, print } from './shared.js';

export function simulateCommand(program: Command): void {
  program
    .command('simulate')
    .description(
      'Runs tenants in virtual time: the very batcher of the agent, seeded phases and jitter, runs at their WCET\nbut for the faults that are asked for.',
    )
    .addOption(manifests())
    .addOption(profileOption())
    .option('--seed <n>', 'seed of phases and jitter', seedArgument, 1)
    .addOption(durationOption('--duration <time>', 'virtual time to cover', '60s'))
    .option(
      '--fault <fault>',
      'something that goes wrong; may be given several times (see below)',
      (text, before: Fault[] | undefined) => faultArgument(text, before),
    )
    .option('--no-adaptation', 'without the Adaptation Module, to compare')
    .addOption(
      new Option(
        '--policy <policy>',
        'by which rule devices serve: ours (rounds), or what to compare it with (see below)',
      )
        .choices(POLICIES)
        .default('rounds'),
    )
    .addOption(outputOption('-o, --output <form>'))
    .addHelpText(
      'after',
      '\nPolicies: rounds: promised frames by quota rounds, all others in spare time; no-spare: the same without spare time;\n  eager: the most urgent first, nothing promised; dynamic-batcher: batches of up to 8, 5ms of delay, first come first\n  served, nothing promised; paper: windows and EDF, for those whom the paper’s admission takes.\n\nFaults, each of one category where category=<model>@<CxHxW> is given, else of all:\n  overrun:factor=2,from=5s,for=2s   runs take twice as long for a while\n  drift:factor=1.3,from=10s         from then on\n  hang:from=12s,for=500ms           a run never ends: after 10 times its WCET (at least 1s) the device is replaced,\n                                    which takes 500ms; frames that are with it, or come before, fail',
    )
    .action(
      async (options: {
        filename: string;
        profile?: string[];
        seed: number;
        duration: number;
        fault?: Fault[];
        adaptation: boolean;
        policy: Policy;
        output: 'table' | 'json';
      }) => {
        const report = await simulateFiles(options.filename, options.profile, {
          seed: options.seed,
          durationUs: options.duration,
          faults: options.fault ?? [],
          adaptation: options.adaptation,
          policy: options.policy,
        });
        print(options.output === 'json' ? JSON.stringify(report, null, 2) : simulationTable(report));
      },
    );
}
