import type { ExpectedInput, OutputTensor } from '../frames.js';

/** The Open Inference Protocol v2 over HTTP: JSON tensors and the binary tensor extension. */

/** A request that cannot be served; `status` is the HTTP status, the message is meant for its sender. */
export class BadRequest extends Error {
  readonly status: number;
  readonly code: string;

  constructor(message: string, status = 400, code = 'InvalidRequest') {
    super(message);
    this.status = status;
    this.code = code;
  }
}

interface JsonTensor {
  readonly name?: unknown;
  readonly shape?: unknown;
  readonly datatype?: unknown;
  readonly data?: unknown;
  readonly parameters?: { readonly binary_data_size?: unknown };
}

/** Which outputs are wanted and how. */
export interface WantedOutputs {
  readonly id?: string;
  /** `parameters.sequence_id`: which stream the frame belongs to. */
  readonly sequence?: string;
  /** Name to whether as binary; undefined: all. */
  readonly outputs?: ReadonlyMap<string, boolean>;
  readonly binaryByDefault: boolean;
}

/** [batch][channel][row][column]. */
const DEEPEST_NESTING = 4;

const DATATYPES = { float32: 'FP32', uint8: 'UINT8' } as const;
const OUTPUT_DATATYPES: Readonly<Record<string, string>> = { float16: 'FP16', float32: 'FP32', float64: 'FP64' };

/** An inference request's one frame: its tensor, in parts, and what is wanted of the answer. */
export interface FrameRequest {
  readonly tensor: readonly Uint8Array[];
  readonly wanted: WantedOutputs;
}

/**
 * Reads an inference request's one frame. The tensor is made of views of the body where it came in binary form.
 *
 * @param body as chunks, in order
 * @param headerLength length of the JSON part when binary tensors follow (`Inference-Header-Content-Length`)
 * @throws BadRequest naming the field that is wrong
 */
export function readRequest(
  body: readonly Buffer[],
  headerLength: number | undefined,
  expected: ExpectedInput,
): FrameRequest {
  const total = body.reduce((sum, chunk) => sum + chunk.length, 0);
  if (headerLength !== undefined && !(Number.isInteger(headerLength) && headerLength > 0 && headerLength <= total))
    throw new BadRequest(`Inference-Header-Content-Length must be between 1 and the body's ${total} bytes`);
  const json = take(body, headerLength ?? total);
  let request: {
    id?: unknown;
    inputs?: unknown;
    outputs?: unknown;
    parameters?: { binary_data_output?: unknown; readonly sequence_id?: unknown };
  };
  try {
    request = JSON.parse(json.toString('utf8')) as typeof request;
  } catch (error) {
    throw new BadRequest(
      `the ${headerLength === undefined ? 'body' : 'inference header'} is not JSON: ${(error as Error).message}`,
    );
  }
  if (request === null || typeof request !== 'object' || !Array.isArray(request.inputs))
    throw new BadRequest('inputs: required, a list with one tensor');
  if (request.inputs.length !== 1)
    throw new BadRequest(`inputs: exactly one tensor is expected, not ${request.inputs.length}`);
  const input = request.inputs[0] as JsonTensor | null;
  if (input === null || typeof input !== 'object') throw new BadRequest('inputs[0]: must be a tensor');
  if (input.name !== expected.name) throw new BadRequest(`inputs[0].name: must be "${expected.name}"`);
  const datatype = DATATYPES[expected.elementType];
  if (input.datatype !== datatype)
    throw new BadRequest(`inputs[0].datatype: must be ${datatype}, not ${JSON.stringify(input.datatype)}`);
  const shape = [1, ...expected.dims];
  if (JSON.stringify(input.shape) !== JSON.stringify(shape))
    throw new BadRequest(
      `inputs[0].shape: must be ${JSON.stringify(shape)} (one frame a request), not ${JSON.stringify(input.shape)}`,
    );

  const wanted = wantedOutputs(request);
  const elements = expected.dims.reduce((product, dim) => product * dim, 1);
  if (headerLength === undefined) return { wanted, tensor: [numbers(input.data, expected.elementType, elements)] };
  const bytes = elements * (expected.elementType === 'float32' ? 4 : 1);
  const size = total - headerLength;
  if (input.parameters?.binary_data_size !== size || size !== bytes)
    throw new BadRequest(
      `inputs[0].parameters.binary_data_size: must be ${bytes}, the length of what follows the header (${size})`,
    );
  return { wanted, tensor: skip(body, headerLength) };
}

function wantedOutputs(request: {
  id?: unknown;
  outputs?: unknown;
  parameters?: { binary_data_output?: unknown; readonly sequence_id?: unknown };
}): WantedOutputs {
  if (request.outputs !== undefined && !Array.isArray(request.outputs)) throw new BadRequest('outputs: must be a list');
  const binaryByDefault = request.parameters?.binary_data_output === true;
  const sequenceId = request.parameters?.sequence_id;
  const sequence = typeof sequenceId === 'string' || typeof sequenceId === 'number' ? `${sequenceId}` : undefined;
  const outputs = (request.outputs as { name?: unknown; parameters?: { binary_data?: unknown } }[] | undefined)?.map(
    (output, i): [string, boolean] => {
      if (typeof output?.name !== 'string') throw new BadRequest(`outputs[${i}].name: required`);
      return [
        output.name,
        output.parameters?.binary_data === undefined ? binaryByDefault : output.parameters.binary_data === true,
      ];
    },
  );
  return {
    ...(typeof request.id === 'string' ? { id: request.id.slice(0, 256) } : {}),
    ...(sequence === undefined ? {} : { sequence }),
    ...(outputs === undefined || outputs.length === 0 ? {} : { outputs: new Map(outputs) }),
    binaryByDefault,
  };
}

