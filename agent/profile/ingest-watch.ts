import type { Encoding } from '../../api/ingest.js';
import { usualWorstUs } from './ingest-load.js';
import type { Profile } from './profiler.js';
import { MARGIN } from './profiler.js';

/** Live frames of one form that a correction is made from: fewer when the figure is too small, since promises are at stake. */
const MOST_FRAMES = 1000;
const ENOUGH_TO_RAISE = 100;
/** A figure that is off by less is left alone. */
const WORTH_CORRECTING = 0.2;
const WORTH_CORRECTING_US = 1000;

/** Compares what live promised frames take to be made ready with what was measured. */
export class IngestWatch {
  readonly #times = new Map<Encoding, number[]>();

  note(encoding: Encoding, preparedUs: number): void {
    let times = this.#times.get(encoding);
    if (times === undefined) this.#times.set(encoding, (times = []));
    times.push(preparedUs);
    if (times.length > MOST_FRAMES) times.splice(0, MOST_FRAMES / 10);
  }

  /** The profile with the figures that live frames have shown to be wrong put right; undefined when there are none. */
  corrected(profile: Profile): Profile | undefined {
    let wrong = false;
    const ingest = (profile.status?.ingest ?? []).map((form) => {
      const times = this.#times.get(form.encoding) ?? [];
      const { preparedUs } = form;
      if (preparedUs === undefined || times.length < ENOUGH_TO_RAISE) return form;
      const nowUs = usualWorstUs(times);
      const worth = Math.max(WORTH_CORRECTING_US, WORTH_CORRECTING * preparedUs);
      if (Math.abs(nowUs - preparedUs) <= worth || (nowUs < preparedUs && times.length < MOST_FRAMES / 2)) return form;
      wrong = true;
      times.length = 0;
      return { ...form, preparedUs: nowUs, ingestUs: Math.ceil(form.ingestUs + MARGIN * (nowUs - preparedUs)) };
    });
    if (!wrong) return undefined;
    const ingestUs = Math.max(...ingest.map((form) => form.ingestUs));
    return { ...profile, status: { ...profile.status, ingest, ingestUs } };
  }
}
