import { closeSync, existsSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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
  /** Where the device's process finds the memory. */
  readonly path: string;
  readonly #fd: number;
  readonly #free: number[];
  /** Frames that are being put together, by their slot. */
  readonly #staged = new Map<number, Uint8Array>();
  readonly #spare: Uint8Array[] = [];
  #retired: (() => void) | undefined;

  constructor(id: number, slotBytes: number, slots: number) {
    this.id = id;
    this.slotBytes = slotBytes;
    this.slots = slots;
    ({ fd: this.#fd, path: this.path } = openShared());
    this.#free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
  }

  /** Takes a slot; undefined when all are in use. */
  take(): number | undefined {
    return this.#free.pop();
  }

  /** Where a slot's frame is put together; the device sees it once it is published. */
  stage(slot: number): Uint8Array {
    const bytes = this.#staged.get(slot) ?? this.#spare.pop() ?? new Uint8Array(this.slotBytes);
    this.#staged.set(slot, bytes);
    return bytes;
  }

  /** @throws Error when the shared memory is full */
  publish(slot: number): void {
    const bytes = this.#staged.get(slot);
    if (bytes === undefined) throw new Error(`nothing was put into slot ${slot}`);
    for (let written = 0; written < bytes.byteLength;)
      written += writeSync(this.#fd, bytes, written, bytes.byteLength - written, slot * this.slotBytes + written);
    this.#unstage(slot);
  }

  give(slot: number): void {
    this.#unstage(slot);
    this.#free.push(slot);
    this.#closeIfDone();
  }

  /** Gives the memory back once no slot is in use any more, and tells. */
  retire(gone: () => void): void {
    this.#retired = gone;
    this.#closeIfDone();
  }

  #unstage(slot: number): void {
    const bytes = this.#staged.get(slot);
    if (bytes !== undefined) this.#spare.push(bytes);
    this.#staged.delete(slot);
  }

  #closeIfDone(): void {
    if (this.#retired === undefined || this.#free.length < this.slots) return;
    closeSync(this.#fd);
    this.#retired();
  }
}
