import type { AnswerParameters } from '../answer.js';
import { inputBytes } from '../../frames.js';
import type { ExpectedInput } from '../../frames.js';
import { BadRequest } from '../protocol/bad-request.js';
import { datatypeOf } from '../protocol/datatypes.js';
import { valuesOf } from '../protocol/values.js';

/** A value of a parameter, as `InferParameter` carries it; `parameter_choice` names the field that is set. */
export type InferParameter = { readonly parameter_choice?: string } & Readonly<Record<string, unknown>>;

type Parameters = Readonly<Record<string, InferParameter>>;

export interface InferRequest {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly {
    readonly name: string;
    readonly datatype: string;
    /** Integers of 64 bits come as strings, here and below. */
    readonly shape: readonly string[];
    readonly parameters: Parameters;
    readonly contents: Readonly<Record<string, readonly (number | string | boolean)[]>> | null;
  }[];
  readonly outputs: readonly { readonly name: string; readonly parameters: Parameters }[];
  readonly raw_input_contents: readonly Buffer[];
}

export interface InferResponse {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Readonly<Record<string, object>>;
  readonly outputs: readonly { readonly name: string; readonly datatype: string; readonly shape: readonly number[] }[];
  readonly raw_output_contents: readonly Uint8Array[];
}

/** Where a number would lose digits, a bigint. */
function whole(value: unknown): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : BigInt(value as string);
}

const plain = (parameters: Parameters): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => {
      const { parameter_choice: choice = '' } = value;
      return [name, choice === 'int64_param' || choice === 'uint64_param' ? whole(value[choice]) : value[choice]];
    }),
  );

/** The request as it would stand in JSON, without its tensor. */
export const asJson = ({ id, parameters, inputs, outputs }: InferRequest): Record<string, unknown> => ({
  id,
  parameters: { ...plain(parameters), binary_data_output: true },
  inputs: inputs.map(({ name, datatype, shape, parameters: own }) => ({
    name,
    datatype,
    shape: shape.map(Number),
    parameters: plain(own),
  })),
  outputs: outputs.map(({ name, parameters: own }) => ({ name, parameters: { ...plain(own), binary_data: true } })),
});

/** Where `InferTensorContents` has values of each datatype. */
const CONTENTS: Readonly<Record<string, string>> = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
};

/** Bytes of a request's tensors; typed contents count with what the largest of values takes. */
export const tensorBytes = ({ inputs, raw_input_contents: raw }: InferRequest): number =>
  raw.reduce((sum, { length }) => sum + length, 0) +
  inputs.reduce(
    (sum, { contents }) => sum + 8 * Object.values(contents ?? {}).reduce((n, { length }) => n + length, 0),
    0,
  );

/**
 * The tensor of one input, raw or as typed contents.
 *
 * @param place among the request's inputs
 * @throws BadRequest when there is none, not all of it, or more than one way of it
 */
export function tensorOf(
  { inputs, raw_input_contents: raw }: InferRequest,
  place: number,
  input: ExpectedInput,
): Uint8Array {
  const path = `inputs[${place}]`;
  const contents = inputs[place]?.contents ?? {};
  const typed = Object.entries(contents).find(([, values]) => values.length > 0);
  if (raw.length > 0) {
    if (raw.length !== inputs.length)
      throw new BadRequest(`raw_input_contents: ${inputs.length} are expected, one for each input, not ${raw.length}`);
    if (typed !== undefined) throw new BadRequest(`${path}.contents: must not be given beside raw_input_contents`);
    const bytes = inputBytes([input]);
    const own = raw[place]!;
    if (own.length !== bytes)
      throw new BadRequest(`raw_input_contents[${place}]: must be ${bytes} bytes, not ${own.length}`);
    return own;
  }
  const field = CONTENTS[datatypeOf(input.elementType)];
  if (field === undefined || typed === undefined || typed[0] !== field)
    throw new BadRequest(`raw_input_contents: required${field === undefined ? '' : `, or ${path}.contents.${field}`}`);
  const values = typed[1].map((value) => (typeof value === 'string' ? BigInt(value) : value));
  return valuesOf(values, { ...input, dims: [...input.dims] }, `${path}.contents`);
}

/** Parameters of an answer as gRPC carries them. */
export const inferParameters = (parameters: AnswerParameters): Record<string, object> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, value]): [string, object] => {
      if (typeof value === 'boolean') return [name, { bool_param: value }];
      if (typeof value === 'string') return [name, { string_param: value }];
      return [name, Number.isInteger(value) ? { int64_param: value } : { double_param: value }];
    }),
  );
