import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Read at once; weights inside the file are skipped. */
const WINDOW_BYTES = 256 * 1024;
const MOST_DEPTH = 64;

/** A file's bytes, of which only those that are looked at are read. */
class Bytes {
  readonly size: number;
  readonly #fd: number;
  readonly #window = Buffer.allocUnsafe(WINDOW_BYTES);
  #from = 0;
  #length = 0;

  constructor(fd: number) {
    this.#fd = fd;
    this.size = fstatSync(fd).size;
  }

  at(position: number): number {
    if (position < this.#from || position >= this.#from + this.#length) {
      this.#from = position;
      this.#length = readSync(this.#fd, this.#window, 0, WINDOW_BYTES, position);
      if (this.#length === 0) throw new Error('it ends in the middle of something');
    }
    return this.#window[position - this.#from]!;
  }

  text(from: number, length: number): string {
    const text = Buffer.alloc(length);
    for (let i = 0; i < length; i++) text[i] = this.at(from + i);
    return text.toString();
  }
}

/** The messages of onnx.proto that lead to tensors: what each of their fields holds, where that is one of them. */
const FIELDS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  Model: { 7: 'Graph', 25: 'Function' },
  Graph: { 1: 'Node', 5: 'Tensor', 15: 'SparseTensor' },
  Function: { 7: 'Node', 11: 'Attribute' },
  Node: { 5: 'Attribute' },
  Attribute: { 5: 'Tensor', 6: 'Graph', 10: 'Tensor', 11: 'Graph', 22: 'SparseTensor', 23: 'SparseTensor' },
  SparseTensor: { 1: 'Tensor', 2: 'Tensor' },
  Tensor: { 13: 'Entry' },
  Entry: {},
};
const LONGEST_ENTRY = 4096;

/** A walk through protocol buffers in their wire format (protobuf.dev, "Encoding"). */
class Walk {
  readonly locations = new Set<string>();
  readonly #bytes: Bytes;
  #at = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  message(kind: string, end: number, depth = 0): void {
    if (depth > MOST_DEPTH) throw new Error('its graphs are nested too deeply');
    if (end > this.#bytes.size) throw new Error('it ends in the middle of something');
    const entry: Record<number, string> = {};
    while (this.#at < end) {
      const key = this.#varint();
      const [field, wire] = [Math.floor(key / 8), key % 8];
      if (wire === 0) this.#varint();
      else if (wire === 1) this.#at += 8;
      else if (wire === 5) this.#at += 4;
      else if (wire === 2) {
        const length = this.#varint();
        const inner = FIELDS[kind]![field];
        const after = this.#at + length;
        if (after > end) throw new Error('it ends in the middle of something');
        if (inner !== undefined) this.message(inner, after, depth + 1);
        else if (kind === 'Entry' && length <= LONGEST_ENTRY) entry[field] = this.#bytes.text(this.#at, length);
        this.#at = after;
      } else throw new Error(`there is a field of wire type ${wire} in it`);
    }
    if (kind === 'Entry' && entry[1] === 'location') this.locations.add(entry[2] ?? '');
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 10; shift++) {
      const byte = this.#bytes.at(this.#at++);
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if (byte < 0x80) return value;
    }
    throw new Error('there is a number in it that does not end');
  }
}

/**
 * The files beside an ONNX file that its tensors are kept in (onnx/docs/ExternalData.md), as it names them.
 *
 * @throws Error when it is no ONNX file
 */
export function externalLocations(path: string): string[] {
  const fd = openSync(path, 'r');
  try {
    const bytes = new Bytes(fd);
    const walk = new Walk(bytes);
    walk.message('Model', bytes.size);
    return [...walk.locations];
  } finally {
    closeSync(fd);
  }
}
