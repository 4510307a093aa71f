import { hostname } from 'node:os';
import { microTime } from './clock.js';
import { statusOf } from './cluster.js';
import type { KubeObject, Objects } from './objects.js';

/** events.k8s.io/v1 */
export interface EventObject extends KubeObject {
  readonly eventTime?: string;
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
  readonly [field: string]: unknown;
}

export const EVENTS = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' } as const;

/** The same thing said again within this time counts up instead of making another Event. */
const SERIES_MS = 600_000;
/** Further Events on one object are dropped beyond this many at once and one more per `REFILL_MS` (as client-go's filter). */
const BURST = 25;
const REFILL_MS = 300_000;
const MOST_REMEMBERED = 10_000;
const LONGEST_NOTE = 1024;

export interface Happening {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, stable. */
  readonly reason: string;
  /** What was done: CamelCase as well. */
  readonly action: string;
  readonly note: string;
}

/** Writes Events, with repeats aggregated and talkative objects held back. Losing one loses nothing that was promised. */
export class EventRecorder {
  readonly #events: Objects<EventObject>;
  readonly #controller: string;
  readonly #instance = hostname();
  readonly #series = new Map<string, { name: string; namespace: string; count: number; atMs: number }>();
  readonly #tokens = new Map<string, { left: number; atMs: number }>();
  #last = 0;

  constructor(events: Objects<EventObject>, controller: string) {
    this.#events = events;
    this.#controller = controller;
  }

  async record(about: KubeObject, { type, reason, action, note }: Happening, nowMs = performance.now()): Promise<void> {
    const { uid = '', name, namespace } = about.metadata;
    if (!this.#allowed(uid, nowMs)) return;
    const time = microTime();
    const key = [uid, type, reason, note].join('\n');
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.atMs < SERIES_MS) {
      known.count++;
      known.atMs = nowMs;
      try {
        await this.#events.merge(known, { series: { count: known.count, lastObservedTime: time } });
        return;
      } catch (error) {
        if (statusOf(error) !== 404) throw error; // expired meanwhile: a new one then
      }
    }
    const where = namespace ?? 'default';
    const event: EventObject = {
      metadata: {
        // A name must not have two dots in a row.
        name: `${name.slice(0, 200).replace(/[.-]+$/, '')}.${Date.parse(time).toString(16)}${(++this.#last).toString(16)}`,
        namespace: where,
      },
      eventTime: time,
      reportingController: this.#controller,
      reportingInstance: this.#instance,
      type,
      reason,
      action,
      note: note.length <= LONGEST_NOTE ? note : `${note.slice(0, LONGEST_NOTE - 3)}...`,
      regarding: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name,
        uid,
        ...(namespace === undefined ? {} : { namespace }),
      },
    };
    await this.#events.create(event);
    forgetOldest(this.#series);
    this.#series.set(key, { name: event.metadata.name, namespace: where, count: 1, atMs: nowMs });
  }

  #allowed(uid: string, nowMs: number): boolean {
    const known = this.#tokens.get(uid) ?? { left: BURST, atMs: nowMs };
    const refilled = Math.min(BURST, known.left + (nowMs - known.atMs) / REFILL_MS);
    this.#tokens.delete(uid);
    forgetOldest(this.#tokens);
    this.#tokens.set(uid, { left: Math.max(0, refilled - 1), atMs: nowMs });
    return refilled >= 1;
  }
}

function forgetOldest<V>(map: Map<string, V>): void {
  while (map.size >= MOST_REMEMBERED) map.delete(map.keys().next().value!);
}
