import { describe, expect, test } from '@jest/globals';
import type { Profile } from './profile.js';
import { SoftPromise } from './soft.js';

const profile = (promise: 'Firm' | 'Soft'): Profile => ({
  apiVersion: 'deeprt.dev/v1alpha1',
  kind: 'GPUProfile',
  metadata: { name: 'n-0', namespace: '' },
  spec: { nodeName: 'n', device: 0 },
  status: { promise },
});

describe('a soft promise', () => {
  test('stands while at most 0.1 % are late, whatever was before', () => {
    const soft = new SoftPromise();
    expect(soft.withdrawn(profile('Soft'), { frames: 1000, late: 900 }, 0)).toBeUndefined();
    expect(soft.withdrawn(profile('Soft'), { frames: 11_000, late: 910 }, 60_000_000)).toBeUndefined();
    expect(soft.withdrawn(profile('Soft'), { frames: 12_000, late: 904 + 6 }, 120_000_000)).toBeUndefined();
  });

  test('is withdrawn when live frames say otherwise, and says why', () => {
    const soft = new SoftPromise();
    soft.withdrawn(profile('Soft'), { frames: 0, late: 0 }, 0);
    const { status } = soft.withdrawn(profile('Soft'), { frames: 4000, late: 6 }, 10_000_000)!;
    expect(status).toMatchObject({
      promise: 'Firm',
      conditions: [{ type: 'SoftlyPromised', status: 'False', reason: 'TooManyLate' }],
    });
    expect(soft.withdrawn(profile('Firm'), { frames: 5000, late: 500 }, 20_000_000)).toBeUndefined();
  });

  test('forgets what is longer ago than five minutes', () => {
    const soft = new SoftPromise();
    soft.withdrawn(profile('Soft'), { frames: 0, late: 0 }, 0);
    expect(soft.withdrawn(profile('Soft'), { frames: 10_000, late: 4 }, 10_000_000)).toBeUndefined();
    expect(soft.withdrawn(profile('Soft'), { frames: 10_500, late: 4 }, 301_000_000)).toBeUndefined();
    expect(soft.withdrawn(profile('Soft'), { frames: 11_000, late: 8 }, 320_000_000)).toBeUndefined();
  });
});
