import type { ExpectedInput } from '../../frames.js';
import { inputBytes } from '../../frames.js';
import { BadRequest } from './bad-request.js';
import { datatypeOf } from './datatypes.js';
import type { Parameters } from './parameters.js';
import { flagAt, objectAt, parametersOf } from './parameters.js';
import { parseJson, valuesOf } from './values.js';

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

const LONGEST_ID = 256;
export const LARGEST_HEADER_BYTES = 64 * 1024;
const SHORT_LIST = 8;
const MOST_CLASSES = 1000;

/** An inference request's one frame: its tensors as the network takes them, one after the other in parts, and what is wanted of the answer. */
export interface FrameRequest {
  readonly tensor: readonly Uint8Array[];
  readonly wanted: WantedOutputs;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads an inference request's one frame. Tensors are made of views of the body where they came in binary form.
 *
 * @param body as chunks, in order
 * @param headerLength length of the JSON part when binary tensors follow (`Inference-Header-Content-Length`); 0: the body is the tensor
 * @throws BadRequest naming the field that is wrong
 */
export function readRequest(
  body: readonly Buffer[],
  headerLength: number | undefined,
  expected: readonly ExpectedInput[],
): FrameRequest {
  const total = body.reduce((sum, chunk) => sum + chunk.length, 0);
  if (headerLength !== undefined && !(Number.isInteger(headerLength) && headerLength >= 0 && headerLength <= total))
    throw new BadRequest(`Inference-Header-Content-Length must be between 0 and the body's ${total} bytes`);
  if (headerLength === 0) return { wanted: { binaryByDefault: true }, tensor: rawTensor(body, total, expected) };
  if (headerLength !== undefined && headerLength > LARGEST_HEADER_BYTES)
    throw new BadRequest(
      `Inference-Header-Content-Length must be at most ${LARGEST_HEADER_BYTES}; send a request that is all JSON without it`,
    );
  const head = take(body, headerLength ?? total);
  const request = parsed(head, headerLength === undefined ? 'body' : 'inference header', expected);
  const { inputs, places } = inputsIn(request, expected);
  const wanted = wantedOutputs(request);
  const binary = headerLength === undefined ? [] : binaryTensors(inputs, headerLength, total);
  const tensor = expected.flatMap((each, i): Uint8Array[] => {
    const place = places[i]!;
    const own = binary[place];
    const path = `inputs[${place}]`;
    if (own === undefined) return [valuesOf(inputs[place]!['data'], each, path)];
    const bytes = inputBytes([each]);
    if (own.length !== bytes)
      throw new BadRequest(`${path}.parameters.binary_data_size: must be ${bytes}, not ${own.length}`);
    return part(body, own.from, own.length);
  });
  return { wanted, tensor };
}

function rawTensor(body: readonly Buffer[], total: number, expected: readonly ExpectedInput[]): readonly Buffer[] {
  if (expected.length > 1)
    throw new BadRequest(`a raw binary request can be one tensor only; this model takes ${namesOf(expected)}`);
  const bytes = inputBytes(expected);
  if (total !== bytes) throw new BadRequest(`a raw binary request must be the tensor's ${bytes} bytes, not ${total}`);
  return body;
}

function parsed(json: Buffer, what: string, expected: readonly ExpectedInput[]): Json {
  let request: unknown;
  try {
    request = parseJson(json.toString('utf8'), expected);
  } catch (error) {
    throw new BadRequest(`the ${what} is not JSON: ${(error as Error).message}`);
  }
  if (request === null || typeof request !== 'object' || Array.isArray(request))
    throw new BadRequest(`the ${what} must be an inference request, an object`);
  return request as Json;
}

/**
 * What is wanted of the answer to a request whose tensors come beside it, and where each of those expected is among its inputs.
 *
 * @throws BadRequest naming the field that is wrong
 */
export function readHead(
  request: Json,
  expected: readonly ExpectedInput[],
): { readonly wanted: WantedOutputs; readonly places: readonly number[] } {
  const { places } = inputsIn(request, expected);
  return { wanted: wantedOutputs(request), places };
}

/** The request's inputs, and where each of those expected is among them. */
function inputsIn(
  { inputs }: Json,
  expected: readonly ExpectedInput[],
): { readonly inputs: readonly Json[]; readonly places: readonly number[] } {
  const count = expected.length === 1 ? 'one tensor' : `${expected.length} tensors`;
  if (!Array.isArray(inputs)) throw new BadRequest(`inputs: required, a list with ${count}`);
  if (inputs.length !== expected.length)
    throw new BadRequest(
      `inputs: exactly ${count} ${expected.length === 1 ? 'is' : 'are'} expected (${namesOf(expected)}), not ${inputs.length}`,
    );
  const all = inputs.map((input: unknown, i): Json => {
    if (input === null || typeof input !== 'object') throw new BadRequest(`inputs[${i}]: must be a tensor`);
    return input as Json;
  });
  all.forEach((input, i) => checkInput(input, `inputs[${i}]`, expected));
  const places = expected.map(({ name }) => all.findIndex((input) => input['name'] === name));
  const missing = places.indexOf(-1);
  if (missing !== -1) throw new BadRequest(`inputs: there is no tensor "${expected[missing]!.name}"`);
  return { inputs: all, places };
}

function checkInput(input: Json, path: string, expected: readonly ExpectedInput[]): void {
  const { name, datatype, shape, parameters } = input;
  const own = expected.find((each) => each.name === name);
  if (own === undefined) throw new BadRequest(`${path}.name: must be ${namesOf(expected)}`);
  const type = datatypeOf(own.elementType);
  if (datatype !== type) throw new BadRequest(`${path}.datatype: must be ${type}, not ${brief(datatype)}`);
  const wanted = [1, ...own.dims];
  const isWanted = Array.isArray(shape) && shape.length === wanted.length && wanted.every((dim, i) => shape[i] === dim);
  if (!isWanted)
    throw new BadRequest(`${path}.shape: must be [${wanted.join()}] (one frame a request), not ${brief(shape)}`);
  objectAt(parameters, `${path}.parameters`);
}

/** A value of a request in a few words, however large or deep it is. */
function brief(value: unknown): string {
  if (Array.isArray(value) && value.length <= SHORT_LIST && value.every((each) => typeof each === 'number'))
    return `[${value.join()}]`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return value === undefined
    ? 'nothing'
    : String(typeof value === 'bigint' ? value : JSON.stringify(value)).slice(0, 64);
}

const namesOf = (expected: readonly ExpectedInput[]): string => expected.map(({ name }) => `"${name}"`).join(', ');

/** Where each input's tensor lies in the body, for those that come in binary form: one after the other behind the header. */
function binaryTensors(
  inputs: readonly Json[],
  headerLength: number,
  total: number,
): readonly ({ readonly from: number; readonly length: number } | undefined)[] {
  let at = headerLength;
  const tensors = inputs.map(({ data, parameters }, i) => {
    const path = `inputs[${i}].parameters`;
    const length = objectAt(parameters, path)['binary_data_size'];
    if (length === undefined && data !== undefined) return undefined;
    if (!(Number.isSafeInteger(length) && (length as number) >= 0))
      throw new BadRequest(`${path}.binary_data_size: required, the tensor's length in what follows the header`);
    const from = at;
    at += length as number;
    return { from, length: length as number };
  });
  if (at !== total)
    throw new BadRequest(
      `inputs[${inputs.length - 1}].parameters.binary_data_size: ${total - headerLength} bytes follow the header, not ${at - headerLength}`,
    );
  return tensors;
}

function wantedOutputs({ id, outputs, parameters }: Json): WantedOutputs {
  const common = parametersOf(parameters);
  if (id !== undefined && id !== null && typeof id !== 'string') throw new BadRequest('id: must be a string');
  if (typeof id === 'string' && id.length > LONGEST_ID)
    throw new BadRequest(`id: must have at most ${LONGEST_ID} characters`);
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
    ...(typeof id === 'string' && id !== '' ? { id } : {}),
    ...(wanted.size === 0 ? {} : { outputs: wanted }),
  };
}

function wantedOutput(parameters: Json, path: string, { binaryByDefault }: Parameters): WantedOutput {
  const { binary_data: binary, classification: classes } = parameters;
  if (classes !== undefined && !(Number.isSafeInteger(classes) && (classes as number) >= 0))
    throw new BadRequest(`${path}.classification: must be a number of classes`);
  if (classes !== undefined && (classes as number) > MOST_CLASSES)
    throw new BadRequest(`${path}.classification: must be at most ${MOST_CLASSES}; ask for the values themselves`);
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

/** A part of a chunked body, as views of its chunks. */
function part(body: readonly Buffer[], from: number, length: number): Uint8Array[] {
  let position = 0;
  return body.flatMap((chunk) => {
    const start = Math.max(0, from - position);
    const end = Math.min(chunk.length, from + length - position);
    position += chunk.length;
    return start < end ? [chunk.subarray(start, end)] : [];
  });
}
