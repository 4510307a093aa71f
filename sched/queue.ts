import type { Streams } from './category.js';
import { DueCurve } from './curve.js';
import type { FrameOffer, Waiting } from './frame.js';
import type { Lane, PromisedStreams } from './guard.js';
import { idleUs, latestStartUs } from './guard.js';
import { Policer } from './policer.js';
import type { Visit } from './rounds.js';
import type { Spare } from './spare.js';
import type { WcetTable } from './wcet.js';

const { max, min } = Math;

/** A category as programmed into a device. */
export interface BatchCategory {
  readonly name: string;
  /** E at the full shape and at the smaller ones that frames may be degraded to, largest first. */
  readonly ladder: readonly WcetTable[];
  /** How it is visited, where frames of it were promised. */
  readonly visit?: Visit | undefined;
  /** What was promised, by tenant. */
  readonly promised: ReadonlyMap<string, Streams>;
}

/** What a batcher serves, and how. */
export interface BatcherConfig {
  readonly categories: readonly BatchCategory[];
  /** Degrade while behind, and run no frame that is too late at the cost of one that is not. */
  readonly adaptation?: boolean;
  /** Whether promised frames may run before their turn; true but for comparisons. */
  readonly eager?: boolean;
}

/** The part of its deadline by which a promised frame goes before spare ones: not everything is foreseen, and slack is what forgives. */
const HEAD_START = 0.3;

/** A category with its frames. */
export interface Queue<F> extends Lane {
  readonly config: BatchCategory;
  readonly streamsOf: ReadonlyMap<string, PromisedStreams & { readonly terms: Streams }>;
  /** Promised frames, the most urgent first. */
  readonly waiting: Waiting<F>[];
  /** Spare frames within their tenants' shares, the most urgent first. */
  readonly spare: readonly Spare<F>[];
}

/** Frames without a deadline are as urgent as if they had this one, and are given up after that one. */
const URGENCY_WITHOUT_DEADLINE_US = 1_000_000;
const PATIENCE_WITHOUT_DEADLINE_US = 10_000_000;
/** Runs usually take less than their WCET: only what even such a run could not save is hopeless. */
const HOPEFUL = 0.85;

/**
 * A category's queue, with the frames that waited under the configuration before; tenants whose terms are the same keep
 * their policers.
 */
export function queueOf<F>(
  config: BatchCategory,
  spare: readonly Spare<F>[],
  before: Queue<F> | undefined,
  nowUs: number,
): Queue<F> {
  const streamsOf = new Map(
    [...config.promised].map(([tenant, terms]) => {
      const known = before?.streamsOf.get(tenant);
      const same = known !== undefined && sameTerms(known.terms, terms);
      const policer = same
        ? known.policer
        : new Policer(terms.count, terms.periodUs, terms.jitterUs + (terms.delayUs ?? 0));
      return [tenant, { policer, terms, deadlineUs: terms.deadlineUs }];
    }),
  );
  const { visit } = config;
  const wcet = config.ladder[0]!;
  const streams = [...streamsOf.values()];
  const deadlinesUs = streams.map(({ deadlineUs }) => deadlineUs);
  const queue: Queue<F> = {
    config,
    wcet,
    streamsOf,
    streams,
    shortestUs: min(...deadlinesUs),
    longestUs: max(0, ...deadlinesUs),
    quota: visit?.quota ?? 0,
    gapUs: visit?.gapUs ?? Infinity,
    idleUs: visit === undefined ? Infinity : idleAfter(config, visit),
    costUs: wcet.at(visit?.quota ?? 0),
    waiting: [...(before?.waiting ?? [])],
    spare,
    latestUs: -Infinity,
    askAgainUs: -Infinity,
  };
  if (visit !== undefined)
    queue.latestUs = queue.waiting.length === 0 ? nowUs + queue.idleUs : latestStartUs(queue, nowUs);
  return queue;
}

function idleAfter({ ladder, promised }: BatchCategory, { quota, gapUs }: Visit): number {
  return promised.size === 0 ? gapUs : idleUs(new DueCurve([...promised.values()]), quota, gapUs, ladder[0]!.at(quota));
}

/** A frame as it waits; the guard counts with the admitted deadline, which no frame's own may be shorter than. */
export function waitingOf<F>(
  frame: F,
  offer: FrameOffer,
  { config }: Queue<F>,
  promisedUs: number | undefined,
): Waiting<F> {
  const { category, tenant, atUs, dueUs, deepest, late, stream = '', replacesOlder = false } = offer;
  const endless = dueUs === Infinity;
  const orderUs = max(endless ? atUs + URGENCY_WITHOUT_DEADLINE_US : dueUs, atUs + (promisedUs ?? 0));
  return {
    frame,
    category,
    tenant,
    stream,
    replacesOlder,
    promised: promisedUs !== undefined,
    deepest,
    dueUs,
    late,
    orderUs,
    headStartUs: promisedUs === undefined ? 0 : HEAD_START * (orderUs - atUs),
    giveUpUs: endless ? atUs + PATIENCE_WITHOUT_DEADLINE_US : dueUs - quickestUs(config, deepest),
  };
}

/** How urgent a category's most urgent frame is. */
export const urgency = ({ waiting, spare }: Queue<unknown>): number =>
  min(waiting[0] === undefined ? Infinity : waiting[0].orderUs - waiting[0].headStartUs, spare[0]?.orderUs ?? Infinity);

/** What one frame takes at least, at the smallest shape that it allows. */
const quickestUs = ({ ladder }: BatchCategory, deepest: number): number =>
  HOPEFUL * ladder[min(deepest, ladder.length - 1)]!.at(1);

const sameTerms = (a: Streams, b: Streams): boolean =>
  a.count === b.count &&
  a.periodUs === b.periodUs &&
  a.jitterUs === b.jitterUs &&
  a.deadlineUs === b.deadlineUs &&
  a.delayUs === b.delayUs;
