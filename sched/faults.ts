/** What may go wrong with a device, in virtual time. */
export interface Fault {
  /** `overrun` ends, `drift` does not, `hang` costs the device. */
  readonly kind: 'overrun' | 'drift' | 'hang';
  /** Only runs of this category; of all where absent. */
  readonly category?: string;
  readonly fromUs: number;
  /** How long an overrun goes on; how long a hung device takes to be replaced once that is noticed. */
  readonly forUs: number;
  /** By how many times runs take longer. */
  readonly factor: number;
}

/** A run that takes this many times its WCET hangs, but not before this long. */
export const HANG_FACTOR = 10;
export const SHORTEST_HANG_US = 1_000_000;

/** When a run is taken for a hang. */
export function hangLimitUs(wcetUs: number): number {
  return Math.max(SHORTEST_HANG_US, HANG_FACTOR * wcetUs);
}

/** How many times longer a run that starts now takes. */
export function slowdown(faults: readonly Fault[], category: string, atUs: number): number {
  return faults
    .filter((fault) => fault.kind !== 'hang' && concerns(fault, category) && atUs >= fault.fromUs)
    .filter(({ kind, fromUs, forUs }) => kind === 'drift' || atUs < fromUs + forUs)
    .reduce((product, { factor }) => product * factor, 1);
}

/** The hang that a run of this category that starts now falls victim to. */
export function hangOf(faults: readonly Fault[], category: string, atUs: number): Fault | undefined {
  return faults.find((fault) => fault.kind === 'hang' && concerns(fault, category) && atUs >= fault.fromUs);
}

const concerns = (fault: Fault, category: string): boolean =>
  fault.category === undefined || fault.category === category;
