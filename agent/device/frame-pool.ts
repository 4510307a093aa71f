/** Shared memory for frames of one size: the main thread fills slots, the device's thread reads them in place. */
export class FramePool {
  readonly id: number;
  readonly memory: SharedArrayBuffer;
  readonly slotBytes: number;
  readonly slots: number;
  readonly #bytes: Uint8Array;
  readonly #free: number[];

  constructor(id: number, slotBytes: number, slots: number) {
    this.id = id;
    this.slotBytes = slotBytes;
    this.slots = slots;
    this.memory = new SharedArrayBuffer(slotBytes * slots);
    this.#bytes = new Uint8Array(this.memory);
    this.#free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
  }

  /** Takes a slot; undefined when all are in use. */
  take(): number | undefined {
    return this.#free.pop();
  }

  give(slot: number): void {
    this.#free.push(slot);
  }

  bytes(slot: number): Uint8Array {
    return this.#bytes.subarray(slot * this.slotBytes, (slot + 1) * this.slotBytes);
  }
}
