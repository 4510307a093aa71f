import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createHistogram } from 'node:perf_hooks';
import sharp from 'sharp';
import { Pool } from 'undici';
import type { TenantRequest } from '../operator/admission/request.js';
import { requestOf } from '../operator/admission/request.js';
import { seededRandom } from '../sched/arrivals.js';
import { BadInput, readCatalogue } from './directory.js';
import type { LoadedTenant } from './load-table.js';

export interface LoadOptions {
  readonly dir: string;
  readonly target: string;
  readonly durationMs: number;
  readonly seed: number;
  /** Folder of JPEG frames: gate-1.jpg is for tenants gate and gate-north; any for tenants without. Else drawn noise. */
  readonly framesDir?: string;
}

const MOST_CONNECTIONS = 512;
const TIMEOUT_SLACK_MS = 5000;
const LONGEST_WAIT_MS = 10_000;
const DRAWN_FRAMES = 4;

/** Open-loop cameras: every stream sends on its own clock, whether or not answers come back. */
export async function runLoad({ dir, target, durationMs, seed, framesDir }: LoadOptions): Promise<LoadedTenant[]> {
  const { tenants } = await readCatalogue(dir);
  let origin: string;
  try {
    origin = new URL(target).origin;
  } catch {
    throw new BadInput(`--target ${target} is not a URL such as http://127.0.0.1:8080`);
  }
  const pool = new Pool(origin, { connections: MOST_CONNECTIONS, pipelining: 1 });
  const random = seededRandom(seed);
  const frames = await framesBy(framesDir);
  try {
    return await Promise.all(
      tenants.map(async (tenant) =>
        new TenantLoad(requestOf(tenant), pool, await frames(tenant.metadata.name), random).run(durationMs),
      ),
    );
  } finally {
    await pool.close();
  }
}

