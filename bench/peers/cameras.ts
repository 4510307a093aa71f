import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { seededRandom } from '../../sched/arrivals.js';

/** Frames of one tenant as a system takes them. */
export interface Sender {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Cameras of one tenant: each sends so many frames a second, whatever becomes of them. */
export interface Cameras {
  readonly tenant: string;
  readonly streams: number;
  readonly fps: number;
  readonly deadlineMs: number;
  readonly jitterMs: number;
  /** Every so often nothing comes for a while, and then all of it at once. */
  readonly stall?: { readonly everyMs: number; readonly forMs: number };
}

/** What became of a tenant's frames. */
export interface Tally {
  sent: number;
  inTime: number;
  late: number;
  refused: number;
  /** Late although the system had promised it to be in time. */
  promisedLate: number;
  readonly latenciesMs: number[];
}

/** Answers that take longer are not waited for. */
const LONGEST_MS = 5000;

/** Plays all cameras against a system for so long, and counts what was sent after `warmUpMs`. */
export async function play(
  url: string,
  plays: readonly { readonly cameras: Cameras; readonly sender: Sender }[],
  warmUpMs: number,
  forMs: number,
  seed: number,
): Promise<Map<string, Tally>> {
  const pool = new Pool(url, { connections: 512, pipelining: 1 });
  const random = seededRandom(seed);
  const tallies = new Map<string, Tally>();
  const open = new Set<Promise<void>>();
  const startMs = performance.now() + 50;
  const endMs = startMs + warmUpMs + forMs;
  const one = async (sender: Sender, deadlineMs: number, tally: Tally | undefined): Promise<void> => {
    const sentMs = performance.now();
    let [ok, promised] = [false, true];
    try {
      const { statusCode, headers, body } = await pool.request({
        method: 'POST',
        ...sender,
        headersTimeout: LONGEST_MS,
        bodyTimeout: LONGEST_MS,
      });
      const answer = Buffer.from(await body.arrayBuffer());
      ok = statusCode === 200;
      const headLength = Number(headers['inference-header-content-length'] ?? 0);
      promised = !answer.subarray(0, headLength).includes('"promised":false');
    } catch {
      // not answered
    }
    if (tally === undefined) return;
    const tookMs = performance.now() - sentMs;
    if (!ok) tally.refused++;
    else if (tookMs <= deadlineMs) tally.inTime++;
    else {
      tally.late++;
      if (promised) tally.promisedLate++;
    }
    if (ok) tally.latenciesMs.push(tookMs);
  };
  const stream = async ({ fps, jitterMs, deadlineMs, stall }: Cameras, sender: Sender, tally: Tally): Promise<void> => {
    const periodMs = 1000 / fps;
    for (let atMs = startMs + random() * periodMs; atMs < endMs; atMs += periodMs) {
      const intoMs = stall === undefined ? Infinity : (atMs - startMs) % stall.everyMs;
      const heldMs = stall !== undefined && intoMs < stall.forMs ? stall.forMs - intoMs : 0;
      const dueMs = atMs + heldMs + random() * jitterMs;
      if (dueMs > performance.now()) await delay(dueMs - performance.now());
      const counts = atMs >= startMs + warmUpMs;
      if (counts) tally.sent++;
      const frame = one(sender, deadlineMs, counts ? tally : undefined).finally(() => open.delete(frame));
      open.add(frame);
    }
  };
  await Promise.all(
    plays.flatMap(({ cameras, sender }) => {
      const tally: Tally = { sent: 0, inTime: 0, late: 0, refused: 0, promisedLate: 0, latenciesMs: [] };
      tallies.set(cameras.tenant, tally);
      return Array.from({ length: cameras.streams }, () => stream(cameras, sender, tally));
    }),
  );
  await Promise.all(open);
  await pool.destroy();
  return tallies;
}
