/** Numbers as people read them. */

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export const milliseconds = (us: number): string => (us / 1000).toFixed(us < 100_000 ? 1 : 0);

export const perSecond = (rate: number): string => rate.toFixed(1);

/** A share of what there is; nothing of nothing. */
export const ratio = (part: number, whole: number): string => (whole === 0 ? 'none came' : percent(part / whole));

export const clockTime = (rfc3339: string): string => rfc3339.slice(11, 19);

export function ago(seconds: number | undefined): string {
  if (seconds === undefined) return 'never';
  return seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
}
