import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { answered } from './response.js';

test('a classification has the largest values, of equal ones the first', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 70 }),
      async (values, classes) => {
        const output = {
          name: 'out',
          type: 'float32',
          dims: [1, values.length],
          data: new Float32Array(values),
        } as const;
        const wanted = { binaryByDefault: false, outputs: new Map([['out', { binary: false, classes }]]) };
        const [answer] = answered([output], { index: 0, batch: 1 }, wanted);
        const places = values.map((_, place) => place).sort((a, b) => values[b]! - values[a]! || a - b);
        const list = JSON.parse(`[${await answer!.list(() => Promise.resolve())}]`) as string[];
        expect(list.map((text) => Number(text.split(':')[1]))).toEqual(places.slice(0, classes));
      },
    ),
  );
});
