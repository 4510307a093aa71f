import { describe, expect, test } from '@jest/globals';
import type { Stages } from '../../api/frames.js';
import type { ResourceOf } from '../../api/manifests.js';
import type { Decision } from './admit.js';
import { decide } from './admit.js';
import { deviceOf } from './device.js';
import { requestOf } from './request.js';

const STAGES: Stages = {
  blockingUs: 2000,
  channelUs: 1000,
  workers: 1,
  sharedCore: true,
  receive: [
    { form: 'Tensor', perFrameUs: 100, perKiBUs: 0.4 },
    { form: 'Image', perFrameUs: 260, perKiBUs: 0.9 },
  ],
  answer: [{ form: 'JSON', perFrameUs: 80, perKiBUs: 50 }],
  decode: [{ form: 'JPEG', perFrameUs: 3000, perMillionUs: 2000 }],
};

const profile = (device: number): ResourceOf<'GPUProfile'> =>
  ({
    kind: 'GPUProfile',
    metadata: { name: `n-${device}`, namespace: '' },
    spec: { nodeName: 'n', device },
    status: {
      stages: STAGES,
      categories: [
        { model: 'm', shape: [3, 8, 8], batches: [1, 2, 4, 8].map((size) => ({ size, wcetUs: 600 + 900 * size })) },
      ],
      models: [{ name: 'm', ready: true }],
    },
  }) as unknown as ResourceOf<'GPUProfile'>;

const model = { metadata: { name: 'm' }, spec: { shapes: [[3, 8, 8]] } } as unknown as ResourceOf<'InferenceModel'>;

const jpeg = (width: number, height: number): object => ({ frames: { encoding: 'JPEG', width, height } });

function admit(specs: readonly object[], devices = 1): Decision {
  const requests = specs.map((spec, i) =>
    requestOf({
      kind: 'InferenceTenant',
      metadata: { namespace: 'default', name: `t${i}` },
      spec: { modelRef: { name: 'm' }, inputShape: [3, 8, 8], framesPerSecond: 10, deadline: '300ms', ...spec },
    } as unknown as ResourceOf<'InferenceTenant'>),
  );
  return decide({
    models: new Map([['m', model]]),
    devices: Array.from({ length: devices }, (_, i) => deviceOf(profile(i))),
    requests,
  });
}

describe('the stages before the device', () => {
  test('take as much as they can do, and then refuse with what would fit', () => {
    const { verdicts } = admit(Array.from({ length: 60 }, () => jpeg(640, 480)));
    const admitted = verdicts.filter((verdict) => verdict.admitted).length;
    // A frame takes 3.6 ms of the worker, ten a second of each tenant.
    expect(admitted).toBeGreaterThanOrEqual(19);
    expect(admitted).toBeLessThan(28);
    const refused = verdicts.find((verdict) => !verdict.admitted)!;
    expect(refused.reason).toBe('DecodeExceeded');
    expect(refused.offer?.frames ?? refused.offer?.framesPerSecond).toBeDefined();
    const { verdicts: tensors } = admit(Array.from({ length: 60 }, () => ({ frames: { encoding: 'Tensor' } })));
    expect(tensors.every((verdict) => verdict.admitted)).toBe(true);
  });

  test('what an offer says of frames is admitted if done exactly so', () => {
    const big = { streams: 20, ...jpeg(3840, 2160) };
    const { offer } = admit([big]).verdicts[0]!;
    expect(offer!.frames).toBeDefined();
    expect(admit([{ ...big, frames: offer!.frames }]).verdicts[0]!.admitted).toBe(true);
  });

  test('images that nobody declared give way to those that somebody did', () => {
    const silent = { deadline: '1s', streams: 4 };
    const before = admit([silent]).verdicts[0]!;
    expect(before.placements[0]!.covers).toContain('images');
    const { verdicts } = admit([silent, { streams: 18, ...jpeg(640, 480) }]);
    expect(verdicts.map(({ admitted }) => admitted)).toEqual([true, true]);
    expect(verdicts[0]!.placements[0]!.covers).toBe('Tensor');
  });

  test('what receiving may take stands whoever is served in spare time, and for all devices of the node', () => {
    const { plans } = admit([jpeg(640, 480), { class: 'BestEffort', deadline: undefined }]);
    expect(plans[0]!.receiveUs).toBeGreaterThan(0);
    const spread = { ...jpeg(320, 240), placement: { strategy: 'Spread' } };
    const both = admit(
      Array.from({ length: 16 }, () => spread),
      2,
    ).plans;
    expect(both.map(({ categories }) => categories.length)).toEqual([1, 1]);
    // 16 frames at once take 4.7 ms of the loop, the answers of a batch 0.6 ms, and others hold it for 2 ms.
    for (const { receiveUs } of both) expect(receiveUs).toBeGreaterThan(16 * 260 + 2000);
  });
});
