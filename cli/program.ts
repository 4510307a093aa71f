import { CLUSTER_COMMANDS } from './cluster-commands.js';
import { run } from './run.js';

await run([
  [['standalone'], async () => (await import('./commands/standalone.js')).standaloneCommand],
  [['profile'], async () => (await import('./commands/profile.js')).profileCommand],
  [['plan'], async () => (await import('./commands/plan.js')).planCommand],
  [['simulate'], async () => (await import('./commands/simulate.js')).simulateCommand],
  [['load'], async () => (await import('./commands/load.js')).loadCommand],
  [['doctor'], async () => (await import('./commands/doctor.js')).doctorCommand],
  [['install-provider'], async () => (await import('./commands/install-provider.js')).installProviderCommand],
  [['operator'], async () => (await import('./commands/operator.js')).operatorCommand],
  [['agent'], async () => (await import('./commands/agent.js')).agentCommand],
  ...CLUSTER_COMMANDS,
]);
