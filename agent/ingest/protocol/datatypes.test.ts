import { expect, test } from '@jest/globals';
import { datatypeOf, jsonList, numberOf } from './datatypes.js';

test.each<[string, Parameters<typeof jsonList>[0], string, string]>([
  ['usual numbers', new Float32Array([0.5, -2, 3e30]), 'float32', '0.5,-2,2.999999894026671e+30'],
  ['what is no number', new Float32Array([NaN, Infinity, -Infinity]), 'float32', '"NaN","Infinity","-Infinity"'],
  ['negative zero', new Float32Array([-0, 1]), 'float32', '-0,1'],
  ['integers of 64 bits', new BigInt64Array([9007199254740993n, -1n]), 'int64', '9007199254740993,-1'],
  ['booleans', new Uint8Array([0, 1]), 'bool', 'false,true'],
])('%s are written without loss', (_what, values, type, text) => {
  expect(jsonList(values, type)).toBe(text);
});

test('what is written is read back', () => {
  const values = new Float32Array([NaN, Infinity, -Infinity, -0, 1.5]);
  const read = (JSON.parse(`[${jsonList(values, 'float32')}]`) as unknown[]).map(numberOf);
  expect(new Float32Array(read as number[])).toEqual(values);
});

test('what only looks like a number is none', () => {
  for (const value of ['1', '0x1', true, null, {}, 'nan']) expect(numberOf(value)).toBeUndefined();
});

test('datatypes have the protocol’s names', () => {
  expect(['float16', 'bfloat16', 'uint8', 'bool', 'string'].map(datatypeOf)).toEqual([
    'FP16',
    'BF16',
    'UINT8',
    'BOOL',
    'BYTES',
  ]);
});
