#!/usr/bin/env node
/** What of the deeprt command asks clusters, as a plugin of kubectl by itself: hack/kubectl-plugin.ts makes one file of it. */
import { isNodeNewEnough } from './node-version.js';

if (isNodeNewEnough()) {
  const { run } = await import('./run.js');
  const { CLUSTER_COMMANDS } = await import('./cluster-commands.js');
  await run(CLUSTER_COMMANDS);
}
