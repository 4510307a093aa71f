import { setTimeout as sleep } from 'node:timers/promises';
import { microTime } from './clock.js';
import { reasonOf, statusOf } from './cluster.js';
import type { KubeObject, Meta, Objects } from './objects.js';

export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease' } as const;

export interface LeaderOptions {
  /** Leadership is to have all of them: who has some waits for the rest. */
  readonly leases: readonly Pick<Required<Meta>, 'name' | 'namespace'>[];
  /** Unique to this process. */
  readonly identity: string;
  /** Others wait this long after the last renewal that they saw; the holder itself gives up at half of it. */
  readonly durationSeconds: number;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  /** Monotonic, in milliseconds. */
  readonly nowMs?: () => number;
}

/** A time of leadership. */
export interface Term {
  /** Aborted when leadership is lost or given up. */
  readonly signal: AbortSignal;
  /** Whether leadership still holds at this very instant; every write asks first. */
  holds(): boolean;
  /** Gives leadership up, to stand again. */
  resign(): void;
}

/** What a candidate last saw of the lease, and when by its own clock. */
export interface Observation {
  readonly record: string;
  readonly atMs: number;
}

/**
 * Whether a lease may be taken: it is free, one's own, or was not renewed for as long as its holder promised to
 * renew it in. Only the own clock counts: other machines' clocks may be wrong.
 */
export function mayTake(spec: Lease['spec'], identity: string, seen: Observation, nowMs: number): boolean {
  const holder = spec?.holderIdentity ?? '';
  return holder === '' || holder === identity || nowMs - seen.atMs >= (spec?.leaseDurationSeconds ?? 15) * 1000;
}

/** The observation after another look: its age counts from the last change. */
export function observe(seen: Observation | undefined, lease: Lease, nowMs: number): Observation {
  const record = `${lease.spec?.holderIdentity ?? ''}/${lease.spec?.renewTime ?? ''}`;
  return seen?.record === record ? seen : { record, atMs: nowMs };
}

/**
 * Leader election over Leases, as client-go's. Runs until `stop` is aborted; calls `lead` for each term and waits for it to end before
 * it stands again. A leader that cannot renew loses its term at half the lease's duration, before anyone else may take over.
 */
export async function elect(
  leases: Objects<Lease>,
  options: LeaderOptions,
  stop: AbortSignal,
  lead: (term: Term) => Promise<void>,
): Promise<void> {
  const { identity, durationSeconds, log } = options;
  const nowMs = options.nowMs ?? (() => performance.now());
  const retryMs = (durationSeconds * 1000) / 8;
  const seen = new Map<string, Observation>();
  let waitingFor: string | undefined;

  /** Whether a lease may be had now. */
  const isFree = (key: string, found: Lease | undefined): boolean => {
    if (found === undefined) return true;
    const observed = observe(seen.get(key), found, nowMs());
    seen.set(key, observed);
    if (mayTake(found.spec, identity, observed, nowMs())) return true;
    const holder = found.spec?.holderIdentity;
    if (holder !== waitingFor) log.info({ lease: key, holder }, 'another leads; waiting');
    waitingFor = holder;
    return false;
  };

  const take = async (at: { name: string; namespace: string }, found: Lease | undefined): Promise<void> => {
    const time = microTime();
    const mine = { holderIdentity: identity, leaseDurationSeconds: durationSeconds, renewTime: time };
    if (found === undefined) {
      await leases.create({ metadata: at, spec: { ...mine, acquireTime: time, leaseTransitions: 0 } });
      return;
    }
    const renewed = found.spec?.holderIdentity === identity;
    const began = { acquireTime: time, leaseTransitions: (found.spec?.leaseTransitions ?? 0) + 1 };
    await leases.replace({ ...found, spec: { ...found.spec, ...mine, ...(renewed ? {} : began) } });
  };

  /** Writes the leases as one's own; the instant from which they hold, or undefined when another has one. */
  const acquire = async (): Promise<number | undefined> => {
    const startedMs = nowMs();
    const found = await Promise.all(options.leases.map(({ name, namespace }) => leases.get(name, namespace)));
    if (!found.map((lease, i) => isFree(keyOf(options.leases[i]!), lease)).every(Boolean)) return undefined;
    try {
      for (const [i, at] of options.leases.entries()) await take(at, found[i]);
      return startedMs;
    } catch (error) {
      if (statusOf(error) === 409) return undefined; // another was faster
      throw error;
    }
  };

  while (!stop.aborted) {
    let sinceMs: number | undefined;
    try {
      sinceMs = await acquire();
    } catch (error) {
      log.warn({ error: reasonOf(error) }, 'cannot read or write the lease; trying again');
    }
    if (sinceMs === undefined) {
      await pause(retryMs * (1 + Math.random() / 4), stop);
      continue;
    }
    log.info({ identity }, 'leading');
    const deadlineMs = (durationSeconds * 1000) / 2;
    let untilMs = sinceMs + deadlineMs;
    const term = new AbortController();
    let fence: NodeJS.Timeout | undefined;
    const armFence = (): void => {
      clearTimeout(fence);
      fence = setTimeout(() => term.abort(), Math.max(0, untilMs - nowMs()));
    };
    const giveUp = (): void => term.abort();
    stop.addEventListener('abort', giveUp);
    armFence();
    const led = lead({
      signal: term.signal,
      holds: () => !term.signal.aborted && nowMs() < untilMs,
      resign: giveUp,
    });
    const ended = led.then(giveUp, giveUp);
    while (!term.signal.aborted) {
      await pause(retryMs, term.signal);
      if (term.signal.aborted) break;
      try {
        const renewedMs = await acquire();
        if (renewedMs === undefined)
          term.abort(); // someone else holds it
        else untilMs = renewedMs + deadlineMs;
        armFence();
      } catch (error) {
        log.warn({ error: reasonOf(error) }, 'cannot renew the lease');
      }
    }
    clearTimeout(fence);
    stop.removeEventListener('abort', giveUp);
    await ended;
    log.info({ identity }, 'not leading any more');
    await led; // an error of the term itself ends the election
    if (stop.aborted) await release(leases, options);
    else await pause(retryMs, stop);
  }
}

/** Leaves the leases free, so that the next leader need not wait for them to run out. */
async function release(leases: Objects<Lease>, { leases: held, identity }: LeaderOptions): Promise<void> {
  for (const { name, namespace } of held)
    try {
      const lease = await leases.get(name, namespace);
      if (lease?.spec?.holderIdentity === identity)
        await leases.replace({ ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 } });
    } catch {
      // It runs out by itself.
    }
}

const keyOf = ({ namespace, name }: { namespace: string; name: string }): string => `${namespace}/${name}`;

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    // aborted
  }
}
