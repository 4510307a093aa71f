import { Command, CommanderError } from 'commander';
import { VERSION } from '../api/version.js';
import { EXIT } from './commands/shared.js';
import { COMPLETE } from './completion.js';
import { BadInput } from './directory.js';

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

/** What each command is added by; libraries are only loaded for those that are asked for. */
const COMMANDS: readonly (readonly [names: readonly string[], load: () => Promise<(program: Command) => void>])[] = [
  [['standalone'], async () => (await import('./commands/standalone.js')).standaloneCommand],
  [['profile'], async () => (await import('./commands/profile.js')).profileCommand],
  [['plan'], async () => (await import('./commands/plan.js')).planCommand],
  [['simulate'], async () => (await import('./commands/simulate.js')).simulateCommand],
  [['load'], async () => (await import('./commands/load.js')).loadCommand],
  [['doctor'], async () => (await import('./commands/doctor.js')).doctorCommand],
  [['install-provider'], async () => (await import('./commands/install-provider.js')).installProviderCommand],
  [['operator'], async () => (await import('./commands/operator.js')).operatorCommand],
  [['agent'], async () => (await import('./commands/agent.js')).agentCommand],
  [
    ['why', 'wait', 'trace', 'capacity', 'what-if', 'top', 'check'],
    async () => (await import('./commands/questions.js')).questionCommands,
  ],
  [
    ['pause', 'resume', 'reprofile', 'support-bundle'],
    async () => (await import('./commands/actions.js')).actionCommands,
  ],
  [['explain'], async () => (await import('./commands/explain.js')).explainCommand],
];
const [first = '', second = ''] = process.argv.slice(2);
const asked = COMMANDS.filter(([names]) => names.includes(first === COMPLETE ? second : first));
// Whoever asks for help, or for what is not there, sees all of them.
for (const [, load] of asked.length > 0 ? asked : COMMANDS) (await load())(program);

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
    process.stderr.write(`deeprt: ${(error as Error).message}\n`);
    process.exitCode = error instanceof BadInput ? EXIT.badInput : EXIT.failed;
  }
}
