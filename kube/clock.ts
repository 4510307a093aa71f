/** The wall clock's time for people and other machines (RFC 3339): written, never subtracted. */
export const timestamp = (): string => new Date().toISOString();

/** The same as Kubernetes' MicroTime. */
export const microTime = (): string => timestamp().replace('Z', '000Z');

/** Monotonic time in integer microseconds, the same in all threads of a machine (CLOCK_MONOTONIC). */
export function nowUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
}
