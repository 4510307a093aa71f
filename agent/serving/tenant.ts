import type { RecordableHistogram } from 'node:perf_hooks';
import { createHistogram } from 'node:perf_hooks';
import type { FrameCost } from '../../api/frames.js';
import type { Layout } from '../../api/names.js';
import { tenantKey } from '../../api/names.js';
import type { Senders } from '../../api/senders.js';
import { timestamp } from '../../kube/clock.js';
import type { Policed } from '../../sched/policer.js';
import { Policer } from '../../sched/policer.js';
import type { ExpectedInput, OutputTensor } from '../frames.js';
import type { ImageInput } from '../image-input.js';
import { Suspicion } from './suspicion.js';

export const OUTCOMES = ['onTime', 'late', 'dropped', 'refused', 'invalid', 'failed', 'gone'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** What a tenant is served with. */
export interface TenantTerms {
  readonly namespace: string;
  readonly name: string;
  /** The schedule's category its frames go to. */
  readonly category: string;
  readonly model: string;
  /** Channels, height and width, or the axes of what is no image. */
  readonly shape: readonly number[];
  /** The last rung of the category's ladder of shapes that it allows. */
  readonly deepest: number;
  /** Whether it wants answers after the deadline. */
  readonly late: 'serve' | 'drop';
  /** Who may send its frames; undefined: the service accounts of its namespace. */
  readonly senders: Senders | undefined;
  /** Whether it was promised anything here; otherwise all of its frames are spare ones. */
  readonly promised: boolean;
  /** What becomes of spare frames. */
  readonly beyond: 'serve' | 'refuse';
  /** Whether a newer spare frame of a stream replaces older ones that wait. */
  readonly latest: boolean;
  readonly streams: number;
  readonly periodUs: number;
  readonly jitterUs: number;
  /** Infinity: none. */
  readonly deadlineUs: number;
  /** The most that one of its promised frames takes of the stages before the device, and of the event loop after it. */
  readonly covered: FrameCost & { readonly bytes: number; readonly answerUs: number };
  /** So many of its promised frames may be on their way: nobody else's take these places. */
  readonly slots: number;
  /** Tenants that its spare frames share places with. */
  readonly beside: number;
  /** From a promised frame's arrival until it is decoded, and, of the deadline, what is left for its answer. */
  readonly decodeDueUs: number;
  readonly answerDueUs: number;
  /** From one visit of its category to the next at most, while frames wait. */
  readonly gapUs: number;
  /** What one of its frames takes the device in a batch as large as pays. */
  readonly runUs: number;
  /** The tensors that a frame is made of. */
  readonly inputs: readonly ExpectedInput[];
  readonly layout: Layout;
  /** How images become frames, where they can. */
  readonly image: ImageInput | undefined;
  /** What a frame is answered with; axes of -1 differ from frame to frame. */
  readonly outputs: readonly Omit<OutputTensor, 'data'>[];
}

/** What became of a tenant's frames since the agent started, on all devices that serve it. */
export interface TenantBooks {
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly answered: number;
  /** Promised frames answered late or given up. */
  readonly misses: number;
  /** Frames that came as promised. */
  readonly promisedFrames: number;
  /** Frames beyond what was promised. */
  readonly spareFrames: number;
  readonly degradedFrames: number;
  readonly batchSum: number;
  /** Of answered frames, in microseconds. */
  readonly latencyUs: RecordableHistogram;
}

export function booksOf(parts: readonly ServedTenant[]): TenantBooks {
  const latencyUs = newLatencies();
  for (const part of parts) latencyUs.add(part.latencyUs);
  const sum = (figure: (part: ServedTenant) => number): number => parts.reduce((all, part) => all + figure(part), 0);
  const outcomes = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, sum((part) => part.outcomes[outcome])]));
  return {
    outcomes: outcomes as Record<Outcome, number>,
    answered: sum((part) => part.answered),
    misses: sum((part) => part.misses),
    promisedFrames: sum((part) => part.promisedFrames),
    spareFrames: sum((part) => part.spareFrames),
    degradedFrames: sum((part) => part.degradedFrames),
    batchSum: sum((part) => part.batchSum),
    latencyUs,
  };
}

const newLatencies = (): RecordableHistogram => createHistogram({ lowest: 1, highest: 600_000_000, figures: 2 });

/** Where a frame's latency goes: to being received and decoded, waiting for the device, running, and being answered. */
export interface FrameTimes {
  input: number;
  queue: number;
  infer: number;
  output: number;
}

/** A tenant counts as degraded until this long after its last degraded frame, so that its condition does not flap. */
export const DEGRADED_FOR_MS = 5000;

export interface Degradation {
  readonly shape: readonly number[];
  /** RFC 3339. */
  readonly since: string;
}

/** Of an answer, what the books are about. */
export interface AnsweredFrame {
  readonly arrivedUs: number;
  readonly submittedUs: number;
  readonly startUs: number;
  readonly endUs: number;
  readonly batch: number;
}

