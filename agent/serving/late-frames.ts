import { nowUs, timestamp } from '../../kube/clock.js';
import type { Ran } from '../device/messages.js';
import type { Answer } from './flights.js';
import type { LateLog } from './late-log.js';
import { MOST_RECORDS } from './late-log.js';
import type { RecentRuns } from './recent-runs.js';
import type { Outcome, ServedTenant } from './tenant.js';

/** Why a promised frame was late, in one word. */
export const CAUSES = ['Overrun', 'Decoding', 'Receiving', 'Answering', 'DeviceLost', 'Waiting'] as const;
export type Cause = (typeof CAUSES)[number];

/** What a frame waited for on the device. */
export interface WaitedFor {
  readonly category: string;
  readonly kind: Ran['runKind'];
  readonly frames: number;
  readonly us: number;
  readonly wcetUs: number;
}

/** How far a promised frame came, and when; undefined: not so far. In microseconds of the monotonic clock. */
export interface Passed {
  readonly arrivedUs: number;
  readonly submittedUs?: number | undefined;
  readonly startUs?: number | undefined;
  readonly endUs?: number | undefined;
  readonly batch?: number | undefined;
  /** Whether a device was lost with it before another one answered it. */
  readonly outlived?: boolean;
  /** Whether an image, or JSON, had to be decoded. */
  readonly decoded: boolean;
  /** The code that it was refused with; undefined: it was answered. */
  readonly code?: string | undefined;
}

/** A promised frame that was late, or given up. */
export interface LateFrame {
  readonly tenant: string;
  readonly category: string;
  /** When it ended, RFC 3339. */
  readonly at: string;
  /** The same by the node's monotonic clock, in microseconds. */
  readonly atUs: number;
  readonly code?: string;
  readonly cause: Cause;
  readonly latencyUs: number;
  readonly deadlineUs: number;
  /** What it spent on being received and decoded, waiting for the device, running, and being answered; as far as it came. */
  readonly spentUs: {
    readonly input: number;
    readonly queue?: number;
    readonly run?: number;
    readonly answer?: number;
  };
  readonly batch?: number;
  /** What ran while it waited, and its own run, the longest first. */
  readonly runs: readonly WaitedFor[];
}

/** What became of a frame. */
export interface Ended {
  readonly outcome: Outcome;
  /** The code that its sender was refused with. */
  readonly code?: string;
  readonly promised: boolean | undefined;
  readonly answer?: Answer;
  readonly passed?: Passed;
}

const MISSED: ReadonlySet<Outcome> = new Set(['late', 'dropped', 'failed']);
const TOLD_RUNS = 8;
/** A frame's own run is told of at about the time that it is answered: so long it is waited for. */
const SETTLED_US = 200_000;

interface Noted extends Passed {
  readonly tenant: ServedTenant;
  readonly terms: ServedTenant['terms'];
  readonly atUs: number;
  readonly at: string;
}

/** The last promised frames of a device that missed their deadlines, and what held them up. */
export class LateFrames {
  readonly #told: LateFrame[];
  readonly #log: LateLog | undefined;
  readonly #open: Noted[] = [];
  readonly #runs: RecentRuns;
  readonly #count: (cause: Cause) => void;

  /**
   * @param count told the cause of each
   * @param log where they are kept; nowhere else when absent
   */
  constructor(runs: RecentRuns, count: (cause: Cause) => void, log?: LateLog) {
    this.#runs = runs;
    this.#told = log?.records ?? [];
    this.#log = log;
    this.#count = count;
  }

