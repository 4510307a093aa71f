import type { ElementType } from '../../frames.js';

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

/** Fills a frame so that a network has work with it; a detector is quick where there is nothing to detect. */
export function fillNoise(into: Uint8Array, frame: number, elementType: ElementType, amplitude = 1): void {
  const [to, from] =
    elementType === 'float32'
      ? ([new Float32Array(into.buffer, into.byteOffset, into.byteLength / 4), noise] as const)
      : ([into, pixels] as const);
  for (let at = 0, start = (frame * STRIDE) % LENGTH; at < to.length; start = 0) {
    const part = from.subarray(start, start + to.length - at);
    to.set(part, at);
    at += part.length;
  }
  if (amplitude !== 1 && elementType === 'float32') for (let i = 0; i < to.length; i++) to[i]! *= amplitude;
}
