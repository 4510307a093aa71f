/** A bell that another thread rings: `signal[0]` counts the rings. */
export type Bell = Int32Array<SharedArrayBuffer>;

export const newBell = (): Bell => new Int32Array(new SharedArrayBuffer(4));

export function ring(bell: Bell): void {
  Atomics.add(bell, 0, 1);
  Atomics.notify(bell, 0);
}

/** Sleeps for so long, or until the bell has rung since it read `heard`. Not for the main thread. */
export function sleep(us: number, bell: Bell, heard: number): void {
  if (us > 0) Atomics.wait(bell, 0, heard, us / 1000);
}
