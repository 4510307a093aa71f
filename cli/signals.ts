/** Resolves at the first SIGINT or SIGTERM, or when the time is over. */
export function untilStopped(durationUs: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer =
      durationUs === undefined ? setInterval(() => undefined, 1 << 30) : setTimeout(finish, durationUs / 1000);
    function finish(): void {
      clearTimeout(timer);
      process.off('SIGINT', finish);
      process.off('SIGTERM', finish);
      resolve();
    }
    process.on('SIGINT', finish);
    process.on('SIGTERM', finish);
  });
}

/** Resolves so long after the signal is aborted. */
export async function aborted(signal: AbortSignal, afterMs = 0): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await new Promise((resolve) => setTimeout(resolve, afterMs).unref());
}

/** Aborted at the first SIGINT or SIGTERM. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}
