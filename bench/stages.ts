import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { fileURLToPath } from 'node:url';
import { DEEPRT } from '../hack/example-manifests.js';
import { freePort } from '../hack/free-port.js';
import { ATTACKS, UHD } from './attacks.js';
import type { Figure } from './figure.js';
import { jpegOf } from './jpeg.js';
import type { Cameras, Sender, Tally } from './peers/cameras.js';
import { play } from './peers/cameras.js';
import { networks } from './peers/networks.js';
import type { Network } from './peers/systems.js';
import { tensorSender } from './peers/systems.js';

/** How long each case lasts, in seconds. */
const SECONDS = Number(process.env['SECONDS'] ?? 15);
const WARM_UP_MS = 3000;
const ATTACK = fileURLToPath(new URL('./attacks.js', import.meta.url));
const READY_MS = 120_000;
/** The share of each stage that is promised when all is. */
const FULL = 0.7;
const DEADLINE_MS = 200;

/** A tenant that keeps what it declared: two cameras that send JPEG. */
const SMALL: Cameras = { tenant: 'small', streams: 2, fps: 5, deadlineMs: DEADLINE_MS, jitterMs: 5 };

const manifest = (network: Network, { tenant, streams, fps, deadlineMs }: Cameras, more: object): object => ({
  apiVersion: 'deeprt.dev/v1alpha1',
  kind: 'InferenceTenant',
  metadata: { name: tenant, namespace: 'default' },
  spec: {
    modelRef: { name: network.name },
    inputShape: network.dims,
    streams,
    framesPerSecond: fps,
    deadline: `${deadlineMs}ms`,
    ...more,
  },
});

interface Server {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** The real agent over a folder of manifests; started again with other tenants, it knows its profile. */
class Servers {
  readonly #network: Network;
  readonly #state: string;
  #child: ChildProcess | undefined;

  constructor(network: Network, state: string) {
    this.#network = network;
    this.#state = state;
  }

  async start(tenants: readonly object[]): Promise<Server> {
    const dir = await mkdtemp(join(tmpdir(), 'deeprt-stages-'));
    const { name, path, sha256, input, dims, maxBatch } = this.#network;
    const model = {
      apiVersion: 'deeprt.dev/v1alpha1',
      kind: 'InferenceModel',
      metadata: { name },
      spec: { source: `file://${path}`, sha256, input: { name: input }, shapes: [dims], maxBatchSize: maxBatch },
    };
    await writeFile(join(dir, 'all.yaml'), [model, ...tenants].map((each) => stringify(each)).join('---\n'));
    const url = `http://127.0.0.1:${await freePort()}`;
    const args = ['standalone', '-f', dir, '--provider', 'cpu', '--threads', '1', '--state', this.#state];
    const child = spawn(process.execPath, [DEEPRT, ...args, '--listen', url.slice('http://'.length)], {
      stdio: 'ignore',
    });
    this.#child = child;
    const stop = async (): Promise<void> => {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        await ended;
      }
      await rm(dir, { recursive: true, force: true });
    };
    for (const untilMs = performance.now() + READY_MS; performance.now() < untilMs; await delay(200)) {
      const answer = await fetch(`${url}/v2/health/ready`).catch(() => undefined);
      if (answer?.ok === true) return { url, stop };
    }
    await stop();
    throw new Error('the agent did not begin to serve');
  }

