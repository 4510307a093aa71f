import type { Command } from 'commander';
import { planFiles, planJson, planTable } from '../plan.js';
import { manifests, profileOption, outputOption, print, EXIT } from './shared.js';

export function planCommand(program: Command): void {
  program
    .command('plan')
    .description(
      'Says which tenants of the folder would be admitted on nodes with these profiles, and why. Needs no device.',
    )
    .addOption(manifests())
    .addOption(profileOption())
    .addOption(outputOption('-o, --output <form>'))
    .action(async (options: { filename: string; profile: string[]; output: 'table' | 'json' }) => {
      const decision = await planFiles(options.filename, options.profile);
      print(options.output === 'json' ? JSON.stringify(planJson(decision), null, 2) : planTable(decision));
      if (decision.verdicts.some(({ admitted }) => !admitted)) process.exitCode = EXIT.notAllAdmitted;
    });
}
