import { fork } from 'node:child_process';
import { once } from 'node:events';
import { hangLimitUs } from '../../../sched/faults.js';
import type { Provider, SessionSettings } from './providers.js';
import { PROVIDERS, explainFailure } from './providers.js';
import { runtimeEnvironment } from './runtime.js';

/** What came of trying a provider. */
export interface Probe {
  readonly provider: Provider;
  /** Why it cannot be used here; undefined when it can. */
  readonly failure?: string;
  /** From nothing to the first answer, in milliseconds. */
  readonly tookMs: number;
}

/** What the probing process answers; none when it crashes. */
export interface ProbeAnswer {
  readonly error?: string;
}

const LONGEST_MS = Math.max(60_000, hangLimitUs(0) / 1000);
const MOST_OUTPUT = 64 * 1024;

/** Creates a session and runs it, in a process of its own: a provider's libraries may crash it. */
export async function probe(settings: SessionSettings): Promise<Probe> {
  const sinceMs = performance.now();
  const child = fork(new URL('./probe-process.js', import.meta.url), {
    silent: true,
    execArgv: [],
    env: runtimeEnvironment(),
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => {
      if (output.length < MOST_OUTPUT) output += chunk.toString();
    });
  let answer: ProbeAnswer | undefined;
  child.on('message', (message) => (answer = message as ProbeAnswer));
  const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
  child.send(settings);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearTimeout(timer);
  const tookMs = performance.now() - sinceMs;
  const { provider } = settings;
  if (answer !== undefined && answer.error === undefined) return { provider, tookMs };
  const message =
    answer?.error ??
    (tookMs >= LONGEST_MS
      ? `gave no answer within ${LONGEST_MS / 1000}s`
      : `crashed the process that tried it (${signal ?? `code ${code}`})`);
  return { provider, tookMs, failure: explainFailure(message, output) };
}

/** Tries these, each in a process of its own and all at once. */
export const tryProviders = (
  settings: Omit<SessionSettings, 'provider'>,
  providers: readonly Provider[] = PROVIDERS,
): Promise<Probe[]> => Promise.all(providers.map((provider) => probe({ ...settings, provider })));

/** The first that works, in the order of the providers; the CPU always does, and need not be tried for that. */
export const chosenOf = (tried: readonly Probe[]): Provider =>
  tried.find(({ failure }) => failure === undefined)?.provider ?? 'cpu';
