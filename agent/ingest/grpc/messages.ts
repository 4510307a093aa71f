import type { AnswerParameters } from '../answer.js';
import { BadRequest } from '../protocol/bad-request.js';

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
    readonly shape: readonly number[];
    readonly parameters: Parameters;
    readonly contents: Readonly<Record<string, readonly number[]>> | null;
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

const plain = (parameters: Parameters): Record<string, unknown> =>
  Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, value[value.parameter_choice ?? '']]));

/** The request as it would stand in JSON, without its tensor. */
export const asJson = ({ id, parameters, inputs, outputs }: InferRequest): Record<string, unknown> => ({
  id,
  parameters: { ...plain(parameters), binary_data_output: true },
  inputs: inputs.map(({ name, datatype, shape, parameters: own }) => ({
    name,
    datatype,
    shape,
    parameters: plain(own),
  })),
  outputs: outputs.map(({ name, parameters: own }) => ({ name, parameters: { ...plain(own), binary_data: true } })),
});

/** @throws BadRequest when there is no tensor, or more than one way of it */
export function tensorOf({ inputs, raw_input_contents: raw }: InferRequest): Buffer {
  const contents = inputs[0]?.contents;
  const typed = Object.entries(contents ?? {}).find(([, values]) => values.length > 0);
  if (raw.length > 1) throw new BadRequest(`raw_input_contents: one tensor is expected, not ${raw.length}`);
  if (raw.length === 1) {
    if (typed !== undefined)
      throw new BadRequest('inputs[0].contents: must not be given beside raw_input_contents', 400, 'InvalidRequest');
    return raw[0]!;
  }
  if (typed?.[0] === 'fp32_contents') return Buffer.from(new Float32Array(typed[1]).buffer);
  if (typed?.[0] === 'uint_contents' && typed[1].every((value) => value <= 255)) return Buffer.from(typed[1]);
  throw new BadRequest('raw_input_contents: required, or inputs[0].contents of the input’s datatype');
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
