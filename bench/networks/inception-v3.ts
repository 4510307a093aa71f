import { Builder, CLASSES } from './builder.js';

/**
 * Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision", table 1 and figures 5–7, without the auxiliary
 * head that only training uses. Batch normalisation is folded into the convolutions; all are padded, so that only strides make
 * images smaller.
 */
export function inceptionV3(): Uint8Array {
  const b = new Builder(3);
  let [x, channels] = ['x', 3];
  /** Convolutions one after the other, each as CHANNELS:HEIGHTxWIDTH or CHANNELS:HEIGHTxWIDTH/STRIDE. */
  const chain = (layers: string, from = x, inputs = channels): string => {
    for (const layer of layers.split(' ')) {
      const [outputs, high, wide, stride = 1] = layer.split(/[:x/]/).map(Number) as [number, number, number, number?];
      from = b.relu(b.conv(from, inputs, outputs, { kernel: [high, wide], stride }));
      inputs = outputs;
    }
    return from;
  };
  /** Branches side by side, which have so many channels together. */
  const block = (width: number, branches: readonly string[]): void => {
    x = b.concat(branches);
    channels = width;
  };

  x = b.maxPool(chain('32:3x3/2 32:3x3 64:3x3'), 3, 1);
  x = b.maxPool(chain('80:1x1 192:3x3', x, 64), 3, 1);
  channels = 192;
  for (const pooled of [32, 64, 64])
    block(224 + pooled, [
      chain('64:1x1'),
      chain('48:1x1 64:5x5'),
      chain('64:1x1 96:3x3 96:3x3'),
      chain(`${pooled}:1x1`, b.smooth(x)),
    ]);
  block(768, [chain('384:3x3/2'), chain('64:1x1 96:3x3 96:3x3/2'), b.maxPool(x, 3, 1)]);
  for (const narrow of [128, 160, 160, 192])
    block(768, [
      chain('192:1x1'),
      chain(`${narrow}:1x1 ${narrow}:1x7 192:7x1`),
      chain(`${narrow}:1x1 ${narrow}:7x1 ${narrow}:1x7 ${narrow}:7x1 192:1x7`),
      chain('192:1x1', b.smooth(x)),
    ]);
  block(1280, [chain('192:1x1 320:3x3/2'), chain('192:1x1 192:1x7 192:7x1 192:3x3/2'), b.maxPool(x, 3, 1)]);
  for (let i = 0; i < 2; i++) {
    const [middle, deep] = [chain('384:1x1'), chain('448:1x1 384:3x3')];
    block(2048, [
      chain('320:1x1'),
      ...[middle, deep].flatMap((from) => [chain('384:1x3', from, 384), chain('384:3x1', from, 384)]),
      chain('192:1x1', b.smooth(x)),
    ]);
  }
  return b.finish('inception-v3', b.dense(b.pool(x), channels, CLASSES));
}
