const UNIT_US: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 };

/** Reads a Go-style duration such as `33ms` or `1m30s` as integer microseconds; a fraction below 1 µs is cut off. */
export function parseDurationUs(text: string): number {
  if (!/^([0-9]+(\.[0-9]+)?(us|ms|s|m|h))+$/.test(text))
    throw new RangeError(`"${text}" is not a duration; write a number and a unit (us, ms, s, m, h), for instance 33ms`);
  let totalUs = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(us|ms|s|m|h)/g)) totalUs += Number(amount) * UNIT_US[unit!]!;
  // Products such as 1.1 * 1e3 land a hair beside the integer that is meant.
  return Math.floor(totalUs + 1e-6);
}

/** Writes microseconds as the shortest exact duration: 100000 is `100ms`. */
export function formatDurationUs(us: number): string {
  for (const unit of ['s', 'ms']) if (us % UNIT_US[unit]! === 0) return `${us / UNIT_US[unit]!}${unit}`;
  return us > 1000 ? `${us / 1000}ms` : `${us}us`;
}
