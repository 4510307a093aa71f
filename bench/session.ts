import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Stages } from '../api/frames.js';
import { answerUs, frameCost } from '../api/frames.js';
import type { Figure } from './figure.js';
import { median } from './figure.js';
import type { Cameras, Tally } from './peers/cameras.js';
import { play } from './peers/cameras.js';
import { networks } from './peers/networks.js';
import type { Tenant } from './peers/systems.js';
import { deeprt } from './peers/systems.js';

const WARM_UP_MS = 2000;
const LIGHT_MS = 10_000;
const ROOM_MS = 30_000;
/** Frames that are promised and sent beside a flood. */
const PROMISED = Number(process.env['FRAMES'] ?? 100_000);
const [STREAMS, FPS, DEADLINE_MS] = [12, 25, 150];
/** Of a frame as a tensor, about. */
const FRAME_BYTES = 100 * 1024;
/** A tenant that asks for one camera at so many frames a second, and sends so many times as much. */
const [FLOOD, FLOOD_FPS] = [20, 10];

const cameras = (tenant: string, more: Partial<Cameras> = {}): Cameras => ({
  tenant,
  streams: 1,
  fps: 30,
  deadlineMs: DEADLINE_MS,
  jitterMs: 2,
  ...more,
});

const inTime = ({ inTime: good, sent }: Tally): number => (100 * good) / sent;

/** What the profile that was stored says of binary tensors. */
async function ingestMs(state: string): Promise<number> {
  const [file] = await readdir(join(state, 'profiles'));
  const { status } = parse(await readFile(join(state, 'profiles', file!), 'utf8')) as { status: { stages: Stages } };
  const { stages } = status;
  const bytes = FRAME_BYTES;
  return (frameCost(stages, { form: 'Tensor', bytes }).receiveUs + answerUs(stages, 0) + stages.channelUs) / 1000;
}

/** What is promised and what is left over, on a real session over HTTP: light load, cameras as they are, and a flood. */
export async function benchSession(): Promise<Figure[]> {
  const known = await networks(['text-direction', 'text-reader']);
  const network = known.get('text-direction')!;
  const state = await mkdtemp(join(tmpdir(), 'deeprt-session-state-'));
  const serve = async (tenants: readonly Tenant[], forMs: number, seed: number): Promise<Map<string, Tally>> => {
    const dir = await mkdtemp(join(tmpdir(), 'deeprt-session-'));
    const running = await deeprt(state).start(tenants, dir);
    try {
      const plays = tenants.map((tenant) => ({ cameras: tenant.cameras, sender: running.senderOf(tenant) }));
      return await play(running.url, plays, WARM_UP_MS, forMs, seed);
    } finally {
      await running.stop();
      await rm(dir, { recursive: true, force: true });
    }
  };
  try {
    const light = await serve([{ cameras: cameras('light', { streams: 4, fps: 10 }), network }], LIGHT_MS, 1);
    const p50Ms = median(light.get('light')!.latenciesMs);
    const aloneMs = network.singleUs / 1000;
    const most = 1.3 * aloneMs + (await ingestMs(state));

    const asDeclared = { framesPerSecond: 30, deadline: `${DEADLINE_MS}ms` };
    const room = await serve(
      [
        { cameras: cameras('steady', { streams: 3 }), network },
        { cameras: cameras('jittery', { jitterMs: 20 }), network, asks: asDeclared },
        { cameras: cameras('fast', { fps: 30.5 }), network, asks: asDeclared },
        {
          cameras: cameras('stalling', { stall: { everyMs: 6000, forMs: 1000 } }),
          network,
          asks: { ...asDeclared, spareFrames: 'Latest' },
        },
      ],
      ROOM_MS,
      2,
    );
    const flooded = await serve(
      [
        { cameras: cameras('kept', { streams: STREAMS, fps: FPS }), network },
        {
          cameras: cameras('flood', { streams: FLOOD, fps: FLOOD_FPS }),
          network: known.get('text-reader')!,
          asks: { streams: 1, framesPerSecond: FLOOD_FPS },
        },
      ],
      (1000 * PROMISED) / (STREAMS * FPS),
      3,
    );
    const kept = flooded.get('kept')!;
    const lateShare = (100 * kept.promisedLate) / kept.sent;
    return [
      {
        name: `latency at light load, p50; a single frame runs ${aloneMs.toFixed(2)} ms`,
        value: p50Ms,
        unit: 'ms',
        aim: `<= ${most.toFixed(2)} ms (1.3 x that, and ingest)`,
        met: p50Ms <= most,
      },
      ...['steady', 'jittery', 'fast', 'stalling'].map((tenant): Figure => {
        const value = inTime(room.get(tenant)!);
        return {
          name: `answered in time with room, ${tenant} camera`,
          value,
          unit: '%',
          aim: '>= 99 %',
          met: value >= 99,
        };
      }),
      {
        name: `promised late of ${kept.sent} beside a flood of ${FLOOD} times its rate`,
        value: lateShare,
        unit: '%',
        aim: '<= 0.1 %',
        met: lateShare <= 0.1,
      },
      { name: 'of the flood answered in time', value: inTime(flooded.get('flood')!), unit: '%' },
    ];
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}
