#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { VERSION } from '../api/version.js';
import { agentCommand } from './commands/agent.js';
import { doctorCommand } from './commands/doctor.js';
import { installProviderCommand } from './commands/install-provider.js';
import { loadCommand } from './commands/load.js';
import { operatorCommand } from './commands/operator.js';
import { planCommand } from './commands/plan.js';
import { profileCommand } from './commands/profile.js';
import { EXIT } from './commands/shared.js';
import { simulateCommand } from './commands/simulate.js';
import { standaloneCommand } from './commands/standalone.js';
import { BadInput } from './directory.js';

const program = new Command('deeprt')
  .description(
    'Soft-real-time inference for camera streams on edge nodes: admission with a latency guarantee, batching across tenants.',
  )
  .version(VERSION)
  .exitOverride()
  .configureHelp({ sortSubcommands: false })
  .addHelpText('after', '\nExit codes: 0 good, 2 bad input, 3 not all tenants admitted (plan), 1 anything else.');

for (const add of [
  standaloneCommand,
  profileCommand,
  planCommand,
  simulateCommand,
  loadCommand,
  doctorCommand,
  installProviderCommand,
  operatorCommand,
  agentCommand,
])
  add(program);

// Who reads on, such as head, may have seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.good : EXIT.badInput;
  else {
    process.stderr.write(`deeprt: ${(error as Error).message}\n`);
    process.exitCode = error instanceof BadInput ? EXIT.badInput : EXIT.failed;
  }
}
