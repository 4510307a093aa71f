/**
 * Loaded into a process before anything else: its wall clock is wrong by as many milliseconds as the file named in the URL says at
 * each look, and is set whenever that changes. The monotonic clock is as it is.
 */
import { readFileSync } from 'node:fs';

/** What to give Node for a wall clock that this file sets. */
export const skewedClock = (file: string): string => `--import=${import.meta.url}?${encodeURIComponent(file)}`;

const file = decodeURIComponent(new URL(import.meta.url).search.slice(1));
if (file !== '') {
  const now = (): number => realNow() + Number(readFileSync(file, 'utf8'));
  const realNow = Date.now.bind(Date);
  Date.now = now;
  globalThis.Date = new Proxy(Date, {
    construct: (target, args: ConstructorParameters<typeof Date>) =>
      new target(...((args as unknown[]).length === 0 ? ([now()] as unknown as typeof args) : args)),
  });
}