  end(): void {
    this.#child?.kill('SIGKILL');
  }
}

/** One of the agent's metrics, summed over its series that match. */
async function metric(url: string, pattern: RegExp): Promise<number> {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
  return lines.filter((line) => pattern.test(line)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

const missed = ({ sent, inTime }: Tally): number => sent - inTime;
const p99 = ({ latenciesMs }: Tally): number =>
  [...latenciesMs].sort((a, b) => a - b)[Math.floor(0.99 * latenciesMs.length)] ?? Infinity;

/** What neighbours do to a small tenant that keeps what it declared, and a node whose device and decoding are promised to the full. */
export async function benchStages(): Promise<Figure[]> {
  const network = (await networks(['text-direction'])).get('text-direction')!;
  const small = await jpegOf(640, 480);
  const senderOf = (tenant: string, body: Buffer): Sender => ({
    path: `/v2/models/default.${tenant}/infer`,
    headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream' },
    body,
  });
  const state = await mkdtemp(join(tmpdir(), 'deeprt-stages-state-'));
  const servers = new Servers(network, state);
  const declared = { frames: { encoding: 'JPEG', width: 640, height: 480 } };
  const good = manifest(network, SMALL, declared);
  const foe = { tenant: 'foe', streams: 1, fps: 5, deadlineMs: DEADLINE_MS, jitterMs: 0 };
  const figures: Figure[] = [];
  const alone = { p99Ms: Infinity };
  const told = (name: string, tally: Tally): void => {
    const ratio = p99(tally) / alone.p99Ms;
    figures.push(
      { name: `${name}: missed of ${tally.sent}`, value: missed(tally), unit: '', aim: '0', met: missed(tally) === 0 },
      { name: `${name}: p99 against alone`, value: ratio, unit: 'x', aim: '<= 1.1 x', met: ratio <= 1.1 },
    );
  };
  /** The small tenant's cameras, beside one of the attacks by another tenant. */
  const withSmall = async (name?: string, foe?: object): Promise<Tally> => {
    const server = await servers.start([good, ...(foe === undefined ? [] : [foe])]);
    try {
      const forMs = WARM_UP_MS + 1000 * SECONDS;
      const path = '/v2/models/default.foe/infer';
      const attack = [ATTACK, server.url, path, `${forMs}`, network.input, network.dims.join('x'), name ?? ''];
      const child = name === undefined ? undefined : spawn(process.execPath, attack, { stdio: 'inherit' });
      const plays = [{ cameras: SMALL, sender: senderOf('small', small) }];
      const tallies = await play(server.url, plays, WARM_UP_MS, 1000 * SECONDS, 1);
      child?.kill('SIGKILL');
      return tallies.get('small')!;
    } finally {
      await server.stop();
    }
  };
  try {
    await (await servers.start([good])).stop(); // which measures
    const first = await withSmall();
    alone.p99Ms = p99(first);
    figures.push({ name: 'alone: p99', value: alone.p99Ms, unit: 'ms' });
    const big = { tenant: 'foe', streams: 8, fps: 10, deadlineMs: 300, jitterMs: 5 };
    const frames = { encoding: 'JPEG', width: 3840, height: 2160 };
    for (const beyondPromise of ['Serve', 'Refuse'])
      told(`${UHD}, ${beyondPromise}`, await withSmall(UHD, manifest(network, big, { frames, beyondPromise })));
    for (const name of ATTACKS) told(name, await withSmall(name, manifest(network, foe, declared)));
    return [...figures, ...(await full(servers, network, small, senderOf))];
  } finally {
    servers.end();
    await rm(state, { recursive: true, force: true });
  }
}

/** Tenants whose images take 70 % of decoding, and others whose tensors fill the device up to as much. */
async function full(
  servers: Servers,
  network: Network,
  image: Buffer,
  senderOf: (tenant: string, body: Buffer) => Sender,
): Promise<Figure[]> {
  const cameras = (tenant: string): Cameras => ({ tenant, streams: 1, fps: 10, deadlineMs: 300, jitterMs: 5 });
  const imaged = Array.from({ length: 40 }, (_, i) => cameras(`image${i}`));
  const tensors = Array.from({ length: 60 }, (_, i) => cameras(`tensor${i}`));
  const frames = { encoding: 'JPEG', width: 640, height: 480 };
  const images = imaged.map((each) => manifest(network, each, { frames, beyondPromise: 'Refuse' }));
  const others = tensors.map((each) =>
    manifest(network, each, { frames: { encoding: 'Tensor' }, beyondPromise: 'Refuse' }),
  );
  const shares = async (url: string): Promise<{ decode: number; receive: number; device: number }> => ({
    decode: await metric(url, /^deeprt_stage_promised_ratio.*stage="decode"/),
    receive: await metric(url, /^deeprt_stage_promised_ratio.*stage="receive"/),
    device: await metric(url, /^deeprt_admitted_utilization/),
  });
  const probe = await servers.start([images[0]!, others[0]!]);
  const one = await shares(probe.url);
  await probe.stop();
  const imagesWanted = Math.ceil(FULL / one.decode);
  const tensorsWanted = Math.max(0, Math.ceil((2 * FULL) / one.device) - imagesWanted);
  const server = await servers.start([...images.slice(0, imagesWanted), ...others.slice(0, tensorsWanted)]);
  try {
    const { decode, receive, device } = await shares(server.url);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const admitted = (all: readonly Cameras[]): Cameras[] =>
      all.filter(({ tenant }) => text.includes(`deeprt_tenant_streams{namespace="default",tenant="${tenant}"`));
    const before = await metric(server.url, /^deeprt_overruns_total/);
    const plays = [
      ...admitted(imaged).map((each) => ({ cameras: each, sender: senderOf(each.tenant, image) })),
      ...admitted(tensors).map((each) => ({
        cameras: each,
        sender: tensorSender(`/v2/models/default.${each.tenant}/infer`, network),
      })),
    ];
    const tallies = [...(await play(server.url, plays, WARM_UP_MS, 1000 * SECONDS, 2)).values()];
    const sent = tallies.reduce((sum, tally) => sum + tally.sent, 0);
    const bad = (100 * tallies.reduce((sum, tally) => sum + missed(tally), 0)) / sent;
    const overruns = (await metric(server.url, /^deeprt_overruns_total/)) - before;
    const runs = await metric(server.url, /^deeprt_job_duration_seconds_count/);
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
  } finally {
    await server.stop();
  }
}
