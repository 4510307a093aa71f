/** Tries a provider on behalf of `probe`: creates a session on it and runs a batch. */
import type { ProbeAnswer } from './probe.js';
import type { SessionSettings } from './providers.js';
import { Resizer, halve } from '../thread/resizer.js';

process.once('message', (settings: SessionSettings) => {
  const answer = (answer: ProbeAnswer): void => void process.send!(answer, () => process.exit());
  Resizer.open('float32', 'NCHW', settings)
    .then(halve)
    .then(
      () => answer({}),
      (error: unknown) => answer({ error: (error as Error).message }),
    );
});
