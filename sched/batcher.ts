import { Adaptation } from './adaptation.js';
import type { Decision, FrameOffer, GivenUp, GivenUpBecause, Run, Waiting } from './frame.js';
import { insert } from './frame.js';
import { Lanes } from './lanes.js';
import type { BatcherConfig, Queue } from './queue.js';
import { queueOf, urgency, waitingOf } from './queue.js';
import type { Part } from './rescue.js';
import { rescue } from './rescue.js';
import { SpareTime } from './spare.js';

const { max, min } = Math;

/** An answer that is overdue by this long is not wanted any more. */
const LONGEST_LATENESS_US = 2_000_000;
/** Spare frames that no slack holds now are looked at again after this long. */
const LOOK_AGAIN_US = 1000;

/**
 * The DisBatcher of this project, as a state machine: events with their times in, decisions out, no clock. Eager, guarded
 * by rounds (docs/theory.md, "The rule"): the most urgent frame's category runs, with as many frames as slack holds;
 * where a promise could be at stake, the visit whose turn it is. Times are integer microseconds of one monotonic clock.
 * Contract: all frames that have arrived up to an instant are told before `next` is asked for it.
 */
export class Batcher<F> {
  #config: BatcherConfig = { categories: [] };
  #queues = new Map<string, Queue<F>>();
  #lanes = new Lanes<F>([]);
  readonly #spareTime = new SpareTime<F>((frame, why) => this.#giveUp(frame, why));
  #adaptation: Adaptation | undefined;
  #ended: { readonly run: Run<F>; readonly actualUs: number } | undefined;
  #running: { readonly run: Run<F>; readonly sinceUs: number } | undefined;
  /** The second part of a batch that was split, to be run right after the first. */
  #rest: { readonly queue: Queue<F>; readonly part: Part<F>; readonly kind: Run<F>['kind'] } | undefined;
  #givenUp: GivenUp<F>[] = [];

  constructor(config: BatcherConfig) {
    this.reconfigure(config, 0, true);
  }

  /** The Adaptation Module's view of a category: its penalty in microseconds and the rung that its runs take. */
  adapted(category: string): { penaltyUs: number; rung: number } {
    return {
      penaltyUs: this.#adaptation?.penaltyUs(category) ?? 0,
      rung: this.#adaptation?.strain(category).rung ?? 0,
    };
  }

  /** A frame has arrived. */
  arrive(frame: F, offer: FrameOffer): void {
    const queue = this.#queues.get(offer.category);
    if (queue === undefined) return this.#giveUp(frame, 'withdrawn');
    // The guard counts with what was admitted: what comes faster, or was held up on its way, must not crowd others out.
    const streams = offer.promised ? queue.streamsOf.get(offer.tenant) : undefined;
    const { atUs } = offer;
    if (streams?.policer.offer(atUs).accepted !== true)
      return this.#addSpare(queue, waitingOf(frame, offer, queue, undefined));
    if (queue.waiting.length === 0) queue.latestUs = max(queue.latestUs, atUs + queue.idleUs);
    insert(queue.waiting, waitingOf(frame, offer, queue, streams.deadlineUs));
  }

