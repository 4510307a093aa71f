import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Read at once; weights inside the file are skipped. */
const WINDOW_BYTES = 256 * 1024;
const MOST_DEPTH = 64;
const LONGEST_TEXT = 4096;

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

/** A message of onnx.proto, as far as it is looked at: every field as the list of its values. */
export interface Message {
  readonly [field: string]: readonly (Message | string | number)[] | undefined;
}

/** The messages that are looked at: by number, each field's name and what it holds, a message or one of two plain kinds. */
const FIELDS: Readonly<Record<string, Readonly<Record<number, readonly [name: string, kind: string]>>>> = {
  Model: { 7: ['graph', 'Graph'], 8: ['opset', 'Opset'], 25: ['function', 'Function'] },
  Opset: { 1: ['domain', 'text'], 2: ['version', 'int'] },
  Graph: {
    1: ['node', 'Node'],
    5: ['initializer', 'Tensor'],
    11: ['input', 'Value'],
    12: ['output', 'Value'],
    15: ['sparse', 'SparseTensor'],
  },
  Function: { 1: ['name', 'text'], 7: ['node', 'Node'], 10: ['domain', 'text'], 11: ['attribute', 'Attribute'] },
  Node: { 4: ['operator', 'text'], 5: ['attribute', 'Attribute'], 7: ['domain', 'text'] },
  Attribute: {
    5: ['tensor', 'Tensor'],
    6: ['graph', 'Graph'],
    10: ['tensor', 'Tensor'],
    11: ['graph', 'Graph'],
    22: ['sparse', 'SparseTensor'],
    23: ['sparse', 'SparseTensor'],
  },
  SparseTensor: { 1: ['tensor', 'Tensor'], 2: ['tensor', 'Tensor'] },
  Tensor: { 8: ['name', 'text'], 13: ['external', 'Entry'] },
  Entry: { 1: ['key', 'text'], 2: ['value', 'text'] },
  Value: { 1: ['name', 'text'], 2: ['type', 'Type'] },
  Type: {
    1: ['tensor', 'TensorType'],
    4: ['sequence', 'Other'],
    5: ['map', 'Other'],
    8: ['sparse', 'Other'],
    9: ['optional', 'Other'],
  },
  TensorType: { 1: ['element', 'int'], 2: ['shape', 'Shape'] },
  Shape: { 1: ['dim', 'Dim'] },
  Dim: { 1: ['value', 'int'], 2: ['name', 'text'] },
  Other: {},
};

/** Reads protocol buffers in their wire format (protobuf.dev, "Encoding"). */
class Reader {
  readonly #bytes: Bytes;
  #at = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  message(kind: string, end: number, depth = 0): Message {
    if (depth > MOST_DEPTH) throw new Error('its graphs are nested too deeply');
    if (end > this.#bytes.size) throw new Error('it ends in the middle of something');
    const found: Record<string, (Message | string | number)[]> = {};
    while (this.#at < end) {
      const key = this.#varint();
      const [name, inner] = FIELDS[kind]![Math.floor(key / 8)] ?? [];
      const value = this.#value(key % 8, inner, end, depth);
      if (name !== undefined && value !== undefined) (found[name] ??= []).push(value);
    }
    return found;
  }

  /** A field's value, where it is one that is looked at. */
  #value(wire: number, kind: string | undefined, end: number, depth: number): Message | string | number | undefined {
    if (wire === 0) {
      const value = this.#varint();
      return kind === 'int' ? value : undefined;
    }
    if (wire !== 1 && wire !== 2 && wire !== 5) throw new Error(`there is a field of wire type ${wire} in it`);
    const length = wire === 2 ? this.#varint() : wire === 1 ? 8 : 4;
    const from = this.#at;
    const after = from + length;
    if (after > end) throw new Error('it ends in the middle of something');
    let value: Message | string | undefined;
    if (wire === 2 && kind === 'text' && length <= LONGEST_TEXT) value = this.#bytes.text(from, length);
    else if (wire === 2 && kind !== undefined && FIELDS[kind] !== undefined)
      value = this.message(kind, after, depth + 1);
    this.#at = after;
    return value;
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
 * What an ONNX file says of itself beside its weights (onnx.proto, `ModelProto`).
 *
 * @throws Error when it is no ONNX file
 */
export function readHead(path: string): Message {
  const fd = openSync(path, 'r');
  try {
    const bytes = new Bytes(fd);
    return new Reader(bytes).message('Model', bytes.size);
  } finally {
    closeSync(fd);
  }
}

/** The messages in a field. */
export const messagesIn = (message: Message | undefined, field: string): readonly Message[] =>
  (message?.[field] ?? []) as readonly Message[];

/** A field's text; empty where it is not there, as protocol buffers have it. */
export const textIn = (message: Message | undefined, field: string): string =>
  (message?.[field]?.at(-1) ?? '') as string;

/** The files beside an ONNX file that its tensors are kept in (onnx/docs/ExternalData.md), as it names them. */
export function externalLocations(head: Message): string[] {
  const locations = new Set<string>();
  const visit = (message: Message): void => {
    for (const entry of messagesIn(message, 'external'))
      if (textIn(entry, 'key') === 'location') locations.add(textIn(entry, 'value'));
    for (const values of Object.values(message))
      for (const value of values ?? []) if (typeof value === 'object') visit(value);
  };
  visit(head);
  return [...locations];
}
