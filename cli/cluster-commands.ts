import type { Listed } from './run.js';

/** The commands that ask a cluster, or have it do something, with nothing of this machine. */
export const CLUSTER_COMMANDS: readonly Listed[] = [
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
