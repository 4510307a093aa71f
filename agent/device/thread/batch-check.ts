import type { OutputArray, OutputTensor } from '../../frames.js';
import { Texts } from '../../frames.js';

/** By how much a value may differ in a batch: kernels add up in another order there. */
const [ABSOLUTE, RELATIVE] = [1e-3, 1e-2];

/**
 * How the answers to the frames of a batch differ from what each was alone; undefined when they do not. A network whose
 * batch size was folded into its constants, or that mixes frames, would give one tenant the answer to another's frame.
 */
export function differenceOf(
  alone: readonly (readonly OutputTensor[])[],
  batched: readonly OutputTensor[],
): string | undefined {
  const count = alone.length;
  for (const { name, dims, data } of batched) {
    if (dims[0] !== count)
      return `its output "${name}" for a batch of ${count} has shape [${dims.join(', ')}], whose first axis is not the batch`;
    const row = data.length / count;
    for (const [i, outputs] of alone.entries()) {
      const own = outputs.find((each) => each.name === name);
      if (own?.data.length !== row)
        return `its output "${name}" has ${own?.data.length ?? 0} values for a frame alone and ${row} for one in a batch`;
      for (let k = 0; k < row; k++)
        if (!near(element(own.data, k), element(data, i * row + k)))
          return `frame ${i + 1} of a batch of ${count} gets another value in output "${name}" than alone (${element(data, i * row + k)} instead of ${element(own.data, k)})`;
    }
  }
  return undefined;
}

const element = (data: OutputArray, k: number): number | string =>
  data instanceof Texts ? data.values[k]! : Number(data[k]);

function near(a: number | string, b: number | string): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b;
  return (
    Object.is(a, b) || Math.abs(a - b) <= ABSOLUTE + RELATIVE * Math.abs(a) || (Number.isNaN(a) && Number.isNaN(b))
  );
}
