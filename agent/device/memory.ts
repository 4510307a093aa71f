import { readFile, readdir } from 'node:fs/promises';
import { availableMemory } from 'node:process';
import { isCuda, nvidiaGpuOf, nvidiaProcesses } from './machine.js';
import type { SessionSettings } from './providers/providers.js';

/** What is left for the driver, for fragmentation and for whoever else is on the device. */
const RESERVE = 0.1;
const PAGE_BYTES = 4096;
const MEBIBYTE = 1024 ** 2;

/** Tells how much of a device's memory may be used, and how much a process uses. */
export interface MemoryMeter {
  /** What was free when the meter was made, less a reserve, in bytes. */
  readonly freeBytes: number;
  usedBytes(pid: number): Promise<number>;
}

/**
 * A meter for the device: of an NVIDIA GPU's own memory; for all others of the machine's, which the CPU uses and
 * integrated GPUs share.
 */
export async function memoryMeter(settings: SessionSettings): Promise<MemoryMeter> {
  const { provider, deviceId = 0 } = settings;
  const lessReserve = (bytes: number): number => Math.floor(((1 - RESERVE) * bytes) / MEBIBYTE) * MEBIBYTE;
  const gpu = await nvidiaGpuOf(settings);
  if (gpu !== undefined) {
    const { usedBytes: othersBytes } = gpu;
    return {
      freeBytes: lessReserve(gpu.totalBytes - othersBytes),
      async usedBytes(pid) {
        // Graphics APIs are not among the compute processes, and another PID namespace hides them all.
        const own = isCuda(provider) ? (await nvidiaProcesses(deviceId)).get(pid) : undefined;
        return own ?? Math.max(0, ((await nvidiaGpuOf(settings))?.usedBytes ?? 0) - othersBytes);
      },
    };
  }
  const graphics = provider === 'webgpu';
  return {
    freeBytes: lessReserve(availableMemory()),
    usedBytes: async (pid) => (await processBytes(pid)) + (graphics ? await graphicsBytes(pid) : 0),
  };
}

/** A process's own memory: resident, without what it shares with files. */
async function processBytes(pid: number): Promise<number> {
  const [, resident, shared] = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ').map(Number);
  return (resident! - shared!) * PAGE_BYTES;
}

/** A process's buffers in the kernel's graphics drivers (Documentation/gpu/drm-usage-stats.rst). */
async function graphicsBytes(pid: number): Promise<number> {
  const folder = `/proc/${pid}/fdinfo`;
  const files = await readdir(folder).catch(() => []);
  const texts = await Promise.all(files.map((file) => readFile(`${folder}/${file}`, 'utf8').catch(() => '')));
  return drmBytes(texts);
}

/** Sum over the clients, each of which may have several open files, of what their buffers take in every region. */
export function drmBytes(fdinfos: readonly string[]): number {
  const clients = new Map<string, number>();
  for (const text of fdinfos) {
    const client = /^drm-client-id:\s*(\d+)/m.exec(text)?.[1];
    if (client === undefined) continue;
    const regions = new Map<string, number>();
    for (const [, kind, region, value, unit] of text.matchAll(
      /^drm-(total|memory)-([^:\s]+):\s*(\d+)(?: (KiB|MiB))?/gm,
    )) {
      const bytes = Number(value) * (unit === 'KiB' ? 1024 : unit === 'MiB' ? MEBIBYTE : 1);
      // `memory` is the older name of the same.
      if (kind === 'total' || !regions.has(region!)) regions.set(region!, bytes);
    }
    clients.set(
      client,
      [...regions.values()].reduce((sum, bytes) => sum + bytes, 0),
    );
  }
  return [...clients.values()].reduce((sum, bytes) => sum + bytes, 0);
}
