/** A thread for reading and deciding: with hundreds of tenants that takes longer than frames should wait. */
import { parentPort, workerData } from 'node:worker_threads';
import { BadInput } from './directory.js';
import type { Decided, PlannerOptions, Reading } from './planner.js';
import { Planner } from './planner.js';

/** What the thread is asked, one question at a time. */
export type Question =
  { readonly ask: 'read' } | { readonly ask: 'decide'; readonly profiles: Parameters<Planner['decide']>[0] };
export type Reply = { readonly value: Reading | Decided } | { readonly error: string; readonly isBadInput: boolean };

const port = parentPort!;
const planner = new Planner(workerData as PlannerOptions);
port.on('message', (question: Question) => {
  const answered = question.ask === 'read' ? planner.read() : planner.decide(question.profiles);
  answered.then(
    (value) => port.postMessage({ value } satisfies Reply),
    (error: unknown) =>
      port.postMessage({ error: (error as Error).message, isBadInput: error instanceof BadInput } satisfies Reply),
  );
});
