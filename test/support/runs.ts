const SHARE = Number(process.env['RUNS'] ?? 1);

/** How many cases a property is tried on: all of them, or with RUNS=0.1 (`make unit`) a tenth. */
export const runs = (all: number): number => Math.max(10, Math.ceil(all * SHARE));

/** How much of something interesting must have been among them. */
export const among = (all: number): number => all * SHARE;
