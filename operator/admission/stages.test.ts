import { describe, expect, test } from '@jest/globals';
import type { Stages } from '../../api/frames.js';
import { device, snapshot, tenant } from '../../test/support/admission.js';
import type { Decision } from './decide.js';
import { decide } from './decide.js';
import { placedOn } from './plan.js';
import { stageSharesOf, stagesFor } from './stages.js';

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

const jpeg = (width: number, height: number): object => ({ frames: { encoding: 'JPEG', width, height } });

/** A decision on tenants t0, t1, ... of ten frames a second and 300 ms, on one node, whose devices are quick unless they are said to be `slow`. */
function admit(specs: readonly object[], { devices = 1, slow = 0.5, stages = STAGES } = {}): Decision {
  const tenants = specs.map((spec, i) =>
    tenant(`t${i}`, { framesPerSecond: 10, deadline: '300ms', jitter: '10ms', ...spec }),
  );
  return decide(
    snapshot(tenants, {
      devices: Array.from({ length: devices }, (_, index) =>
        device('n', slow, [[3, 8, 8]], { index, status: { stages } }),
      ),
    }),
  );
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

  test('who declared nothing is promised tensors beside any number of such', () => {
    const silent = Array.from({ length: 60 }, () => ({ deadline: '500ms', framesPerSecond: 1 }));
    const { verdicts } = admit(silent);
    expect(verdicts.every(({ admitted }) => admitted)).toBe(true);
    const covers = verdicts.map(({ placements }) => placements[0]!.covers);
    expect(covers.filter((each) => each === 'Tensor').length).toBeGreaterThan(30);
    expect(new Set(covers).size).toBeGreaterThan(1);
  });

  test('images that nobody declared on one device give way to tensors on another', () => {
    const silent = Array.from({ length: 40 }, () => ({ deadline: '400ms', framesPerSecond: 15, jitter: '60ms' }));
    // As measured on a busy machine of two cores.
    const stages: Stages = {
      ...STAGES,
      blockingUs: 4700,
      receive: [
        { form: 'Tensor', perFrameUs: 200, perKiBUs: 0.5 },
        { form: 'JSON', perFrameUs: 270, perKiBUs: 140 },
        { form: 'Image', perFrameUs: 400, perKiBUs: 1 },
      ],
      answer: [{ form: 'JSON', perFrameUs: 180, perKiBUs: 190 }],
      decode: [
        { form: 'JPEG', perFrameUs: 3800, perMillionUs: 3500 },
        { form: 'PNG16', perFrameUs: 3400, perMillionUs: 43_000 },
        { form: 'JSON', perFrameUs: 200, perMillionUs: 18_000 },
      ],
    };
    const on = (devices: number): number =>
      admit(silent, { devices, slow: 6, stages }).verdicts.filter(({ admitted }) => admitted).length;
    expect(on(1)).toBeGreaterThan(5);
    expect(on(2)).toBeGreaterThan(1.8 * on(1));
  });

  test('tensors take no time that decoding on the same core was promised', () => {
    const images = Array.from({ length: 20 }, () => jpeg(640, 480));
    const tensors = Array.from({ length: 30 }, () => ({ streams: 10, deadline: '1s', frames: { encoding: 'Tensor' } }));
    const { verdicts, plans } = admit([...images, ...tensors]);
    const { receive, decode } = stageSharesOf(plans[0]!);
    expect(receive + decode).toBeLessThan(1);
    expect(verdicts.slice(0, 20).every(({ admitted }) => admitted)).toBe(true);
    expect(verdicts.find(({ admitted }) => !admitted)).toMatchObject({
      reason: 'ReceiveExceeded',
      message: expect.stringMatching(/on the core that decoding takes \d+% of/),
    });
  });

  test('what others have received is not blamed on the deadline', () => {
    const crowd = { streams: 200, framesPerSecond: 1, jitter: '100ms', deadline: '1s', frames: { encoding: 'Tensor' } };
    const quick = { deadline: '40ms', frames: { encoding: 'Tensor' } };
    expect(admit([quick]).verdicts[0]!.admitted).toBe(true);
    const { reason, message } = admit([crowd, quick]).verdicts[1]!;
    expect(reason).toBe('ReceiveExceeded');
    expect(message).toContain('it may fit when other tenants leave');
  });

  test('figures that have risen hold for all devices of the node together', () => {
    const tensors = Array.from({ length: 40 }, (_, i) =>
      tenant(`t${i}`, {
        framesPerSecond: 20,
        deadline: '400ms',
        jitter: '10ms',
        frames: { encoding: 'Tensor' },
        placement: { strategy: 'Spread' },
      }),
    );
    const on = (times: number, promised?: Decision['plans']): Decision['plans'] => {
      const receive = STAGES.receive.map((each) => ({ ...each, perFrameUs: times * each.perFrameUs }));
      const devices = [0, 1].map((index) =>
        device('n', 0.5, [[3, 8, 8]], { index, status: { stages: { ...STAGES, receive } } }),
      );
      return decide(snapshot(tensors, { devices, ...(promised === undefined ? {} : { promised }) })).plans;
    };
    const [before, after] = [on(1), on(2.5, on(1))];
    for (const plans of [before, after]) {
      expect(plans.map(({ categories }) => categories.length)).toEqual([1, 1]);
      for (const [i, plan] of plans.entries())
        expect(stagesFor(plan.device, placedOn(plan), plan.receiveUs, plans.toSpliced(i, 1))).toBe(plan.receiveUs);
    }
    expect(after[0]!.receiveUs).toBeGreaterThan(before[0]!.receiveUs);
  });

  test('what receiving may take stands whoever is served in spare time, and for all devices of the node', () => {
    const { plans } = admit([jpeg(640, 480), { class: 'BestEffort', deadline: undefined }]);
    expect(plans[0]!.receiveUs).toBeGreaterThan(0);
    const spread = { ...jpeg(320, 240), placement: { strategy: 'Spread' } };
    const both = admit(
      Array.from({ length: 16 }, () => spread),
      { devices: 2 },
    ).plans;
    expect(both.map(({ categories }) => categories.length)).toEqual([1, 1]);
    // 16 frames at once take 4.7 ms of the loop, the answers of a batch 0.6 ms, and others hold it for 2 ms.
    for (const { receiveUs } of both) expect(receiveUs).toBeGreaterThan(16 * 260 + 2000);
  });
});
