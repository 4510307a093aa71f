/** The wall clock's time for people and other machines (RFC 3339): written, never subtracted. */
export const timestamp = (): string => new Date().toISOString();

/** The wall clock's seconds since 1970, to compare with what others have written (RFC 7519's NumericDate). */
export const wallSeconds = (): number => Date.now() / 1000;

/** The same as Kubernetes' MicroTime. */
export const microTime = (): string => timestamp().replace('Z', '000Z');

/** Monotonic time in integer microseconds, the same in all threads of a machine (CLOCK_MONOTONIC). */
export function nowUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
}
