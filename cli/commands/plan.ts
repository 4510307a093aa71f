import type { Command } from 'commander';
import { planFiles, planJson, planTable } from '../plan.js';
import { BadInput } from '../directory.js';
import { fleetFor, fleetText } from '../fleet-file.js';
import { manifests, outputOption, print, EXIT } from './shared.js';

export function planCommand(program: Command): void {
  program
    .command('plan')
    .description(
      'Says which tenants of the folder would be admitted on nodes with these profiles, and why; or, with --fleet, how many\nof which nodes they need. Needs no device.',
    )
    .addOption(manifests())
    .option('--profile <file...>', 'GPUProfile manifests, one or more, as deeprt profile writes them')
    .option('--fleet <file>', 'node types that can be bought: nodeTypes, a list of name, price and profiles')
    .addOption(outputOption('-o, --output <form>'))
    .action(async (options: { filename: string; profile?: string[]; fleet?: string; output: 'table' | 'json' }) => {
      const { fleet, profile } = options;
      if ((fleet === undefined) === (profile === undefined)) throw new BadInput('give either --profile or --fleet');
      if (fleet !== undefined) {
        const planned = await fleetFor(options.filename, fleet);
        print(options.output === 'json' ? JSON.stringify(planned, null, 2) : fleetText(planned));
        if (planned.refused.length > 0) process.exitCode = EXIT.notAllAdmitted;
        return;
      }
      const decision = await planFiles(options.filename, profile!);
      print(options.output === 'json' ? JSON.stringify(planJson(decision), null, 2) : planTable(decision));
      if (decision.verdicts.some(({ admitted }) => !admitted)) process.exitCode = EXIT.notAllAdmitted;
    });
}
