import { Builder, CLASSES } from './builder.js';
import { inceptionV3 } from './inception-v3.js';

/**
 * The networks of the paper's evaluation (section 6), with seeded weights: they take as long as trained ones. Input `x` is float32
 * [n, 3, h, w] with h and w a multiple of 32; output `scores` is float32 [n, 1000].
 */
export const NETWORKS = {
  'resnet-50': resnet50,
  'vgg-16': vgg16,
  'mobilenet-v2': mobilenetV2,
  'inception-v3': inceptionV3,
} as const;

/** What a residual branch ends in is scaled down, so that sums over many of them stay small. */
const RESIDUAL_GAIN = 0.2;

/** He et al. 2015: stages of 3, 4, 6 and 3 bottlenecks. */
function resnet50(): Uint8Array {
  const b = new Builder(50);
  let x = b.maxPool(b.relu(b.conv('x', 3, 64, { kernel: 7, stride: 2 })), 3, 1);
  let channels = 64;
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    const width = 64 << stage;
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const shortcut = block === 0 ? b.conv(x, channels, 4 * width, { kernel: 1, stride }) : x;
      const narrow = b.relu(b.conv(x, channels, width, { kernel: 1 }));
      const middle = b.relu(b.conv(narrow, width, width, { stride }));
      x = b.relu(b.add(shortcut, b.conv(middle, width, 4 * width, { kernel: 1, gain: RESIDUAL_GAIN })));
      channels = 4 * width;
    }
  }
  return b.finish('resnet-50', b.dense(b.pool(x), channels, CLASSES));
}

/** Simonyan and Zisserman 2014, configuration D. */
function vgg16(): Uint8Array {
  const b = new Builder(16);
  let x = 'x';
  let channels = 3;
  for (const [width, layers] of [
    [64, 2],
    [128, 2],
    [256, 3],
    [512, 3],
    [512, 3],
  ] as const) {
    for (let layer = 0; layer < layers; layer++) {
      x = b.relu(b.conv(x, channels, width, {}));
      channels = width;
    }
    x = b.maxPool(x, 2);
  }
  const hidden = b.relu(b.dense(b.to7x7(x, channels), channels * 49, 4096));
  return b.finish('vgg-16', b.dense(b.relu(b.dense(hidden, 4096, 4096)), 4096, CLASSES));
}

/** Sandler et al. 2018, table 2: expansion, channels, repetitions, stride. */
function mobilenetV2(): Uint8Array {
  const b = new Builder(2);
  let x = b.relu6(b.conv('x', 3, 32, { stride: 2 }));
  let channels = 32;
  for (const [expansion, width, repetitions, firstStride] of [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ] as const)
    for (let i = 0; i < repetitions; i++) {
      const stride = i === 0 ? firstStride : 1;
      const wide = expansion * channels;
      const expanded = expansion === 1 ? x : b.relu6(b.conv(x, channels, wide, { kernel: 1 }));
      const depthwise = b.relu6(b.conv(expanded, wide, wide, { stride, groups: wide }));
      const same = stride === 1 && channels === width;
      const narrow = b.conv(depthwise, wide, width, { kernel: 1, ...(same ? { gain: RESIDUAL_GAIN } : {}) });
      x = same ? b.add(x, narrow) : narrow;
      channels = width;
    }
  const last = b.relu6(b.conv(x, channels, 1280, { kernel: 1 }));
  return b.finish('mobilenet-v2', b.dense(b.pool(last), 1280, CLASSES));
}
