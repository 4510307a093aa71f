import type { ElementType, ExpectedInput } from '../../frames.js';
import { ELEMENT_ARRAYS } from '../../frames.js';
import { BadRequest } from './bad-request.js';
import { datatypeOf, numberOf } from './datatypes.js';

/** A request's JSON. Where integers of 64 bits are expected, those that a JavaScript number would lose come as bigints. */
export function parseJson(text: string, expected: readonly ExpectedInput[]): unknown {
  if (!expected.some(({ elementType }) => isLong(elementType))) return JSON.parse(text);
  // The reviver's third argument (TC39, JSON.parse source text access) is not in TypeScript's library yet.
  const reviver = (_key: string, value: unknown, { source = '' }: { readonly source?: string } = {}): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?[0-9]+$/.test(source) ? BigInt(source) : value;
  return JSON.parse(text, reviver);
}

const isLong = (elementType: ElementType): boolean => elementType === 'int64' || elementType === 'uint64';

/** Bits of whole numbers, and whether they have a sign. */
const WHOLE: Partial<Record<ElementType, readonly [bits: number, signed: boolean]>> = {
  int8: [8, true],
  int16: [16, true],
  int32: [32, true],
  int64: [64, true],
  uint8: [8, false],
  uint16: [16, false],
  uint32: [32, false],
  uint64: [64, false],
};

/**
 * A tensor's bytes of its values as JSON has them, flat or nested as its axes are.
 *
 * @param path of the input in the request
 * @throws BadRequest naming the element that is wrong
 */
export function valuesOf(data: unknown, { dims, elementType }: ExpectedInput, path: string): Uint8Array {
  const out = new ELEMENT_ARRAYS[elementType](dims.reduce((product, dim) => product * dim, 1));
  const deepest = dims.length + 1;
  const isValue = check(elementType);
  let position = 0;
  const write = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) {
      if (depth > deepest) throw new BadRequest(`${path}.data: nested deeper than a tensor`);
      for (const each of value) write(each, depth + 1);
      return;
    }
    const number = elementType === 'bool' && typeof value === 'boolean' ? Number(value) : numeric(value);
    if (number === undefined) throw new BadRequest(`${path}.data: element ${position} is not a number`);
    if (!isValue(number)) throw new BadRequest(`${path}.data: element ${position} is not a ${datatypeOf(elementType)}`);
    if (position >= out.length) throw new BadRequest(`${path}.data: must have ${out.length} elements, but has more`);
    (out as { [i: number]: unknown })[position++] = isLong(elementType) ? BigInt(number) : number;
  };
  if (!Array.isArray(data)) throw new BadRequest(`${path}.data: required, a list of numbers`);
  write(data, 1);
  if (position !== out.length) throw new BadRequest(`${path}.data: must have ${out.length} elements, not ${position}`);
  return new Uint8Array(out.buffer);
}

const numeric = (value: unknown): number | bigint | undefined => (typeof value === 'bigint' ? value : numberOf(value));

function check(elementType: ElementType): (value: number | bigint) => boolean {
  if (elementType === 'bool') return (value) => value === 0 || value === 1;
  const [bits, signed] = WHOLE[elementType] ?? [0, true];
  if (bits === 0) return (value) => typeof value === 'number';
  const [least, most] = signed
    ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n]
    : [0n, 2n ** BigInt(bits) - 1n];
  return (value) => (typeof value === 'bigint' || Number.isInteger(value)) && value >= least && value <= most;
}
