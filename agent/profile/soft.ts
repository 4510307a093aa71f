import { replaced } from '../../api/conditions.js';
import { timestamp } from '../../kube/clock.js';
import type { Profile } from './profile.js';

/** What live frames may show of a soft promise: at most this part late, over this time, from so many late frames on. */
const MOST_LATE = 0.001;
const WINDOW_US = 300_000_000;
const LEAST_LATE = 5;

/** What a device's promised frames came to since the start. */
export interface PromisedBooks {
  readonly frames: number;
  readonly late: number;
}

/** Holds a soft promise against live frames. */
export class SoftPromise {
  readonly #looks: (PromisedBooks & { readonly atUs: number })[] = [];

  /**
   * The profile with a firm promise, where more of the softly promised frames are late than may be; undefined otherwise.
   *
   * @param atUs on the monotonic clock
   */
  withdrawn(profile: Profile, books: PromisedBooks, atUs: number): Profile | undefined {
    const { status } = profile;
    if (status?.promise !== 'Soft') return undefined;
    this.#looks.push({ ...books, atUs });
    while (this.#looks[0]!.atUs < atUs - WINDOW_US) this.#looks.shift();
    const [oldest] = this.#looks;
    const late = books.late - oldest!.late;
    const frames = books.frames - oldest!.frames;
    if (late < LEAST_LATE || late <= MOST_LATE * frames) return undefined;
    this.#looks.length = 0;
    const message = `${late} of ${frames} softly promised frames were late, more than 0.1 %; the device is promised by WCETs with their margin again`;
    const firm = { type: 'SoftlyPromised', status: 'False', reason: 'TooManyLate', message } as const;
    const conditions = replaced(status.conditions, firm, timestamp());
    return { ...profile, status: { ...status, promise: 'Firm', conditions } };
  }
}
