import type { Command } from 'commander';
import { examine, healthTable } from '../doctor.js';
import { threadsOption } from '../device-options.js';
import { outputOption, print } from './shared.js';

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description(
      'Says which execution providers work on this machine, by running a network on each, and what the others lack.',
    )
    .addOption(threadsOption())
    .addOption(outputOption('-o, --output <form>'))
    .action(async (options: { provider: 'auto'; threads?: number; output: 'table' | 'json' }) => {
      const health = await examine(options);
      print(options.output === 'json' ? JSON.stringify(health, null, 2) : healthTable(health));
    });
}
