import { execFile } from 'node:child_process';
import { cpus, release } from 'node:os';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import type { Provider, SessionSettings } from './providers/providers.js';

const run = promisify(execFile);

/** An NVIDIA GPU as nvidia-smi tells of it. */
export interface NvidiaGpu {
  readonly name: string;
  readonly driverVersion: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
}

const MEBIBYTE = 1024 ** 2;
const SMI_TIMEOUT_MS = 10_000;

/** `nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv,noheader,nounits`, one GPU a line. */
export function parseGpus(csv: string): NvidiaGpu[] {
  return csv
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length === 4)
    .map(([name, driverVersion, total, used]) => ({
      name: name!,
      driverVersion: driverVersion!,
      totalBytes: Number(total) * MEBIBYTE,
      usedBytes: Number(used) * MEBIBYTE,
    }));
}

/** `nvidia-smi --query-compute-apps=pid,used_gpu_memory --format=csv,noheader,nounits`: bytes by process. */
export function parseProcesses(csv: string): Map<number, number> {
  const rows = csv.split('\n').map((line) => line.split(',').map(Number) as [number, number]);
  return new Map(rows.filter(([pid, used]) => pid > 0 && used >= 0).map(([pid, used]) => [pid, used * MEBIBYTE]));
}

async function nvidiaSmi(...args: string[]): Promise<string> {
  const { stdout } = await run('nvidia-smi', [...args, '--format=csv,noheader,nounits'], { timeout: SMI_TIMEOUT_MS });
  return stdout;
}

/** The machine's NVIDIA GPUs; none where there is no driver. */
export async function nvidiaGpus(): Promise<NvidiaGpu[]> {
  try {
    return parseGpus(await nvidiaSmi('--query-gpu=name,driver_version,memory.total,memory.used'));
  } catch {
    return [];
  }
}

/** Memory that each process takes on a GPU; in a container it may see none of them. */
export async function nvidiaProcesses(deviceId: number): Promise<Map<number, number>> {
  return parseProcesses(await nvidiaSmi('-i', `${deviceId}`, '--query-compute-apps=pid,used_gpu_memory'));
}

/** Whether the provider's networks run on an NVIDIA GPU through CUDA. */
export const isCuda = (provider: Provider): boolean => provider === 'cuda' || provider === 'tensorrt';

/** What a device is called, and what drives it. */
export interface Hardware {
  readonly name: string;
  readonly driverVersion: string;
}

export async function hardwareOf(settings: SessionSettings): Promise<Hardware> {
  const gpu = await nvidiaGpuOf(settings);
  if (gpu !== undefined) return { name: gpu.name, driverVersion: gpu.driverVersion };
  const driverVersion = release();
  if (settings.provider === 'cpu') return { name: cpus()[0]?.model ?? 'unknown processor', driverVersion };
  const drivers = vulkanDrivers();
  return { name: `default WebGPU adapter${drivers === undefined ? '' : ` (${basename(drivers)})`}`, driverVersion };
}

/** The NVIDIA GPU that sessions with these settings run on; undefined when it is another device. */
export async function nvidiaGpuOf({ provider, deviceId = 0 }: SessionSettings): Promise<NvidiaGpu | undefined> {
  if (provider === 'cpu' || (provider === 'webgpu' && vulkanDrivers()?.includes('nvidia') === false)) return undefined;
  return (await nvidiaGpus())[deviceId];
}

/** The Vulkan drivers that the loader is told to use instead of those installed. */
const vulkanDrivers = (): string | undefined => process.env['VK_DRIVER_FILES'] ?? process.env['VK_ICD_FILENAMES'];
