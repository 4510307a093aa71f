/** Figures as people read them. */

export function milliseconds(us: number): string {
  if (us < 50) return `${Math.ceil(us)}us`; // rather than 0.0ms
  return `${(us / 1000).toFixed(1)}ms`;
}

export const percent = (share: number): string => `${Math.round(100 * share)}%`;

export function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)}Mi`;
}
