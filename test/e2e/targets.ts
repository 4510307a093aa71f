import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { kubectlJson } from './node.js';

const PERIOD_MS = 1000;
const work = process.env['E2E_WORK']!;

interface Pod {
  readonly metadata: { readonly labels: Record<string, string> };
  readonly spec: { readonly nodeName: string };
  readonly status: { readonly podIP?: string };
}

/** Tells Prometheus where the pods are; Debian's cannot ask the API server itself. */
function retarget(): void {
  const { items } = kubectlJson<{ items: Pod[] }>('-n', 'deeprt-system', 'get', 'pods');
  const of = (component: string, port: number): object[] =>
    items
      .filter(({ metadata, status }) => metadata.labels['app.kubernetes.io/component'] === component && status.podIP)
      .map(({ spec, status }) => ({
        targets: [`${status.podIP!}:${port}`],
        // As the PodMonitor of the agents has it.
        labels: component === 'agent' ? { node: spec.nodeName } : {},
      }));
  writeFileSync(join(work, 'operator.json'), JSON.stringify(of('operator', 8081)));
  writeFileSync(join(work, 'agent.json'), JSON.stringify(of('agent', 8081)));
}

/** Follows the pods from now on, on a thread of its own: the story waits for commands. */
export async function followPods(): Promise<void> {
  await once(new Worker(new URL(import.meta.url)), 'message');
}

if (!isMainThread) {
  retarget();
  parentPort!.postMessage('followed');
  setInterval(() => {
    try {
      retarget();
    } catch {
      // The API server is busy; the next look is soon.
    }
  }, PERIOD_MS);
}
