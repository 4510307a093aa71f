import type { Encoding } from '../../api/ingest.js';
import { usualWorstUs } from './ingest-load.js';
import type { Profile } from './profiler.js';
import { MARGIN } from './profiler.js';

/** Live frames of one form that a correction is made from. */
const MOST_FRAMES = 1000;
const ENOUGH = 100;
/** How long they must have come: what passes within seconds takes nobody's promise away; what was too large may wait longer. */
const RAISED_AFTER_US = 15_000_000;
const LOWERED_AFTER_US = 30_000_000;
/** A figure that is off by less is left alone. */
const WORTH_CORRECTING = 0.3;
const WORTH_CORRECTING_US = 1000;

/** Compares what live promised frames take to be made ready with what was measured. */
export class IngestWatch {
  readonly #seen = new Map<Encoding, { readonly sinceUs: number; readonly times: number[] }>();

  /** @param atUs on the monotonic clock */
  note(encoding: Encoding, preparedUs: number, atUs: number): void {
    let seen = this.#seen.get(encoding);
    if (seen === undefined) this.#seen.set(encoding, (seen = { sinceUs: atUs, times: [] }));
    seen.times.push(preparedUs);
    if (seen.times.length > MOST_FRAMES) seen.times.splice(0, MOST_FRAMES / 10);
  }

  /** The profile with the figures that live frames have shown to be wrong put right; undefined when there are none. */
  corrected(profile: Profile, atUs: number): Profile | undefined {
    let wrong = false;
    const ingest = (profile.status?.ingest ?? []).map((form) => {
      const { sinceUs = atUs, times = [] } = this.#seen.get(form.encoding) ?? {};
      const { preparedUs } = form;
      if (preparedUs === undefined || times.length < ENOUGH) return form;
      const nowUs = usualWorstUs(times);
      const worth = Math.max(WORTH_CORRECTING_US, WORTH_CORRECTING * preparedUs);
      const early = atUs - sinceUs < (nowUs > preparedUs ? RAISED_AFTER_US : LOWERED_AFTER_US);
      if (Math.abs(nowUs - preparedUs) <= worth || early) return form;
      wrong = true;
      this.#seen.delete(form.encoding);
      return { ...form, preparedUs: nowUs, ingestUs: Math.ceil(form.ingestUs + MARGIN * (nowUs - preparedUs)) };
    });
    if (!wrong) return undefined;
    const ingestUs = Math.max(...ingest.map((form) => form.ingestUs));
    return { ...profile, status: { ...profile.status, ingest, ingestUs } };
  }
}
