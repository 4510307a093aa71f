import { nowUs } from '../clock.js';

/**
 * `Atomics.wait` wakes up to some 0.4 ms late (p99, on a virtual machine), so the last stretch is spent spinning. Longer than this would take a
 * core from others for nothing.
 */
const SPIN_US = 500;

/** A bell that another thread rings: `signal[0]` counts the rings. */
export type Bell = Int32Array<SharedArrayBuffer>;

export const newBell = (): Bell => new Int32Array(new SharedArrayBuffer(4));

export function ring(bell: Bell): void {
  Atomics.add(bell, 0, 1);
  Atomics.notify(bell, 0);
}

/** Sleeps until the instant, or until the bell has rung since it read `heard`. Not for the main thread. */
export function waitUntil(untilUs: number, bell: Bell, heard: number): void {
  const sleepMs = (untilUs - nowUs() - SPIN_US) / 1000;
  if (sleepMs > 0 && Atomics.wait(bell, 0, heard, sleepMs) !== 'timed-out') return;
  while (nowUs() < untilUs && Atomics.load(bell, 0) === heard);
}
