import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { shapeText } from '../api/names.js';
import { ATTACKS, UHD } from './attacks.js';
import type { Figure } from './figure.js';
import { jpegOf } from './jpeg.js';
import type { Cameras, Sender, Tally } from './peers/cameras.js';
import { play } from './peers/cameras.js';
import { networks } from './peers/networks.js';
import type { Network, Running, Tenant } from './peers/systems.js';
import { deeprt } from './peers/systems.js';

/** How long each case lasts, in seconds. */
const SECONDS = Number(process.env['SECONDS'] ?? 15);
const WARM_UP_MS = 3000;
const ATTACK = fileURLToPath(new URL('./attacks.js', import.meta.url));
/** The share of each stage that is promised when all is. */
const FULL = 0.7;
const DEADLINE_MS = 200;
/** So long after an attack memory has come back. */
const CALM_MS = 3000;
const MIB = 1024 ** 2;

/** A tenant that keeps what it declared: two cameras that send JPEG. */
const SMALL: Cameras = { tenant: 'small', streams: 2, fps: 5, deadlineMs: DEADLINE_MS, jitterMs: 5 };

/** One of the agent's metrics, summed over its series that match. */
async function metric(url: string, pattern: RegExp): Promise<number> {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
  return lines.filter((line) => pattern.test(line)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

const missed = ({ sent, inTime }: Tally): number => sent - inTime;
const p99 = ({ latenciesMs }: Tally): number =>
  [...latenciesMs].sort((a, b) => a - b)[Math.floor(0.99 * latenciesMs.length)] ?? Infinity;

const declared = { frames: { encoding: 'JPEG', width: 640, height: 480 } };

/** Sends images, whatever its network takes. */
const imagesOf = (tenant: string, body: Buffer): Sender => ({
  path: `/v2/models/default.${tenant}/infer`,
  headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream' },
  body,
});

/** The real agent, which is started again and again with other tenants, and knows its profile after the first time. */
class Servers {
  readonly #dir: string;
  #started = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async with<T>(tenants: readonly Tenant[], use: (running: Running) => Promise<T>): Promise<T> {
    const dir = await mkdtemp(join(this.#dir, `${this.#started++}-`));
    const running = await deeprt(join(this.#dir, 'state')).start(tenants, dir);
    try {
      return await use(running);
    } finally {
      await running.stop();
    }
  }
}

/** What neighbours do to a small tenant that keeps what it declared, and a node whose device and decoding are promised to the full. */
export async function benchStages(): Promise<Figure[]> {
  const network = (await networks(['text-direction'])).get('text-direction')!;
  const image = await jpegOf(640, 480);
  const dir = await mkdtemp(join(tmpdir(), 'deeprt-stages-'));
  const servers = new Servers(dir);
  const good: Tenant = { cameras: SMALL, network, asks: declared };
  const figures: Figure[] = [];
  /** The main process's resident memory before, at most beside, and a while after attacks. */
  const memory = { before: 0, most: 0, after: 0 };
  /** The small tenant's cameras, beside one of the attacks by another tenant. */
  const withSmall = (name?: string, foe?: Tenant): Promise<Tally> =>
    servers.with([good, ...(foe === undefined ? [] : [foe])], async ({ url }) => {
      const resident = (): Promise<number> => metric(url, /^process_resident_memory_bytes/);
      memory.before = Math.max(memory.before, await resident());
      const forMs = WARM_UP_MS + 1000 * SECONDS;
      const path = '/v2/models/default.foe/infer';
      const attack = [ATTACK, url, path, `${forMs}`, network.input, shapeText(network.dims), name ?? ''];
      const child = name === undefined ? undefined : spawn(process.execPath, attack, { stdio: 'inherit' });
      const plays = [{ cameras: SMALL, sender: imagesOf('small', image) }];
      const sampler = setInterval(() => {
        void resident().then((bytes) => (memory.most = Math.max(memory.most, bytes)));
      }, 1000);
      const tallies = await play(url, plays, WARM_UP_MS, 1000 * SECONDS, 1);
      child?.kill('SIGKILL');
      clearInterval(sampler);
      await delay(CALM_MS);
      memory.after = Math.max(memory.after, await resident());
      return tallies.get('small')!;
    });
  try {
    await servers.with([good], () => Promise.resolve()); // which measures
    const aloneMs = p99(await withSmall());
    figures.push({ name: 'alone: p99', value: aloneMs, unit: 'ms' });
    const told = (name: string, tally: Tally): void => {
      const ratio = p99(tally) / aloneMs;
      figures.push(
        {
          name: `${name}: missed of ${tally.sent}`,
          value: missed(tally),
          unit: '',
          aim: '0',
          met: missed(tally) === 0,
        },
        { name: `${name}: p99 against alone`, value: ratio, unit: 'x', aim: '<= 1.1 x', met: ratio <= 1.1 },
      );
    };
    const big: Cameras = { tenant: 'foe', streams: 8, fps: 10, deadlineMs: 300, jitterMs: 5 };
    const frames = { encoding: 'JPEG', width: 3840, height: 2160 };
    for (const beyondPromise of ['Serve', 'Refuse'])
      told(
        `${UHD}, ${beyondPromise}`,
        await withSmall(UHD, { cameras: big, network, asks: { frames, beyondPromise } }),
      );
    const foe: Cameras = { tenant: 'foe', streams: 1, fps: 5, deadlineMs: DEADLINE_MS, jitterMs: 0 };
    for (const name of ATTACKS) told(name, await withSmall(name, { cameras: foe, network, asks: declared }));
    figures.push(
      { name: 'memory beside attacks, most', value: memory.most / MIB, unit: 'MiB' },
      { name: 'memory after attacks against before, most', value: memory.after / memory.before, unit: 'x' },
    );
    return [...figures, ...(await full(servers, network, image))];
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Shares {
  readonly decode: number;
  readonly receive: number;
  readonly device: number;
}

const sharesOf = async ({ url }: Running): Promise<Shares> => ({
  decode: await metric(url, /^deeprt_stage_promised_ratio.*stage="decode"/),
  receive: await metric(url, /^deeprt_stage_promised_ratio.*stage="receive"/),
  device: await metric(url, /^deeprt_admitted_utilization/),
});

/** Tenants whose images take 70 % of decoding, and others whose tensors fill the device up to as much. */
async function full(servers: Servers, network: Network, image: Buffer): Promise<Figure[]> {
  const cameras = (tenant: string): Cameras => ({ tenant, streams: 1, fps: 10, deadlineMs: 300, jitterMs: 5 });
  const imaged = (i: number): Tenant => {
    const asks = { ...declared, beyondPromise: 'Refuse' };
    return { cameras: cameras(`image${i}`), network, asks };
  };
  const other = (i: number): Tenant => ({
    cameras: cameras(`tensor${i}`),
    network,
    asks: { beyondPromise: 'Refuse' },
  });
  const one = await servers.with([imaged(0), other(0)], sharesOf);
  const images = Array.from({ length: Math.ceil(FULL / one.decode) }, (_, i) => imaged(i));
  const tensors = Array.from({ length: Math.max(0, Math.ceil((2 * FULL) / one.device) - images.length) }, (_, i) =>
    other(i),
  );
  return servers.with([...images, ...tensors], async (running) => {
    const { url, senderOf } = running;
    const { decode, receive, device } = await sharesOf(running);
    const text = await (await fetch(`${url}/metrics`)).text();
    const admitted = ({ cameras: { tenant } }: Tenant): boolean =>
      text.includes(`deeprt_tenant_streams{namespace="default",tenant="${tenant}"`);
    const before = await metric(url, /^deeprt_overruns_total/);
    const plays = [
      ...images.filter(admitted).map((each) => ({
        cameras: each.cameras,
        sender: imagesOf(each.cameras.tenant, image),
      })),
      ...tensors.filter(admitted).map((each) => ({ cameras: each.cameras, sender: senderOf(each) })),
    ];
    const tallies = [...(await play(url, plays, WARM_UP_MS, 1000 * SECONDS, 2)).values()];
    const sent = tallies.reduce((sum, tally) => sum + tally.sent, 0);
    const bad = (100 * tallies.reduce((sum, tally) => sum + missed(tally), 0)) / sent;
    const overruns = (await metric(url, /^deeprt_overruns_total/)) - before;
    const runs = await metric(url, /^deeprt_job_duration_seconds_count/);
    return [
      { name: 'promised: share of decoding', value: 100 * decode, unit: '%', aim: '>= 70 %', met: decode >= FULL },
      { name: 'promised: share of the device', value: 100 * device, unit: '%', aim: '>= 70 %', met: device >= FULL },
      { name: 'promised: share of receiving', value: 100 * receive, unit: '%' },
      { name: `promised to the full: missed of ${sent}`, value: bad, unit: '%', aim: '<= 0.1 %', met: bad <= 0.1 },
      {
        name: 'runs longer than their WCET',
        value: (100 * overruns) / runs,
        unit: '%',
        aim: '<= 0.1 %',
        met: overruns <= runs / 1000,
      },
    ];
  });
}
