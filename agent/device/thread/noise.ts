import type { ElementType } from '../../frames.js';
import { ELEMENT_ARRAYS } from '../../frames.js';

type OtherArray = Exclude<InstanceType<(typeof ELEMENT_ARRAYS)[ElementType]>, Float32Array>;

const LENGTH = 1 << 20;
/** Each frame begins somewhere else in the noise, so that no two are alike. */
const STRIDE = 104_729;
const BLUR = 3;

/** Values from -1 to 1 with the texture of a picture: neighbours resemble each other. The same in every process. */
const noise = ((): Float32Array => {
  const values = new Float32Array(LENGTH);
  let state = 0x2545f491;
  for (let i = 0; i < LENGTH; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const fresh = (state | 0) / 2 ** 31;
    values[i] = i === 0 ? fresh : ((BLUR - 1) * values[i - 1]! + fresh) / BLUR;
  }
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return values.map((value) => value / most);
})();
const pixels = Uint8Array.from(noise, (value) => Math.round(127.5 * (value + 1)));

/** Fills a tensor of a frame so that a network has work with it; a detector is quick where there is nothing to detect. */
export function fillNoise(into: Uint8Array, frame: number, elementType: ElementType, amplitude = 1): void {
  const start = (frame * STRIDE) % LENGTH;
  if (elementType === 'uint8') return copyRound(pixels, start, into);
  const Elements = ELEMENT_ARRAYS[elementType];
  const to = new Elements(into.buffer as ArrayBuffer, into.byteOffset, into.byteLength / Elements.BYTES_PER_ELEMENT);
  if (to instanceof Float32Array) {
    copyRound(noise, start, to);
    if (amplitude !== 1) for (let i = 0; i < to.length; i++) to[i]! *= amplitude;
  } else fillOther(to, start, elementType, amplitude);
}

/** Copies from a ring. */
function copyRound<T extends Uint8Array | Float32Array>(from: T, start: number, to: T): void {
  for (let at = 0, next = start; at < to.length; next = 0) {
    const part = from.subarray(next, next + to.length - at);
    to.set(part, at);
    at += part.length;
  }
}

/** Fractions stay as they are, whole numbers are small: many are places in a table. */
function fillOther(to: OtherArray, start: number, elementType: ElementType, amplitude: number): void {
  for (let i = 0; i < to.length; i++) {
    const value = noise[(start + i) % LENGTH]! * amplitude;
    if (elementType.startsWith('float')) to[i] = value;
    else if (to instanceof BigInt64Array || to instanceof BigUint64Array) to[i] = value > 0 ? 1n : 0n;
    else to[i] = value > 0 ? 1 : 0;
  }
}