/** A tenant on this node: its terms, its policing, its books. */
export class ServedTenant {
  terms: TenantTerms;
  /** Frames by outcome since the agent started. */
  readonly outcomes: Record<Outcome, number> = {
    onTime: 0,
    late: 0,
    dropped: 0,
    refused: 0,
    invalid: 0,
    failed: 0,
    gone: 0,
  };
  /** Frames that were not answered, by the code that their senders were told. */
  readonly refusals = new Map<string, number>();
  /** Latency of answered frames, in microseconds. */
  readonly latencyUs: RecordableHistogram = newLatencies();
  /** Sum over answered frames of the size of their batch. */
  batchSum = 0;
  /** Sums over answered frames, in microseconds. */
  readonly spentUs: FrameTimes = { input: 0, queue: 0, infer: 0, output: 0 };
  /** Batches, or the tenant's parts of them. */
  executions = 0;
  /** Frames computed at a smaller shape than asked for. */
  degradedFrames = 0;
  #degradation: (Degradation & { lastMs: number }) | undefined;
  /** Promised frames that missed their deadline: answered late, or given up. */
  misses = 0;
  /** Frames that came as promised. */
  promisedFrames = 0;
  /** Frames beyond what was promised. */
  spareFrames = 0;
  /** Spare frames that are on their way through this node, and frames whose bodies are being read that will hardly be promised ones. */
  spareInFlight = 0;
  promisedInFlight = 0;
  /** Whether its frames spoil batches. */
  readonly suspicion = new Suspicion();
  /** Bodies being read of frames that may be promised ones. */
  reading = 0;
  #policer: Policer;

  constructor(terms: TenantTerms) {
    this.terms = terms;
    this.#policer = policerFor(terms);
  }

  /** Names it, as `<namespace>/<name>`. */
  get key(): string {
    return tenantKey(this.terms);
  }

  /** Other terms; policing starts afresh when rate, jitter or streams changed. */
  change(terms: TenantTerms): void {
    const { streams, periodUs, jitterUs } = this.terms;
    if (terms.streams !== streams || terms.periodUs !== periodUs || terms.jitterUs !== jitterUs)
      this.#policer = policerFor(terms);
    this.terms = terms;
  }

  /** Whether a frame whose head is here now may be one of those that the tenant was promised, with those before it. */
  mayBePromised(atUs: number): boolean {
    return this.#isPromised(atUs) && this.reading < this.#policer.mostBy(atUs, atUs);
  }

  /** In how many microseconds a frame would be one of those that the tenant was promised; 0: now. */
  promisedInUs(atUs: number): number {
    return this.#isPromised(atUs) ? this.#policer.waitUs(atUs) : this.terms.periodUs;
  }

  /** Whether a frame that arrives now is one of those that the tenant was promised; when the next one would be where not. */
  arrive(atUs: number): Policed {
    return this.#isPromised(atUs) ? this.#policer.offer(atUs) : { accepted: false, retryAfterUs: this.terms.periodUs };
  }

  /** Whether frames that were not promised are refused; those that have to run apart are served so. */
  refusesSpare(atUs: number): boolean {
    return this.terms.beyond === 'refuse' && !this.suspicion.apart(atUs);
  }

  /** Frames that spoil batches have no part in what was promised. */
  #isPromised(atUs: number): boolean {
    return this.terms.promised && !this.suspicion.apart(atUs);
  }

  /** A frame was computed at a smaller shape. Returns whether that is news. */
  noteDegraded(shape: readonly number[], nowMs: number): boolean {
    this.degradedFrames++;
    const before = this.degradation(nowMs);
    this.#degradation = { shape, since: before?.since ?? timestamp(), lastMs: nowMs };
    return before === undefined;
  }

  /** Since when and at which shape its frames are computed; undefined when all of late were at the full one. */
  degradation(nowMs: number): Degradation | undefined {
    return this.#degradation !== undefined && nowMs - this.#degradation.lastMs < DEGRADED_FOR_MS
      ? this.#degradation
      : undefined;
  }

  /** Notes a frame's answer. */
  answeredWith({ arrivedUs, submittedUs, startUs, endUs, batch }: AnsweredFrame, latencyUs: number): void {
    this.latencyUs.record(Math.max(1, latencyUs));
    this.batchSum += batch;
    this.executions += 1 / batch;
    this.spentUs.input += submittedUs - arrivedUs;
    this.spentUs.queue += startUs - submittedUs;
    this.spentUs.infer += endUs - startUs;
    this.spentUs.output += arrivedUs + latencyUs - endUs;
  }

  get answered(): number {
    return this.outcomes.onTime + this.outcomes.late;
  }
}

const policerFor = ({ streams, periodUs, jitterUs }: TenantTerms): Policer => new Policer(streams, periodUs, jitterUs);
