import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { OutputArray, OutputTensor } from '../frames.js';
import { Texts } from '../frames.js';
import { openShared } from './frame-pool.js';

/** Outputs above this many bytes go through shared memory; smaller ones are cheaper in the message itself. */
const SMALL_BYTES = 16 * 1024;
const CAPACITY_BYTES = 256 * 1024 * 1024;

/** By name, what the elements of outputs may come in. */
const ARRAYS: Readonly<Record<string, new (memory: ArrayBuffer) => NodeJS.TypedArray<ArrayBuffer>>> = {
  // Runtimes without it have float16 as Uint16Array.
  ...('Float16Array' in globalThis ? { Float16Array } : {}),
  Float32Array,
  Float64Array,
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  BigInt64Array,
  BigUint64Array,
};

/** What strings travel as: a list in JSON. */
const TEXTS = 'Texts';

function packed(data: OutputArray): { array: string; bytes: Uint8Array } {
  return data instanceof Texts
    ? { array: TEXTS, bytes: Buffer.from(JSON.stringify(data.values)) }
    : { array: data.constructor.name, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

const textsOf = (memory: Uint8Array): Texts => new Texts(JSON.parse(Buffer.from(memory).toString()) as string[]);

/** Outputs on their way from the device's process to the agent. */
export interface PackedOutputs {
  readonly tensors: readonly (Omit<OutputTensor, 'data'> & {
    readonly array: string;
    readonly bytes: number;
    readonly inline?: Uint8Array;
  })[];
  /** Where in the outbox the data of those without any inline begins, one after the other. */
  readonly offset?: number;
}

/**
 * Where a device's process lays large outputs down for the agent. Each side has its own: `pack` and `taken` belong to
 * the process, `unpack` to the agent.
 */
export class Outbox {
  readonly path: string;
  readonly #fd: number;
  #next = 0;
  #untaken = 0;

  private constructor(fd: number, path: string) {
    this.#fd = fd;
    this.path = path;
  }

  static create(): Outbox {
    const { fd, path } = openShared();
    return new Outbox(fd, path);
  }

  static open(path: string): Outbox {
    return new Outbox(openSync(path, 'r+'), path);
  }

  pack(outputs: readonly OutputTensor[]): PackedOutputs {
    const packedData = outputs.map(({ data }) => packed(data));
    const total = packedData.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    const shared = total > SMALL_BYTES && this.#next + total <= CAPACITY_BYTES;
    const offset = this.#next;
    const tensors = outputs.map(({ data: _, ...tensor }, i) => {
      const { array, bytes } = packedData[i]!;
      if (array !== TEXTS && ARRAYS[array] === undefined)
        throw new Error(`output "${tensor.name}" of type ${tensor.type} comes in ${array}, which is not served`);
      const described = { ...tensor, array, bytes: bytes.byteLength };
      if (!shared) return { ...described, inline: bytes };
      for (let written = 0; written < bytes.byteLength;) {
        const more = writeSync(this.#fd, bytes, written, bytes.byteLength - written, this.#next);
        written += more;
        this.#next += more;
      }
      return described;
    });
    if (!shared) return { tensors };
    this.#untaken++;
    return { tensors, offset };
  }

  /** The agent has unpacked outputs that had an offset. */
  taken(): void {
    if (--this.#untaken === 0) this.#next = 0;
  }

  /** The outputs, each in memory of its own. */
  unpack({ tensors, offset = 0 }: PackedOutputs): OutputTensor[] {
    let position = offset;
    return tensors.map(({ array, bytes, inline, ...tensor }) => {
      const memory = new Uint8Array(bytes);
      if (inline !== undefined) memory.set(inline);
      else
        for (let read = 0; read < bytes;) {
          const more = readSync(this.#fd, memory, read, bytes - read, position);
          if (more === 0) throw new Error('the outputs are not in shared memory');
          read += more;
          position += more;
        }
      return { ...tensor, data: array === TEXTS ? textsOf(memory) : new ARRAYS[array]!(memory.buffer) };
    });
  }

  close(): void {
    closeSync(this.#fd);
  }
}
