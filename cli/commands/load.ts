import type { Command } from 'commander';
import { loadTable } from '../load-table.js';
import { runLoad } from '../load.js';
import { seedArgument, durationOption } from '../options.js';
import { manifests, outputOption, print } from './shared.js';

export function loadCommand(program: Command): void {
  program
    .command('load')
    .description(
      'Plays the tenants’ cameras against an agent: each stream sends JPEG frames on its own clock, whether or not answers come back.',
    )
    .addOption(manifests())
    .requiredOption('--target <url>', 'where the agent listens, such as http://127.0.0.1:8080')
    .addOption(durationOption('--duration <time>', 'how long to send', '30s'))
    .option(
      '--frames <dir>',
      'folder of JPEG frames: gate-1.jpg is for tenants gate and gate-north, any for tenants without; drawn noise when not given',
    )
    .option('--seed <n>', 'seed of the cameras’ phases', seedArgument, 1)
    .addOption(outputOption('-o, --output <form>'))
    .action(
      async (options: {
        filename: string;
        target: string;
        duration: number;
        frames?: string;
        seed: number;
        output: 'table' | 'json';
      }) => {
        const tenants = await runLoad({
          dir: options.filename,
          target: options.target,
          durationMs: options.duration / 1000,
          seed: options.seed,
          ...(options.frames === undefined ? {} : { framesDir: options.frames }),
        });
        print(options.output === 'json' ? JSON.stringify({ tenants }, null, 2) : loadTable(tenants));
      },
    );
}
