import { BadRequest } from './bad-request.js';

/** What a request asks for besides its tensor. */
export interface Parameters {
  /** `sequence_id`: which stream the frame belongs to. */
  readonly sequence?: string;
  /** `timeout`: the sender waits no longer than this; in microseconds. */
  readonly timeoutUs?: number;
  readonly binaryByDefault: boolean;
}

/** Extensions of Triton's that somebody may count on, and that are not offered: to be ignored would be to be wrong. */
const NOT_OFFERED: Readonly<Record<string, string>> = {
  priority: "whose frame comes first follows from the tenants' deadlines, not from the sender",
  shared_memory_region: 'shared memory between sender and agent is not offered; send the tensor',
  shared_memory_offset: 'shared memory between sender and agent is not offered; send the tensor',
  shared_memory_byte_size: 'shared memory between sender and agent is not offered; send the tensor',
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws BadRequest when it is no object, or asks for what is not offered */
export function objectAt(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw new BadRequest(`${path}: must be an object`);
  for (const [name, why] of Object.entries(NOT_OFFERED))
    if (Object.hasOwn(value, name) && value[name] !== 0 && value[name] !== null)
      throw new BadRequest(`${path}.${name}: ${why}`, 400, 'ParameterNotOffered');
  return value;
}

/** A flag, as JSON or a URL has it. */
export function flagAt(value: unknown, path: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw new BadRequest(`${path}: must be true or false`);
}

/** @throws BadRequest naming the parameter that is wrong */
export function parametersOf(value: unknown): Parameters {
  const parameters = objectAt(value, 'parameters');
  const { sequence_id: id, timeout } = parameters;
  const sequence = ['string', 'number', 'bigint'].includes(typeof id) ? String(id) : undefined;
  if (id !== undefined && id !== null && sequence === undefined)
    throw new BadRequest('parameters.sequence_id: must be a number or a string');
  const timeoutUs = typeof timeout === 'bigint' ? Number(timeout) : (timeout ?? 0);
  if (!(Number.isInteger(timeoutUs) && (timeoutUs as number) >= 0))
    throw new BadRequest('parameters.timeout: must be whole microseconds');
  return {
    // 0 means none in both (Triton's sequence and request extensions).
    ...(sequence === undefined || sequence === '0' || sequence === '' ? {} : { sequence }),
    ...(timeoutUs === 0 ? {} : { timeoutUs: timeoutUs as number }),
    binaryByDefault: flagAt(parameters['binary_data_output'], 'parameters.binary_data_output'),
  };
}
