import type { Command } from 'commander';
import { explainReason, knownReasons } from '../cluster/explain.js';
import { BadInput } from '../directory.js';
import { print } from './shared.js';

export function explainCommand(program: Command): void {
  program
    .command('explain')
    .description(
      'Says what a reason of the Admitted condition or of status.refusals means, and what helps; docs/troubleshooting.md has all others.',
    )
    .argument('[reason]', 'one of them; all when not given')
    .action((reason?: string) => {
      const told =
        reason === undefined
          ? knownReasons()
              .map((each) => explainReason(each)!)
              .join('\n\n')
          : explainReason(reason);
      if (told === undefined)
        throw new BadInput(`there is no reason ${reason ?? ''}; there are ${knownReasons().join(', ')}`);
      print(told);
    });
}
