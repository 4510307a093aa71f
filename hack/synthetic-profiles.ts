import { stringify } from 'yaml';
import { API_VERSION } from '../api/crds.js';
import { batchGrid } from '../agent/profile/grid.js';

/** E(n) = fixed + n × perFrame, in milliseconds, as GPUs roughly do it; of the demo's networks and the paper's. */
const NETWORKS: readonly (readonly [model: string, shape: readonly number[], fixed: number, perFrame: number])[] = [
  ['text-detector', [3, 320, 320], 8, 2],
  ['text-detector', [3, 160, 160], 5, 0.8],
  ['text-direction', [3, 48, 192], 2, 0.5],
  ['text-reader', [3, 48, 192], 4, 0.7],
  ['resnet-50', [3, 224, 224], 5, 1],
  ['vgg-16', [3, 224, 224], 6, 2],
  ['mobilenet-v2', [3, 224, 224], 3, 0.6],
  ['inception-v3', [3, 224, 224], 7, 1.2],
];
const LARGEST_BATCH = 16;
/** Devices by name: how many times slower than that they are. */
const DEVICES: Readonly<Record<string, number>> = { 'synthetic-gpu': 1, 'synthetic-gpu-small': 3 };

const HEAD = `# Synthetic: no machine was measured. E(n) = a + b·n with a of 2–8 ms and b of 0.5–2 ms, as GPUs roughly do it; to try plan and simulate with.
# Written by \`make generate\` (hack/synthetic-profiles.ts).
`;

/** GPUProfiles that no machine made, by their files. */
export const syntheticProfiles = (): [file: string, text: string][] =>
  Object.entries(DEVICES).map(([name, slow]) => {
    const profile = {
      apiVersion: API_VERSION,
      kind: 'GPUProfile',
      metadata: { name: `${name}-0` },
      spec: { nodeName: name, device: 0 },
      status: {
        device: { name: `${name} (no machine's figures)`, executionProvider: 'none' },
        models: [...new Set(NETWORKS.map(([model]) => model))].map((model) => ({ name: model, ready: true })),
        categories: NETWORKS.map(([model, shape, fixed, perFrame]) => ({
          model,
          shape,
          batches: batchGrid(LARGEST_BATCH).map((size) => ({
            size,
            wcetUs: Math.round(1000 * slow * (fixed + perFrame * size)),
          })),
        })),
      },
    };
    return [`bench/profiles/${name}.yaml`, HEAD + stringify(profile)];
  });
