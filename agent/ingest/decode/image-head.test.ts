import { beforeAll, describe, expect, test } from '@jest/globals';
import { BadImage } from '../../image-input.js';
import type { Picture } from '../../profile/pictures.js';
import { pictures } from '../../profile/pictures.js';
import { imageHead } from './image-head.js';

let all: readonly Picture[];
beforeAll(async () => {
  all = await pictures();
});

const encodingOf = (form: string): 'JPEG' | 'PNG' => (form.includes('PNG') ? 'PNG' : 'JPEG');

describe('the head of an image', () => {
  test('tells kind and size of every form, also behind long segments of other things', () => {
    for (const { form, pixels, body } of all) {
      const { width, height, form: found } = imageHead(body, encodingOf(form));
      expect([found, width * height]).toEqual([form, pixels]);
      if (encodingOf(form) === 'PNG') continue;
      const exif = Buffer.concat([Buffer.from([0xff, 0xe1, 0xff, 0xff]), Buffer.alloc(0xfffd, 0xff)]);
      const behind = Buffer.concat([body.subarray(0, 2), exif, exif, body.subarray(2)]);
      expect(imageHead(behind, 'JPEG')).toMatchObject({ form, width, height });
    }
  });

  test('of anything else is refused, wherever it was cut', () => {
    for (const { form, body } of all.slice(0, 5)) {
      const encoding = encodingOf(form);
      for (const cut of [0, 1, 2, 3, 8, 20]) expect(() => imageHead(body.subarray(0, cut), encoding)).toThrow(BadImage);
      expect(() => imageHead(body, encoding === 'PNG' ? 'JPEG' : 'PNG')).toThrow(BadImage);
    }
    expect(() => imageHead(Buffer.from('<svg/>'.repeat(20)), 'PNG')).toThrow(BadImage);
  });
});