/** The first `length` bytes of a chunked body. */
function take(body: readonly Buffer[], length: number): Buffer {
  const first = body[0] ?? Buffer.alloc(0);
  return first.length >= length ? first.subarray(0, length) : Buffer.concat(body, length);
}

/** What follows `count` bytes of a chunked body. */
function skip(body: readonly Buffer[], count: number): Uint8Array[] {
  let position = 0;
  return body.flatMap((chunk) => {
    const from = Math.max(0, count - position);
    position += chunk.length;
    return from < chunk.length ? [chunk.subarray(from)] : [];
  });
}

function numbers(data: unknown, elementType: 'float32' | 'uint8', elements: number): Uint8Array {
  const out = elementType === 'float32' ? new Float32Array(elements) : new Uint8Array(elements);
  let position = 0;
  const write = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) {
      if (depth > DEEPEST_NESTING) throw new BadRequest('inputs[0].data: nested deeper than a tensor');
      for (const each of value) write(each, depth + 1);
      return;
    }
    if (typeof value !== 'number') throw new BadRequest(`inputs[0].data: element ${position} is not a number`);
    if (elementType === 'uint8' && !(Number.isInteger(value) && value >= 0 && value <= 255))
      throw new BadRequest(`inputs[0].data: element ${position} is not a UINT8`);
    if (position >= out.length) throw new BadRequest(`inputs[0].data: must have ${out.length} elements, but has more`);
    out[position++] = value;
  };
  if (!Array.isArray(data)) throw new BadRequest('inputs[0].data: required, a list of numbers');
  write(data, 1);
  if (position !== out.length)
    throw new BadRequest(`inputs[0].data: must have ${out.length} elements, not ${position}`);
  return new Uint8Array(out.buffer);
}

/** Numbers that are written as JSON at once; more of them let others in between. */
const JSON_PIECE = 4096;

/** A tensor's values as the inside of a JSON list. */
async function listOf(
  values: OutputTensor['data'],
  type: string,
  turn: (bytes: number) => Promise<void>,
): Promise<string> {
  const pieces: string[] = [];
  for (let from = 0; from < values.length; from += JSON_PIECE) {
    if (from > 0) await turn(JSON_PIECE * values.BYTES_PER_ELEMENT);
    const piece = values.subarray(from, from + JSON_PIECE) as Float32Array;
    const list = Array.from(piece, (value) => (type === 'bool' ? value !== 0 : Number(value)));
    pieces.push(JSON.stringify(list).slice(1, -1));
  }
  return pieces.join(',');
}

/**
 * Frame `index` of a batch's outputs, as the body of an answer: JSON, then views of the binary tensors if any were wanted. A frame that
 * ran alone gets all of them, whatever their first axis is.
 *
 * @param parameters of the answer, asked for last
 * @param limits outputs of more than `jsonBytes` are written in binary form only, and long lists of numbers wait for a `turn` again and again
 * @throws BadRequest when an output is not there, or too large for JSON
 */
export async function writeResponse(
  model: string,
  outputs: readonly OutputTensor[],
  { index, batch }: { readonly index: number; readonly batch: number },
  wanted: WantedOutputs,
  parameters: () => Readonly<Record<string, number | boolean | string>>,
  limits: { readonly jsonBytes: number; readonly turn: (bytes: number) => Promise<void> },
): Promise<{ json: Buffer; binary: readonly Uint8Array[] }> {
  const binary: Uint8Array[] = [];
  const known = new Set(outputs.map(({ name }) => name));
  for (const name of wanted.outputs?.keys() ?? [])
    if (!known.has(name))
      throw new BadRequest(`outputs: the model has no output "${name}"; it has ${[...known].join(', ')}`);
  const written: string[] = [];
  for (const { name, type, dims, data } of outputs) {
    if (wanted.outputs !== undefined && !wanted.outputs.has(name)) continue;
    const length = data.length / batch;
    const values = data.subarray(index * length, (index + 1) * length);
    const shape = batch === 1 ? dims : [1, ...dims.slice(1)];
    const tensor = { name, datatype: OUTPUT_DATATYPES[type] ?? type.toUpperCase(), shape };
    if (wanted.outputs?.get(name) ?? wanted.binaryByDefault) {
      binary.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      written.push(JSON.stringify({ ...tensor, parameters: { binary_data_size: values.byteLength } }));
      continue;
    }
    if (values.byteLength > limits.jsonBytes)
      throw new BadRequest(
        `outputs: "${name}" takes ${values.byteLength} bytes, too many for JSON; ask for it in binary form (parameters.binary_data of the output, parameters.binary_data_output of the request, or Accept: application/octet-stream with an image)`,
        400,
        'OutputTooLargeForJSON',
      );
    written.push(`${JSON.stringify(tensor).slice(0, -1)},"data":[${await listOf(values, type, limits.turn)}]}`);
  }
  const head = { model_name: model, model_version: '1', ...(wanted.id === undefined ? {} : { id: wanted.id }) };
  const json = `${JSON.stringify({ ...head, parameters: parameters() }).slice(0, -1)},"outputs":[${written.join(',')}]}`;
  return { json: Buffer.from(json), binary };
}