  note(tenant: ServedTenant, outcome: Outcome, passed: Passed): void {
    if (!MISSED.has(outcome)) return;
    this.#settle(nowUs());
    if (this.#open.length < MOST_RECORDS)
      this.#open.push({ ...passed, tenant, terms: tenant.terms, atUs: nowUs(), at: timestamp() });
  }

  /** A batch has run, and perhaps the last one that a frame is told by. */
  ran(): void {
    if (this.#open.length > 0) this.#settle(nowUs());
  }

  /** The newest first; of one tenant, named `<namespace>/<name>`, where one is. */
  list(tenant?: string): LateFrame[] {
    this.#settle(Infinity);
    return this.#told.filter((each) => tenant === undefined || each.tenant === tenant).reverse();
  }

  #settle(atUs: number): void {
    while (this.#open.length > 0 && this.#open[0]!.atUs + SETTLED_US <= atUs) {
      const told = explained(this.#open.shift()!, this.#runs);
      this.#count(told.cause);
      if (this.#log !== undefined) this.#log.add(told);
      else if (this.#told.push(told) > MOST_RECORDS) this.#told.shift();
    }
  }
}

function explained(record: Noted, all: RecentRuns): LateFrame {
  const { tenant, terms, arrivedUs, submittedUs, startUs, endUs, batch, code, atUs, at } = record;
  const runs = submittedUs === undefined ? [] : all.between(submittedUs, endUs ?? atUs);
  const idleUs = submittedUs === undefined ? 0 : idleBetween(submittedUs, startUs ?? endUs ?? atUs, runs);
  const waitedFor = runs.map(({ category, runKind, frames, startUs: from, endUs: to, wcetUs }) => ({
    category,
    kind: runKind,
    frames,
    us: to - from,
    wcetUs,
  }));
  return {
    tenant: tenant.key,
    category: terms.category,
    at,
    atUs,
    ...(code === undefined ? {} : { code }),
    cause: causeOf({ ...record, idleUs }, waitedFor),
    latencyUs: atUs - arrivedUs,
    deadlineUs: terms.deadlineUs,
    spentUs: {
      input: (submittedUs ?? atUs) - arrivedUs,
      ...(submittedUs === undefined ? {} : { queue: (startUs ?? atUs) - submittedUs }),
      ...(startUs === undefined ? {} : { run: (endUs ?? atUs) - startUs }),
      ...(endUs === undefined ? {} : { answer: atUs - endUs }),
    },
    ...(batch === undefined ? {} : { batch }),
    runs: waitedFor.sort((a, b) => b.us - a.us).slice(0, TOLD_RUNS),
  };
}

/** How much of the time between two instants nothing ran. */
function idleBetween(fromUs: number, toUs: number, runs: readonly Pick<Ran, 'startUs' | 'endUs'>[]): number {
  const busyUs = runs.reduce(
    (sum, { startUs, endUs }) => sum + Math.max(0, Math.min(endUs, toUs) - Math.max(startUs, fromUs)),
    0,
  );
  return toUs - fromUs - busyUs;
}

/** Codes of frames that were with a device when it was lost, or came before there was another. */
const LOST = new Set(['DeviceLost', 'DeviceUnavailable', 'DeviceSilent']);

/**
 * What held a frame up most beyond what its promise allows for it: runs beyond their WCET, its way to the device, its way back, or a
 * device that stood still while the frame was with it. Waiting: none of these.
 */
export function causeOf(
  {
    arrivedUs,
    submittedUs,
    endUs,
    decoded,
    code,
    outlived,
    terms,
    atUs,
    idleUs,
  }: Pick<Noted, keyof Passed | 'atUs'> & {
    /** How long nothing ran while it waited. */
    readonly idleUs: number;
    readonly terms: Pick<Noted['terms'], 'decodeDueUs' | 'answerDueUs' | 'gapUs'>;
  },
  runs: readonly Pick<WaitedFor, 'us' | 'wcetUs'>[],
): Cause {
  if (outlived === true || (code !== undefined && LOST.has(code))) return 'DeviceLost';
  const before = decoded ? 'Decoding' : 'Receiving';
  if (submittedUs === undefined) return before;
  const inputUs = submittedUs - arrivedUs - Math.max(terms.decodeDueUs, terms.answerDueUs);
  const overrunUs = runs.reduce((sum, { us, wcetUs }) => sum + Math.max(0, us - wcetUs), 0);
  const answerUs = endUs === undefined ? 0 : atUs - endUs - terms.answerDueUs;
  const [cause, mostUs] = (
    [
      ['Overrun', overrunUs],
      [before, inputUs],
      ['Answering', answerUs],
      ['DeviceLost', idleUs - terms.gapUs],
    ] as const
  ).reduce((a, b) => (b[1] > a[1] ? b : a));
  return mostUs > 0 ? cause : 'Waiting';
}
