import { expect, test } from '@jest/globals';
import type { ElementType } from '../../frames.js';
import { ELEMENT_ARRAYS } from '../../frames.js';
import { parseJson, valuesOf } from './values.js';

const input = (elementType: ElementType, ...dims: number[]): Parameters<typeof valuesOf>[1] => ({
  name: 'x',
  elementType,
  dims,
});
const read = (text: string, elementType: ElementType, ...dims: number[]): unknown[] => {
  const expected = input(elementType, ...dims);
  const bytes = valuesOf(parseJson(text, [expected]), expected, 'inputs[0]');
  return Array.from(new ELEMENT_ARRAYS[elementType](bytes.buffer as ArrayBuffer) as Iterable<unknown>);
};

test.each<[ElementType, string, unknown[]]>([
  ['int64', '[9007199254740993, -9223372036854775808]', [9007199254740993n, -9223372036854775808n]],
  ['uint64', '[18446744073709551615, 0]', [18446744073709551615n, 0n]],
  ['int8', '[-128, 127]', [-128, 127]],
  ['uint16', '[65535, 0]', [65535, 0]],
  ['bool', '[true, 0]', [1, 0]],
  ['float16', '[0.5, -2]', [0.5, -2]],
  ['float64', '[[0.1], ["NaN"]]', [0.1, NaN]],
])('values of %s come without loss', (elementType, text, values) => {
  expect(read(text, elementType, 2)).toEqual(values);
});

test.each<[ElementType, string, RegExp]>([
  ['int8', '[128, 0]', /inputs\[0\]\.data: element 0 is not a INT8/],
  ['uint64', '[0, -1]', /element 1 is not a UINT64/],
  ['int64', '[0.5, 0]', /element 0 is not a INT64/],
  ['bool', '[2, 0]', /element 0 is not a BOOL/],
  ['float32', '[true, 0]', /element 0 is not a number/],
  ['float32', '[0]', /must have 2 elements, not 1/],
  ['float32', '[[[0]], 0]', /nested deeper/],
])('of %s, %s is refused', (elementType, text, message) => {
  expect(() => read(text, elementType, 2)).toThrow(message);
});