  /** The run that `next` asked for has ended. Frames that arrived meanwhile may be told of before or after. */
  finish(nowUs: number): void {
    if (this.#running === undefined) throw new Error('no batch is running');
    const { run, sinceUs } = this.#running;
    this.#running = undefined;
    this.#ended = { run, actualUs: nowUs - sinceUs };
  }

  /** Lets the Adaptation Module learn of the run that has ended, once all frames are told of that arrived meanwhile. */
  #learn(nowUs: number): void {
    const ended = this.#ended;
    this.#ended = undefined;
    if (ended === undefined || this.#adaptation === undefined || !this.#queues.has(ended.run.category)) return;
    // What every promise still absorbs costs nobody anything.
    const absorbed = this.slackUs(nowUs, 0) >= 0;
    this.#adaptation.ended(ended.run.category, { ...ended.run, actualUs: ended.actualUs }, absorbed);
  }

  /** What to do at this instant. Never a second batch while one runs. */
  next(nowUs: number): Decision<F> {
    if (this.#running !== undefined) return { waitUntilUs: Infinity, givenUp: this.#takeGivenUp() };
    this.#learn(nowUs);
    let run = this.#rest === undefined ? undefined : this.#begin(this.#rest.queue, this.#rest.part, this.#rest.kind);
    this.#rest = undefined;
    let sparesWait = false;
    while (run === undefined) {
      this.#clear(nowUs);
      const urgent = this.#mostUrgent();
      if (urgent === undefined) break;
      const attempt = this.#eagerly(urgent, nowUs) ?? this.#visit(nowUs) ?? this.#whatFits(nowUs);
      if (attempt === 'nothing') continue; // frames were given up instead
      sparesWait = attempt === undefined;
      if (attempt === undefined) break;
      run = attempt;
    }
    if (run === undefined) {
      if (!sparesWait) this.#adaptation?.recovered();
      return { waitUntilUs: sparesWait ? nowUs + LOOK_AGAIN_US : Infinity, givenUp: this.#takeGivenUp() };
    }
    this.#running = { run, sinceUs: nowUs };
    return { run, waitUntilUs: Infinity, givenUp: this.#takeGivenUp() };
  }

  /** How long something else may hold the device from now on without making a promised frame late, where that is less than wanted. */
  slackUs(nowUs: number, wantedUs: number): number {
    return this.#lanes.slackUs(nowUs, wantedUs);
  }

  /**
   * Takes over another configuration at an instant between runs, if what waits can be served in time under it too
   * (docs/theory.md, Theorem 5). `force` takes it over regardless. Frames of categories that are gone are given up.
   *
   * @returns whether it was taken over
   */
  reconfigure(config: BatcherConfig, nowUs: number, force = false): boolean {
    if (this.#running !== undefined || this.#rest !== undefined) return false;
    const queues = new Map(
      config.categories.map((each) => {
        const { name } = each;
        return [name, queueOf(each, this.#spareTime.of(name), this.#queues.get(name), nowUs)];
      }),
    );
    const lanes = new Lanes([...queues.values()].filter(({ config: { visit } }) => visit !== undefined));
    // What was promised of a category that is not visited any more is served before.
    const leaving = [...this.#queues].some(
      ([name, { waiting }]) => waiting.length > 0 && queues.get(name)?.config.visit === undefined,
    );
    if ((!lanes.begin(nowUs) || leaving) && !force) return false;
    for (const [name, { waiting }] of this.#queues) {
      if (queues.has(name)) continue;
      for (const { frame } of waiting) this.#giveUp(frame, 'withdrawn');
      this.#spareTime.withdraw(name);
    }
    this.#config = config;
    this.#queues = queues;
    this.#lanes = lanes;
    const deepest = new Map(config.categories.map(({ name, ladder }) => [name, ladder.length - 1]));
    this.#adaptation = config.adaptation === true ? new Adaptation(deepest, this.#adaptation) : undefined;
    // Nobody was promised visits of these any more.
    for (const queue of queues.values())
      if (queue.config.visit === undefined) for (const frame of queue.waiting.splice(0)) this.#addSpare(queue, frame);
    return true;
  }

  /** Gives up what cannot be in time any more, and hands out spare frames whose share has come. */
  #clear(nowUs: number): void {
    if (this.#adaptation !== undefined)
      for (const queue of this.#queues.values())
        while (queue.waiting.length > 0 && queue.waiting[0]!.giveUpUs < nowUs)
          this.#tooLate(queue, queue.waiting.shift()!);
    this.#spareTime.update(nowUs);
    if (this.#mostUrgent() === undefined) this.#spareTime.advance();
  }

  #mostUrgent(): Queue<F> | undefined {
    let [first, least] = [undefined as Queue<F> | undefined, Infinity];
    for (const queue of this.#queues.values()) {
      const orderUs = urgency(queue);
      if (orderUs < least) [first, least] = [queue, orderUs];
    }
    return first;
  }

  /**
   * The most urgent frames of a category, as many as keep the first in time, if slack holds that; with `fewer` as many
   * of them as it holds.
   */
  #eagerly(queue: Queue<F>, nowUs: number, fewer = false): Run<F> | 'nothing' | undefined {
    if (this.#config.eager === false && queue.waiting.length > 0) return undefined;
    const { wcet } = queue;
    const most = min(wcet.largestBatch, queue.waiting.length + queue.spare.length);
    const pace = this.#paceOf(queue);
    const dueUs = min(queue.waiting[0]?.orderUs ?? Infinity, queue.spare[0]?.orderUs ?? Infinity);
    const wanted = max(1, wcet.largestWithin((dueUs - nowUs) / pace, most));
    const count = wcet.largestWithin(this.slackUs(nowUs, wcet.at(wanted) * pace) / pace, wanted);
    if (count === 0 || (count < wanted && !fewer)) {
      if (pace > 1) this.#adaptation!.feared(queue.config.name);
      return undefined;
    }
    const next = this.#lanes.upcoming();
    const waited = queue.waiting.length;
    const batch = this.#take(queue, count);
    const promised = waited - queue.waiting.length;
    if (queue.waiting.length === 0 || promised >= queue.quota) {
      // As good as a visit; where it was the category's own turn, that is over if the others can wait for so long.
      this.#visited(queue, nowUs);
      if (next?.queue === queue && wcet.at(count) <= this.#lanes.roomUs(next, promised, count, nowUs))
        this.#lanes.passed(next);
    }
    return this.#shape(queue, batch, 'eager', nowUs);
  }

  /** The visit whose turn it is: promised frames first, then spare ones that it keeps in time. */
  #visit(nowUs: number): Run<F> | 'nothing' | undefined {
    const next = this.#lanes.upcoming();
    if (next === undefined) return undefined;
    const { queue } = next;
    const { wcet, quota, spare } = queue;
    const batch = queue.waiting.splice(0, quota);
    this.#visited(queue, nowUs);
    const most = min(batch.length + spare.length, max(quota, wcet.largestBatch));
    const roomUs = this.#lanes.roomUs(next, batch.length, most, nowUs);
    let dueUs = batch.reduce((least, { orderUs }) => min(least, orderUs), Infinity);
    for (let at = 0; at < spare.length && batch.length < most;) {
      const costUs = wcet.at(batch.length + 1);
      const { dueUs: ownUs } = spare[at]!;
      if (costUs > roomUs || nowUs + costUs > dueUs) break;
      if (nowUs + costUs > ownUs) at++;
      else {
        batch.push(this.#spareTime.take(queue.config.name, at));
        dueUs = min(dueUs, ownUs);
      }
    }
    this.#lanes.passed(next);
    return this.#shape(queue, batch, 'visit', nowUs);
  }

  /** Spare frames of any category, as many as slack holds. */
  #whatFits(nowUs: number): Run<F> | 'nothing' | undefined {
    const spare = [...this.#queues.values()].filter((queue) => queue.spare.length > 0);
    spare.sort((a, b) => urgency(a) - urgency(b));
    for (const queue of spare) {
      const run = this.#eagerly(queue, nowUs, true);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  #visited(queue: Queue<F>, nowUs: number): void {
    queue.latestUs = max(queue.latestUs, nowUs + queue.gapUs);
  }

  /** Takes a category's most urgent frames, promised or spare. */
  #take({ waiting, spare, config: { name } }: Queue<F>, count: number): Waiting<F>[] {
    const batch: Waiting<F>[] = [];
    let promised = 0;
    while (batch.length < count) {
      const own = waiting[promised];
      if (own === undefined || own.orderUs - own.headStartUs > (spare[0]?.orderUs ?? Infinity))
        batch.push(this.#spareTime.take(name));
      else batch.push(waiting[promised++]!);
    }
    waiting.splice(0, promised);
    return batch;
  }

  /** A batch at the shape and with the frames that the device's being behind allows. */
  #shape(queue: Queue<F>, batch: readonly Waiting<F>[], kind: Run<F>['kind'], nowUs: number): Run<F> | 'nothing' {
    const { ladder, name } = queue.config;
    const wcetUs = ladder[0]!.at(batch.length);
    const whole = { frames: batch, rung: 0, wcetUs, budgetUs: wcetUs };
    const strain = this.#adaptation?.strain(name);
    if (strain === undefined) return this.#begin(queue, whole, kind);
    const dueUs = batch.reduce((least, frame) => min(least, frame.dueUs), Infinity);
    if (strain.rung === 0 && nowUs + wcetUs * strain.pace <= dueUs) return this.#begin(queue, whole, kind);
    const { parts, late } = rescue(batch, ladder, strain, nowUs);
    if (late.length > 0 && strain.pace > 1) this.#adaptation!.feared(name);
    for (const frame of late) this.#tooLate(queue, frame);
    const [first, rest] = parts;
    if (rest !== undefined) this.#rest = { queue, part: rest, kind };
    return first === undefined ? 'nothing' : this.#begin(queue, first, kind);
  }

  #begin({ config }: Queue<F>, { frames, ...figures }: Part<F>, kind: Run<F>['kind']): Run<F> {
    const promised = frames.reduce((count, frame) => (frame.promised ? count + 1 : count), 0);
    return { category: config.name, kind, frames: frames.map(({ frame }) => frame), promised, ...figures };
  }

  /** How long a category's runs take of late, in multiples of their WCET, where that is more. */
  #paceOf({ config }: Queue<F>): number {
    return max(1, this.#adaptation?.strain(config.name).pace ?? 1);
  }

  #addSpare({ wcet }: Queue<F>, waiting: Waiting<F>): void {
    this.#spareTime.add(waiting, wcet.at(wcet.largestBatch) / wcet.largestBatch);
  }

  /** A frame that cannot be in time any more is answered when nobody else is kept waiting, or not at all. */
  #tooLate(queue: Queue<F>, waiting: Waiting<F>): void {
    if (waiting.late === 'drop') return this.#giveUp(waiting.frame, 'late');
    const giveUpUs = waiting.dueUs + LONGEST_LATENESS_US;
    this.#addSpare(queue, { ...waiting, replacesOlder: false, dueUs: Infinity, orderUs: giveUpUs, giveUpUs });
  }

  #giveUp(frame: F, why: GivenUpBecause): void {
    this.#givenUp.push({ frame, why });
  }

  #takeGivenUp(): readonly GivenUp<F>[] {
    if (this.#givenUp.length === 0) return NOTHING;
    const told = this.#givenUp;
    this.#givenUp = [];
    return told;
  }
}

const NOTHING: readonly never[] = [];
