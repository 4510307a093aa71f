import TinyQueue from 'tinyqueue';
import type { OutputTensor } from '../../frames.js';
import { Texts } from '../../frames.js';
import { BadRequest } from './bad-request.js';
import { datatypeOf, jsonList } from './datatypes.js';
import type { WantedOutput, WantedOutputs } from './request.js';

/** Answers of the Open Inference Protocol v2. */

/** Numbers that are written as JSON at once; more of them let others in between. */
const JSON_PIECE = 4096;

/** A frame's answer: JSON, then views of the binary tensors if any were wanted. */
export interface WrittenAnswer {
  readonly json: Buffer;
  readonly binary: readonly Uint8Array[];
}

export interface WritingLimits {
  /** Outputs of more bytes are written in binary form only. */
  readonly jsonBytes: number;
  /** Long lists of numbers wait for a turn again and again. */
  readonly turn: (bytes: number) => Promise<void>;
}

/**
 * A frame's answer over HTTP.
 *
 * @param parameters of the answer, asked for last
 * @throws BadRequest when an output is not there, or too large for JSON
 */
export async function writeResponse(
  model: string,
  outputs: readonly OutputTensor[],
  { index, batch }: { readonly index: number; readonly batch: number },
  wanted: WantedOutputs,
  parameters: () => Readonly<Record<string, number | boolean | string>>,
  limits: WritingLimits,
): Promise<WrittenAnswer> {
  const binary: Uint8Array[] = [];
  const written: string[] = [];
  for (const { name, datatype, shape, want, valueBytes, bytes, list } of answered(outputs, { index, batch }, wanted)) {
    if (want.binary) {
      const part = bytes();
      binary.push(part);
      written.push(JSON.stringify({ name, datatype, shape, parameters: { binary_data_size: part.byteLength } }));
      continue;
    }
    if (valueBytes > limits.jsonBytes)
      throw new BadRequest(
        `outputs: "${name}" takes ${valueBytes} bytes, too many for JSON; ask for it in binary form (parameters.binary_data of the output, parameters.binary_data_output of the request, or Accept: application/octet-stream with an image)`,
        400,
        'OutputTooLargeForJSON',
      );
    const head = JSON.stringify({ name, datatype, shape }).slice(0, -1);
    written.push(`${head},"data":[${await list(limits.turn)}]}`);
  }
  const head = { model_name: model, model_version: '1', ...(wanted.id === undefined ? {} : { id: wanted.id }) };
  const json = `${JSON.stringify({ ...head, parameters: parameters() }).slice(0, -1)},"outputs":[${written.join(',')}]}`;
  return { json: Buffer.from(json), binary };
}

/** The outputs that are wanted, in the order in which they were asked for. */
function chosen(outputs: readonly OutputTensor[], wanted: WantedOutputs): [OutputTensor, WantedOutput][] {
  if (wanted.outputs === undefined) return outputs.map((output) => [output, { binary: wanted.binaryByDefault }]);
  return [...wanted.outputs].map(([name, want]) => {
    const output = outputs.find((each) => each.name === name);
    if (output !== undefined) return [output, want];
    const names = outputs.map((each) => each.name).join(', ');
    throw new BadRequest(`outputs: the model has no output "${name}"; it has ${names}`);
  });
}

/** An output of one frame, as it is to be written. */
export interface AnsweredOutput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly want: WantedOutput;
  /** What its values take, in bytes. */
  readonly valueBytes: number;
  /** As a binary tensor. */
  readonly bytes: () => Uint8Array;
  /** As the inside of a JSON list. */
  readonly list: (turn: WritingLimits['turn']) => Promise<string>;
}

/**
 * Frame `index` of a batch's outputs, those that are wanted. A frame that ran alone gets all of them, whatever their first axis is.
 *
 * @throws BadRequest when an output is not there
 */
export function answered(
  outputs: readonly OutputTensor[],
  { index, batch }: { readonly index: number; readonly batch: number },
  wanted: WantedOutputs,
): AnsweredOutput[] {
  return chosen(outputs, wanted).map(([output, want]) => {
    const { dims, data } = output;
    const length = data.length / batch;
    const values = data.subarray(index * length, (index + 1) * length);
    const frame: OutputTensor = { ...output, dims: batch === 1 ? dims : [1, ...dims.slice(1)], data: values };
    return { ...(want.classes === undefined ? plain(frame) : classified(frame, want.classes)), want };
  });
}

type Written = Omit<AnsweredOutput, 'want'>;

const plain = ({ name, type, dims, data }: OutputTensor): Written => ({
  name,
  datatype: datatypeOf(type),
  shape: dims,
  valueBytes: data.byteLength,
  bytes: () =>
    data instanceof Texts ? bytesTensor(data.values) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  list: async (turn) => {
    const pieces: string[] = [];
    for (let from = 0; from < data.length; from += JSON_PIECE) {
      if (from > 0) await turn((JSON_PIECE * data.byteLength) / data.length);
      pieces.push(jsonList(data.subarray(from, from + JSON_PIECE), type));
    }
    return pieces.join(',');
  },
});

/** The largest values with their places, as `value:index` (Triton's classification extension). */
function classified({ name, type, data }: OutputTensor, classes: number): Written {
  if (data instanceof Texts)
    throw new BadRequest(`outputs: "${name}" is of ${datatypeOf(type)}, which has no largest values to classify by`);
  const texts = largest(data as ArrayLike<number | bigint>, classes).map(
    ({ value, place }) => `${value.toFixed(6)}:${place}`,
  );
  return {
    name,
    datatype: 'BYTES',
    shape: [1, texts.length],
    valueBytes: 0,
    bytes: () => bytesTensor(texts),
    list: () => Promise.resolve(texts.map((text) => JSON.stringify(text)).join(',')),
  };
}

interface Ranked {
  readonly value: number;
  readonly place: number;
}

/** The `most` largest values, the largest first; of equal ones the first. In one pass: outputs may be large, and the thread is everybody's. */
function largest(values: ArrayLike<number | bigint>, most: number): Ranked[] {
  const kept = new TinyQueue<Ranked>([], (a, b) => a.value - b.value || b.place - a.place);
  for (let place = 0; place < values.length; place++) {
    const value = Number(values[place]);
    if (kept.length === most && !(value > kept.peek()!.value)) continue;
    kept.push({ value, place });
    if (kept.length > most) kept.pop();
  }
  const found: Ranked[] = [];
  for (let each = kept.pop(); each !== undefined; each = kept.pop()) found.push(each);
  return found.reverse();
}

/** A tensor of BYTES: each element after its length in four bytes, the least first. */
function bytesTensor(texts: readonly string[]): Uint8Array {
  return Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}
