import type { ElementType, ExpectedInput } from '../../frames.js';
import { BadRequest } from './bad-request.js';
import { bytesPerElement, datatypeOf, numberOf } from './datatypes.js';
import type { Parameters } from './parameters.js';
import { flagAt, objectAt, parametersOf } from './parameters.js';

/** Requests of the Open Inference Protocol v2: JSON tensors and the binary tensor extension. */

/** How an output is wanted. */
export interface WantedOutput {
  readonly binary: boolean;
  /** So many of its largest values, with their places, instead of all values (Triton's classification extension). */
  readonly classes?: number;
}

/** Which outputs are wanted and how. */
export interface WantedOutputs extends Parameters {
  readonly id?: string;
  /** By name, in the order in which they are to be written; undefined: all. */
  readonly outputs?: ReadonlyMap<string, WantedOutput>;
}

/** [batch][channel][row][column]. */
const DEEPEST_NESTING = 4;
const LONGEST_ID = 256;

/** An inference request's one frame: its tensor, in parts, and what is wanted of the answer. */
export interface FrameRequest {
  readonly tensor: readonly Uint8Array[];
  readonly wanted: WantedOutputs;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads an inference request's one frame. The tensor is made of views of the body where it came in binary form.
 *
 * @param body as chunks, in order
 * @param headerLength length of the JSON part when binary tensors follow (`Inference-Header-Content-Length`); 0: the body is the tensor
 * @throws BadRequest naming the field that is wrong
 */
export function readRequest(
  body: readonly Buffer[],
  headerLength: number | undefined,
  expected: ExpectedInput,
): FrameRequest {
  const total = body.reduce((sum, chunk) => sum + chunk.length, 0);
  if (headerLength !== undefined && !(Number.isInteger(headerLength) && headerLength >= 0 && headerLength <= total))
    throw new BadRequest(`Inference-Header-Content-Length must be between 0 and the body's ${total} bytes`);
  const elements = expected.dims.reduce((product, dim) => product * dim, 1);
  const bytes = elements * bytesPerElement(expected.elementType);
  if (headerLength === 0) {
    if (total !== bytes) throw new BadRequest(`a raw binary request must be the tensor's ${bytes} bytes, not ${total}`);
    return { wanted: { binaryByDefault: true }, tensor: body };
  }
  const request = parsed(take(body, headerLength ?? total), headerLength === undefined ? 'body' : 'inference header');
  const input = inputOf(request, expected);
  const wanted = wantedOutputs(request);
  if (headerLength === undefined) return { wanted, tensor: [numbers(input['data'], expected.elementType, elements)] };
  const size = total - headerLength;
  if (objectAt(input['parameters'], 'inputs[0].parameters')['binary_data_size'] !== size || size !== bytes)
    throw new BadRequest(
      `inputs[0].parameters.binary_data_size: must be ${bytes}, the length of what follows the header (${size})`,
    );
  return { wanted, tensor: skip(body, headerLength) };
}

function parsed(json: Buffer, what: string): Json {
  let request: unknown;
  try {
    request = JSON.parse(json.toString('utf8'));
  } catch (error) {
    throw new BadRequest(`the ${what} is not JSON: ${(error as Error).message}`);
  }
  if (request === null || typeof request !== 'object' || Array.isArray(request))
    throw new BadRequest(`the ${what} must be an inference request, an object`);
  return request as Json;
}

/** What is wanted of the answer to a request whose tensor comes beside it. @throws BadRequest naming the field that is wrong */
export function readHead(request: Json, expected: ExpectedInput): WantedOutputs {
  inputOf(request, expected);
  return wantedOutputs(request);
}

function inputOf({ inputs }: Json, expected: ExpectedInput): Json {
  if (!Array.isArray(inputs)) throw new BadRequest('inputs: required, a list with one tensor');
  if (inputs.length !== 1) throw new BadRequest(`inputs: exactly one tensor is expected, not ${inputs.length}`);
  const input = inputs[0] as unknown;
  if (input === null || typeof input !== 'object') throw new BadRequest('inputs[0]: must be a tensor');
  const { name, datatype, shape, parameters } = input as Json;
  if (name !== expected.name) throw new BadRequest(`inputs[0].name: must be "${expected.name}"`);
  const type = datatypeOf(expected.elementType);
  if (datatype !== type) throw new BadRequest(`inputs[0].datatype: must be ${type}, not ${JSON.stringify(datatype)}`);
  const wanted = JSON.stringify([1, ...expected.dims]);
  if (JSON.stringify(shape) !== wanted)
    throw new BadRequest(`inputs[0].shape: must be ${wanted} (one frame a request), not ${JSON.stringify(shape)}`);
  objectAt(parameters, 'inputs[0].parameters');
  return input as Json;
}

function wantedOutputs({ id, outputs, parameters }: Json): WantedOutputs {
  const common = parametersOf(parameters);
  if (id !== undefined && id !== null && typeof id !== 'string') throw new BadRequest('id: must be a string');
  if (outputs !== undefined && outputs !== null && !Array.isArray(outputs))
    throw new BadRequest('outputs: must be a list');
  const wanted = new Map<string, WantedOutput>();
  ((outputs ?? []) as unknown[]).forEach((output, i) => {
    const { name, parameters: own } = (output ?? {}) as Json;
    if (typeof name !== 'string') throw new BadRequest(`outputs[${i}].name: required`);
    if (wanted.has(name)) throw new BadRequest(`outputs[${i}].name: "${name}" is asked for twice`);
    wanted.set(name, wantedOutput(objectAt(own, `outputs[${i}].parameters`), `outputs[${i}].parameters`, common));
  });
  return {
    ...common,
    ...(typeof id === 'string' && id !== '' ? { id: id.slice(0, LONGEST_ID) } : {}),
    ...(wanted.size === 0 ? {} : { outputs: wanted }),
  };
}

function wantedOutput(parameters: Json, path: string, { binaryByDefault }: Parameters): WantedOutput {
  const { binary_data: binary, classification: classes } = parameters;
  if (classes !== undefined && !(Number.isSafeInteger(classes) && (classes as number) >= 0))
    throw new BadRequest(`${path}.classification: must be a number of classes`);
  return {
    binary: binary === undefined ? binaryByDefault : flagAt(binary, `${path}.binary_data`),
    ...(classes === undefined || classes === 0 ? {} : { classes: classes as number }),
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

function numbers(data: unknown, elementType: ElementType, elements: number): Uint8Array {
  const out = elementType === 'float32' ? new Float32Array(elements) : new Uint8Array(elements);
  let position = 0;
  const write = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) {
      if (depth > DEEPEST_NESTING) throw new BadRequest('inputs[0].data: nested deeper than a tensor');
      for (const each of value) write(each, depth + 1);
      return;
    }
    const number = numberOf(value);
    if (number === undefined) throw new BadRequest(`inputs[0].data: element ${position} is not a number`);
    if (elementType === 'uint8' && !(Number.isInteger(number) && number >= 0 && number <= 255))
      throw new BadRequest(`inputs[0].data: element ${position} is not a UINT8`);
    if (position >= out.length) throw new BadRequest(`inputs[0].data: must have ${out.length} elements, but has more`);
    out[position++] = number;
  };
  if (!Array.isArray(data)) throw new BadRequest('inputs[0].data: required, a list of numbers');
  write(data, 1);
  if (position !== out.length)
    throw new BadRequest(`inputs[0].data: must have ${out.length} elements, not ${position}`);
  return new Uint8Array(out.buffer);
}
