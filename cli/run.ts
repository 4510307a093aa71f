import { Command, CommanderError } from 'commander';
import { VERSION } from '../api/version.js';
import { EXIT } from './commands/shared.js';
import { COMPLETE } from './completion.js';
import { BadInput } from './directory.js';

/** What commands are added by: libraries are only loaded for those that are asked for. */
export type Listed = readonly [names: readonly string[], load: () => Promise<(program: Command) => void>];

/** Does what the command line says. */
export async function run(commands: readonly Listed[]): Promise<void> {
  const program = new Command(
    process.env['DEEPRT_CALLED_AS']?.startsWith('kubectl-') === true ? 'kubectl deeprt' : 'deeprt',
  )
    .description(
      'Soft-real-time inference for camera streams on edge nodes: admission with a latency guarantee, batching across tenants.',
    )
    .version(VERSION)
    .exitOverride()
    .configureHelp({ sortSubcommands: false })
    .addHelpText(
      'after',
      '\nExit codes: 0 good, 2 bad input, 3 not all tenants admitted (plan, what-if, why, wait), 4 not admitted and the promise before goes on (why, wait), 1 anything else.',
    );
  const [first = '', second = ''] = process.argv.slice(2);
  const asked = commands.filter(([names]) => names.includes(first === COMPLETE ? second : first));
  // Whoever asks for help, or for what is not there, sees all of them.
  for (const [, load] of asked.length > 0 ? asked : commands) (await load())(program);

  // Who reads on, such as head, may have seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });

  try {
    if (first === COMPLETE)
      await (await import('./commands/complete.js')).printCompletion(program, process.argv.slice(3));
    else await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.good : EXIT.badInput;
    else {
      process.stderr.write(`deeprt: ${await textOf(error)}\n`);
      process.exitCode = error instanceof BadInput ? EXIT.badInput : EXIT.failed;
    }
  }
}

/** What the API server said of a request, in place of all that came back. */
async function textOf(error: unknown): Promise<string> {
  if (!(error instanceof Error && 'body' in error && 'headers' in error)) return (error as Error).message;
  return (await import('../kube/cluster.js')).reasonOf(error);
}
