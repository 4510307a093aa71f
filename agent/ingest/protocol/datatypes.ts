import type { OutputArray } from '../../frames.js';
import { Texts } from '../../frames.js';

/** The protocol's names of ONNX's element types, as ONNX Runtime calls them. */
const DATATYPES: Readonly<Record<string, string>> = {
  float16: 'FP16',
  bfloat16: 'BF16',
  float32: 'FP32',
  float64: 'FP64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  bool: 'BOOL',
  string: 'BYTES',
};

export const datatypeOf = (elementType: string): string => DATATYPES[elementType] ?? elementType.toUpperCase();

/** What JSON has no numbers for goes by name, and what its usual writers lose is written in full. */
function jsonOf(value: number | bigint): string {
  if (typeof value === 'bigint') return value.toString();
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : `${value}`;
  return `"${value}"`;
}

const isUsual = (value: number | bigint): boolean =>
  typeof value === 'number' && Number.isFinite(value) && !Object.is(value, -0);

/** Values as the inside of a JSON list, without loss: integers of 64 bits in full, `"NaN"`, `"Infinity"` and `"-Infinity"` by name. */
export function jsonList(values: OutputArray, type: string): string {
  if (values instanceof Texts) return JSON.stringify(values.values).slice(1, -1);
  const list = Array.from(values as Iterable<number | bigint>);
  if (type === 'bool') return list.map((value) => value !== 0).join(',');
  return list.every(isUsual) ? JSON.stringify(list).slice(1, -1) : list.map(jsonOf).join(',');
}

/** Numbers as JSON has them, and those that it has only by name. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? Number(value) : undefined;
}
