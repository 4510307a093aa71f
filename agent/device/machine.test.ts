import { describe, expect, test } from '@jest/globals';
import { parseGpus, parseProcesses } from './machine.js';
import { drmBytes, memoryMeter } from './memory.js';

const MIB = 1024 ** 2;

describe('what nvidia-smi tells', () => {
  test('of the GPUs', () => {
    expect(
      parseGpus('NVIDIA H200, 570.86.15, 143771, 4\nNVIDIA RTX A2000, 12GB, 1, 2, 3\nTesla T4, 550.54, 15360, 100\n'),
    ).toEqual([
      { name: 'NVIDIA H200', driverVersion: '570.86.15', totalBytes: 143771 * MIB, usedBytes: 4 * MIB },
      { name: 'Tesla T4', driverVersion: '550.54', totalBytes: 15360 * MIB, usedBytes: 100 * MIB },
    ]);
  });

  test('of the processes, where it knows', () => {
    expect(parseProcesses('1234, 500\n99, [N/A]\n\n')).toEqual(new Map([[1234, 500 * MIB]]));
    expect(parseProcesses('')).toEqual(new Map());
  });
});

describe('memory', () => {
  test('of graphics clients counts each once, in all regions', () => {
    const first =
      'pos:\t0\ndrm-driver:\tamdgpu\ndrm-client-id:\t7\ndrm-total-vram:\t2048 KiB\ndrm-memory-vram:\t1024 KiB\ndrm-total-gtt:\t1 MiB\n';
    const older = 'drm-client-id:\t8\ndrm-memory-vram:\t512 KiB\n';
    expect(drmBytes([first, first, older, 'pos:\t0\n'])).toBe(3 * MIB + 512 * 1024);
  });

  test('of this process can be read', async () => {
    const meter = await memoryMeter({ provider: 'cpu', threads: 1 });
    expect(meter.freeBytes).toBeGreaterThan(100 * MIB);
    const before = await meter.usedBytes(process.pid);
    // Far more than what is collected of the tests' own garbage meanwhile.
    const held = Buffer.alloc(512 * MIB, 1);
    expect((await meter.usedBytes(process.pid)) - before).toBeGreaterThan(384 * MIB);
    expect(held[5]).toBe(1);
  });
});