class TenantLoad {
  readonly #request: TenantRequest;
  readonly #pool: Pool;
  readonly #frames: readonly Buffer[];
  readonly #random: () => number;
  readonly #latencyUs = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
  readonly #counts = {
    sent: 0,
    answered: 0,
    refused: 0,
    failed: 0,
    timedOut: 0,
    spare: 0,
    dropped: 0,
    late: 0,
    misses: 0,
    batchSum: 0,
  };
  readonly #missesBySecond: number[] = [];
  #firstError: string | undefined;
  #startMs = 0;

  constructor(request: TenantRequest, pool: Pool, frames: readonly Buffer[], random: () => number) {
    this.#request = request;
    this.#pool = pool;
    this.#frames = frames;
    this.#random = random;
  }

  async run(durationMs: number): Promise<LoadedTenant> {
    const { namespace, name, streams } = this.#request;
    const path = `/v2/models/${namespace}.${name}`;
    const served = (await Promise.all(Array.from({ length: streams }, () => this.#ready(path)))).every(
      (ready) => ready,
    );
    this.#startMs = performance.now();
    if (served)
      await Promise.all(
        Array.from({ length: streams }, (_, stream) => this.#camera(`${path}/infer`, stream, durationMs)),
      );
    return this.#result(served, durationMs);
  }

  /** Asks on a connection of its own, so that it is open before the first frame. */
  async #ready(path: string): Promise<boolean> {
    const { statusCode, body } = await this.#pool.request({ method: 'GET', path: `${path}/ready` });
    await body.dump();
    return statusCode === 200;
  }

  #result(served: boolean, durationMs: number): LoadedTenant {
    const { namespace, name, deadlineUs } = this.#request;
    const { sent, answered, refused, failed, timedOut, spare, dropped, late, misses, batchSum } = this.#counts;
    const seconds = durationMs / 1000;
    return {
      namespace,
      name,
      served,
      sent,
      answered,
      refused,
      failed,
      timedOut,
      late,
      misses,
      spare,
      dropped,
      offeredFps: sent / seconds,
      servedFps: answered / seconds,
      meanBatch: answered === 0 ? 0 : batchSum / answered,
      deadlineMs: deadlineUs === Infinity ? null : deadlineUs / 1000,
      latencyMs:
        answered === 0
          ? null
          : {
              p50: this.#latencyUs.percentile(50) / 1000,
              p99: this.#latencyUs.percentile(99) / 1000,
              max: this.#latencyUs.max / 1000,
            },
      ...(this.#firstError === undefined ? {} : { firstError: this.#firstError }),
      missesBySecond: Array.from({ length: Math.ceil(seconds) }, (_, i) => this.#missesBySecond[i] ?? 0),
    };
  }

  async #camera(path: string, stream: number, durationMs: number): Promise<void> {
    const periodMs = this.#request.periodUs / 1000;
    const startMs = performance.now() + this.#random() * periodMs;
    const answers: Promise<void>[] = [];
    for (let k = 0; k * periodMs < durationMs; k++) {
      const waitMs = startMs + k * periodMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      answers.push(this.#send(path, this.#frames[(stream + k) % this.#frames.length]!));
    }
    await Promise.all(answers);
  }

  #missed(sentMs: number): void {
    const second = Math.floor((sentMs - this.#startMs) / 1000);
    this.#missesBySecond[second] = (this.#missesBySecond[second] ?? 0) + 1;
  }

  async #send(path: string, frame: Buffer): Promise<void> {
    const counts = this.#counts;
    counts.sent++;
    const { deadlineUs } = this.#request;
    const startMs = performance.now();
    try {
      const { statusCode, headers, body } = await this.#pool.request({
        method: 'POST',
        path,
        headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream' },
        body: frame,
        signal: AbortSignal.timeout(Math.min(LONGEST_WAIT_MS, (2 * deadlineUs) / 1000) + TIMEOUT_SLACK_MS),
      });
      const answer = Buffer.from(await body.arrayBuffer());
      const latencyUs = Math.round((performance.now() - startMs) * 1000);
      if (statusCode === 200) {
        const length = Number(headers['inference-header-content-length'] ?? answer.length);
        const { parameters } = JSON.parse(answer.toString('utf8', 0, length)) as {
          parameters: { batch_size: number; promised: boolean; deadline_met?: boolean };
        };
        counts.answered++;
        counts.batchSum += parameters.batch_size;
        if (!parameters.promised) counts.spare++;
        if (latencyUs > deadlineUs) counts.late++;
        if (parameters.promised && parameters.deadline_met === false) {
          counts.misses++;
          this.#missed(startMs);
        }
        this.#latencyUs.record(Math.max(1, latencyUs));
      } else if (statusCode === 429) counts.refused++;
      else if (DROPPED.has(codeOf(answer))) {
        counts.dropped++;
        if ((JSON.parse(answer.toString()) as { promised?: boolean }).promised === true) {
          counts.misses++;
          this.#missed(startMs);
        }
      } else {
        counts.failed++;
        this.#missed(startMs);
        this.#firstError ??= `HTTP ${statusCode}: ${answer.toString('utf8', 0, 300)}`;
      }
    } catch (error) {
      this.#missed(startMs);
      if ((error as Error).name === 'TimeoutError') counts.timedOut++;
      else {
        counts.failed++;
        this.#firstError ??= (error as Error).message;
      }
    }
  }
}

/** Codes with which the agent gives a frame up. */
const DROPPED = new Set(['DeadlinePassed', 'ReplacedByNewer', 'SpareQueueFull']);

function codeOf(answer: Buffer): string {
  try {
    return (JSON.parse(answer.toString()) as { code?: string }).code ?? '';
  } catch {
    return '';
  }
}

/** Where a tenant's cameras take their pictures from. */
async function framesBy(dir: string | undefined): Promise<(tenant: string) => Promise<Buffer[]>> {
  if (dir === undefined) {
    const drawn = await Promise.all(
      Array.from({ length: DRAWN_FRAMES }, (_, i) =>
        sharp({
          create: {
            width: 640,
            height: 480,
            channels: 3,
            background: '#555',
            noise: { type: 'gaussian', mean: 100 + 20 * i, sigma: 25 },
          },
        })
          .jpeg({ quality: 80 })
          .toBuffer(),
      ),
    );
    return () => Promise.resolve(drawn);
  }
  const names = (await readdir(dir)).filter((name) => /\.jpe?g$/.test(name)).sort();
  if (names.length === 0) throw new BadInput(`--frames ${dir} holds no JPEG files`);
  return async (tenant) => {
    const own = names.filter((name) => `${tenant}-`.startsWith(`${name.replace(/(-?[0-9]+)?\.jpe?g$/, '')}-`));
    return Promise.all((own.length > 0 ? own : names).map((name) => readFile(join(dir, name))));
  };
}
