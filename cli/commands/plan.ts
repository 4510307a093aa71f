import type { Command } from 'commander';
import { Option } from 'commander';
import { planFiles, planJson, planTable } from '../plan.js';
import { fleetFor, fleetText } from '../fleet-file.js';
import { manifests, outputOption, profileOption, print, EXIT } from './shared.js';

export function planCommand(program: Command): void {
  program
    .command('plan')
    .description(
      'Says which tenants of the folder would be admitted on nodes with these profiles, and why; or, with --fleet, how many\nof which nodes they need. Needs no device.',
    )
    .addOption(manifests())
    .addOption(profileOption())
    .addOption(
      new Option(
        '--fleet <file>',
        'node types that can be bought: nodeTypes, a list of name, price and profiles',
      ).conflicts('profile'),
    )
    .addOption(outputOption('-o, --output <form>'))
    .action(async (options: { filename: string; profile?: string[]; fleet?: string; output: 'table' | 'json' }) => {
      const { fleet, profile } = options;
      if (fleet !== undefined) {
        const planned = await fleetFor(options.filename, fleet);
        print(options.output === 'json' ? JSON.stringify(planned, null, 2) : fleetText(planned));
        if (planned.refused.length > 0) process.exitCode = EXIT.notAllAdmitted;
        return;
      }
      const decision = await planFiles(options.filename, profile);
      print(options.output === 'json' ? JSON.stringify(planJson(decision), null, 2) : planTable(decision));
      if (decision.verdicts.some(({ admitted }) => !admitted)) process.exitCode = EXIT.notAllAdmitted;
    });
}
