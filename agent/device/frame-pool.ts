import { closeSync, existsSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

/** Written at once. */
const PIECE_BYTES = 1024 * 1024;

const SHARED_MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A file in memory without a name: it is gone with the last process that has it open. */
export function openShared(): { fd: number; path: string } {
  const path = join(SHARED_MEMORY, `deeprt-${process.pid}-${randomUUID()}`);
  const fd = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  return { fd, path: `/proc/${process.pid}/fd/${fd}` };
}

/**
 * Memory for frames of one size, shared with the device's process: the agent fills slots, the device reads them
 * straight into its batches.
 */
export class FramePool {
  readonly id: number;
  readonly slotBytes: number;
  readonly slots: number;
  /** Where other processes of this node find the memory. */
  readonly path: string;
  /** Never that of another pool, whereas paths are used again. */
  readonly key = randomUUID();
  readonly #fd: number;
  readonly #free: number[];
  #retired: (() => void) | undefined;

  constructor(id: number, slotBytes: number, slots: number) {
    this.id = id;
    this.slotBytes = slotBytes;
    this.slots = slots;
    ({ fd: this.#fd, path: this.path } = openShared());
    this.#free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
  }

  /** Slots that nobody uses. */
  get left(): number {
    return this.#free.length;
  }

  /** Takes a slot; undefined when all are in use. */
  take(): number | undefined {
    return this.#free.pop();
  }

  /**
   * Writes a frame's parts into a slot; large frames piece by piece, so that others are not held up.
   *
   * @throws Error when the shared memory is full
   */
  async write(slot: number, parts: readonly Uint8Array[]): Promise<void> {
    let at = 0;
    for (const part of parts)
      for (let from = 0; from < part.byteLength;) {
        const length = Math.min(PIECE_BYTES, part.byteLength - from);
        const written = writeSync(this.#fd, part, from, length, slot * this.slotBytes + at);
        from += written;
        at += written;
        if (length === PIECE_BYTES) await setImmediate();
      }
  }

  give(slot: number): void {
    this.#free.push(slot);
    this.#closeIfDone();
  }

  /** Gives the memory back once no slot is in use any more, and tells. */
  retire(gone: () => void): void {
    this.#retired = gone;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#retired === undefined || this.#free.length < this.slots) return;
    closeSync(this.#fd);
    this.#retired();
  }
}
