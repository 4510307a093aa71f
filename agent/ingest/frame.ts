import type { FrameCost, FrameHead, Stages } from '../../api/frames.js';
import { answerUs, frameCost, isDecoded } from '../../api/frames.js';
import { nowUs } from '../../kube/clock.js';
import { FrameDropped, FrameFailure, latencyUs, outOfMemory } from '../serving/flights.js';
import type { Slot } from '../serving/slots.js';
import type { ServedTenant } from '../serving/tenant.js';
import { Arrivals } from './arrivals.js';
import type { Body } from './body.js';
import { BodyBudget, ClientGone, NoMemory, tooLarge } from './body.js';
import type { DecodeStage } from './decode/stage.js';
import type { Form } from './form.js';
import { headOf, largestBody } from './form.js';
import type { Incoming } from './incoming.js';
import type { FrameRequest, WantedOutputs } from './protocol/request.js';
import { asTold, compressed, noMemory, notCovered, notPromised, outcomeOf, tooManyWaiting } from './refusals.js';
import type { Passage, Serving } from './passage.js';
import { passedOf, traced } from './passage.js';
import { leastBusy, police } from './policing.js';
import { REFUSED_BURST_US, SPARE_BURST_US, SpareGate } from './spare-gate.js';
import { Trials } from './trials.js';
import { within } from './timeout.js';
import { toldOf } from './told.js';
import type { FrameTracer } from './tracing.js';

/** Decoding that takes so many times as long as expected, and this long at least, is ended. */
const DECODE_LIMIT_FACTOR = 20;
const LEAST_DECODE_LIMIT_US = 2_000_000;
/** Figures that are computed the same way from the same costs differ by no more than this. */
const SAME = 1.001;
/** The part of the event loop that is ever used, and that telling senders that they are not served may take. */
const MOST_OF_THE_LOOP = 0.9;
const REFUSALS_SHARE = 0.1;

/** What frames pass beside devices. */
export interface FrameStages {
  readonly decode: DecodeStage;
  /** The share of the event loop's core that was promised to frames. */
  readonly promisedShare: number;
  readonly stageWatch: {
    readonly decoded: (
      head: FrameHead,
      us: number,
      whose: { readonly tenant: string; readonly promised: boolean },
    ) => void;
    readonly handled: (expectedUs: number) => void;
  };
}

/** What a frame's body was found to be. */
interface Found {
  readonly head: FrameHead;
  readonly cost: FrameCost;
}

/** Takes frames: which of them are promised ones, what their bodies hold, and what becomes of them (docs/architecture.md). */
export class FrameDoor {
  readonly bodies = new BodyBudget();
  readonly #node: FrameStages;
  readonly #arrivals = new Arrivals();
  readonly #spare: SpareGate;
  readonly #tracer: FrameTracer | undefined;
  readonly #trials = new Trials();
  readonly #refused: SpareGate;

  /** @param tracer told of every frame; nobody is where absent */
  constructor(node: FrameStages, tracer?: FrameTracer) {
    this.#node = node;
    this.#tracer = tracer;
    const leftShare = (): number => MOST_OF_THE_LOOP - node.promisedShare;
    this.#refused = new SpareGate(() => Math.min(REFUSALS_SHARE, leftShare()), REFUSED_BURST_US);
    // What refusals do not take is there for spare frames.
    this.#spare = new SpareGate(() => leftShare() - (this.#refused.busy ? REFUSALS_SHARE : 0), SPARE_BURST_US);
  }

  stop(): void {
    this.#arrivals.stop();
  }

  /** Before a frame is refused by its head: resolves when that is to be answered. Its body is not looked at. */
  async turnAway(
    sender: string,
    incoming: Pick<Incoming, 'announcedBytes' | 'discard'>,
    stages?: Stages,
  ): Promise<void> {
    const head = { form: 'Tensor', bytes: incoming.announcedBytes } as const;
    await this.#refused.enter(sender, frameCost(stages, head).receiveUs);
    incoming.discard();
  }

  /**
   * Serves a frame and answers it.
   *
   * @throws BadRequest, Busy, FrameFailure: what is to be answered instead; ClientGone: nobody is there
   */
  async take(servings: readonly Serving[], incoming: Incoming): Promise<void> {
    const passage: Passage = { serving: servings[0]!, promised: undefined, enteredUs: nowUs() };
    try {
      const outcome = await this.#serve(passage, servings, incoming);
      this.#tracer?.frame(traced(passage, incoming, outcome));
    } catch (error) {
      const outcome = outcomeOf(error);
      const { service, tenant } = passage.serving;
      const failure = asTold(error);
      const code = outcome === 'gone' ? undefined : toldOf(failure)?.code;
      const told = code === undefined ? {} : { code };
      const passed = failure instanceof FrameFailure ? passedOf(passage, failure.code) : {};
      service.count(tenant, { outcome, promised: passage.promised, ...told, ...passed });
      this.#tracer?.frame(traced(passage, incoming, outcome, code));
      if (outcome === 'gone') throw new ClientGone();
      if (failure instanceof FrameDropped) failure.promised = passage.promised === true;
      throw failure;
    }
  }

  async #serve(passage: Passage, servings: readonly Serving[], incoming: Incoming): Promise<'onTime' | 'late'> {
    const { form } = incoming;
    const body = await this.#receive(servings, incoming, form);
    let wanted: WantedOutputs;
    let slot: Slot;
    const arrivedUs = this.#arrivals.nowUs;
    try {
      const found = this.#look(servings[0]!, body, form);
      // What is no frame of the tenant's takes no place of those promised; images are only known once they are decoded.
      passage.arrivedUs = arrivedUs;
      passage.decoded = isDecoded(found.head);
      const request = passage.decoded ? undefined : incoming.request(body.chunks, servings[0]!.tenant.terms.inputs);
      admit(passage, servings, found, incoming.measured ? body.bytes : Infinity, nowUs());
      const { service, tenant } = passage.serving;
      const taken = service.takeSlot(tenant, passage.promised === true);
      if (taken === undefined) throw tooManyWaiting(tenant);
      if (isTooLong(tenant, found) && !this.#trials.begin(nowUs())) {
        service.giveSlot(tenant, taken);
        throw decodingTooLong(found);
      }
      slot = taken;
      try {
        wanted =
          request === undefined
            ? await this.#decode(tenant, found, body, slot, arrivedUs, incoming)
            : await written(request, slot);
      } catch (error) {
        service.giveSlot(tenant, slot);
        throw error;
      }
    } finally {
      body.giveBack();
    }
    const { service, tenant } = passage.serving;
    const promised = passage.promised === true;
    passage.submittedUs = nowUs();
    const submitted = service.submit(tenant, slot, arrivedUs, streamOf(incoming, wanted));
    const answer = await within(submitted, arrivedUs, wanted.timeoutUs);
    passage.answer = answer;
    // Long lists of numbers take only what nobody was promised.
    const turn = (more: number): Promise<void> | undefined =>
      this.#spare.enter(tenant.key, answerUs(service.stages, more));
    const bytes = await incoming.answer(answer, tenant, wanted, promised, turn);
    this.#node.stageWatch.handled(answerUs(service.stages, bytes));
    const outcome = latencyUs(answer) <= tenant.terms.deadlineUs ? 'onTime' : 'late';
    service.count(tenant, { outcome, promised, answer, ...(outcome === 'late' ? passedOf(passage) : {}) });
    return outcome;
  }

  /**
   * Reads a frame's body, unless its head says enough: one that cannot be promised is refused before a byte of it is read,
   * where its tenant refuses such frames or too many of them are on their way, and else waits for its turn.
   */
  async #receive(servings: readonly Serving[], incoming: Incoming, form: Form): Promise<Body> {
    const { service, tenant } = servings[0]!;
    const { terms } = tenant;
    const limit = largestBody(form, tenant);
    const { announcedBytes: announced, measured } = incoming;
    if (announced > limit) {
      await this.turnAway(tenant.key, { announcedBytes: 0, discard: () => incoming.discard() });
      throw tooLarge(limit);
    }
    const atUs = nowUs();
    const candidate =
      announced <= terms.covered.bytes && measured
        ? servings.find((each) => each.tenant.mayBePromised(atUs))?.tenant
        : undefined;
    if (candidate !== undefined) {
      candidate.reading++;
      try {
        return await this.#body(incoming, limit, tenant, true);
      } finally {
        candidate.reading--;
      }
    }
    const waitUs = servings.reduce((least, each) => Math.min(least, each.tenant.promisedInUs(atUs)), Infinity);
    const { receiveUs } = frameCost(service.stages, { form: 'Tensor', bytes: announced });
    const full = !servings.some((each) => each.service.hasRoomForSpare(each.tenant));
    const refuses = tenant.refusesSpare(atUs);
    if (refuses || full) {
      await this.turnAway(tenant.key, incoming, service.stages);
      if (!refuses) throw tooManyWaiting(tenant);
      if (terms.promised && !measured) throw compressed();
      throw terms.promised && announced > terms.covered.bytes
        ? notCovered(terms.periodUs)
        : notPromised(servings, waitUs);
    }
    tenant.spareInFlight++;
    try {
      await this.#spare.enter(tenant.key, receiveUs);
      return await this.#body(incoming, limit, tenant, false);
    } finally {
      tenant.spareInFlight--;
    }
  }

  async #body(incoming: Incoming, limit: number, tenant: ServedTenant, promised: boolean): Promise<Body> {
    try {
      return await incoming.read(limit, this.bodies, tenant.key, promised);
    } catch (error) {
      throw error instanceof NoMemory ? noMemory(tenant) : error;
    }
  }

  /** What a body is, by its head, and what it takes of the stages. */
  #look({ service }: Serving, body: Body, form: Form): Found {
    const head = headOf(body, form);
    const cost = frameCost(service.stages, head);
    this.#node.stageWatch.handled(cost.receiveUs);
    return { head, cost };
  }

  async #decode(
    tenant: ServedTenant,
    found: Found,
    body: Body,
    slot: Slot,
    arrivedUs: number,
    incoming: Incoming,
  ): Promise<WantedOutputs> {
    const { terms, key } = tenant;
    const { head, cost } = found;
    const { promised, pool, index } = slot;
    const isTrial = isTooLong(tenant, found);
    const doneInUs = promised && terms.decodeDueUs > 0 ? terms.decodeDueUs : terms.deadlineUs - terms.answerDueUs;
    const decoding = this.#node.decode.run({
      tenant: key,
      promised,
      dueUs: arrivedUs + doneInUs,
      costUs: isTrial ? 0 : cost.decodeUs,
      limitUs: Math.max(LEAST_DECODE_LIMIT_US, DECODE_LIMIT_FACTOR * cost.decodeUs),
      body: body.chunks,
      recipe: head.form === 'JSON' ? { kind: 'json', expected: terms.inputs } : { kind: 'image', input: terms.image! },
      category: terms.category,
      pool,
      slot: index,
      gone: () => incoming.gone,
    });
    if (isTrial)
      decoding.then(
        ({ us }) => this.#trials.ended(nowUs(), us),
        () => this.#trials.ended(nowUs()),
      );
    const { us, wanted } = await decoding;
    this.#node.stageWatch.decoded(head, us, { tenant: key, promised });
    return wanted ?? incoming.wanted;
  }
}

/** Writes a frame's tensors into its slot. */
async function written({ tensor, wanted }: FrameRequest, { pool, index }: Slot): Promise<WantedOutputs> {
  try {
    await pool.write(index, tensor);
  } catch (error) {
    throw outOfMemory(error);
  }
  return wanted;
}

/** Whether a frame is a promised one, and which of the tenant's devices takes it. */
function admit(passage: Passage, servings: readonly Serving[], { cost }: Found, bytes: number, atUs: number): void {
  const { terms } = passage.serving.tenant;
  const refuses = passage.serving.tenant.refusesSpare(atUs);
  const covered =
    bytes <= terms.covered.bytes &&
    cost.receiveUs <= SAME * terms.covered.receiveUs &&
    cost.decodeUs <= SAME * terms.covered.decodeUs;
  const policed = covered ? police(servings, atUs) : undefined;
  passage.serving = policed?.serving ?? leastBusy(servings);
  passage.promised = policed?.promised === true;
  if (passage.promised) return;
  if (refuses) throw covered ? notPromised(servings, policed!.retryAfterUs) : notCovered(terms.periodUs);
}

/** Whether, by the figures, decoding alone takes longer than there is. */
const isTooLong = ({ terms }: ServedTenant, { cost }: Found): boolean => cost.decodeUs > terms.deadlineUs;

const decodingTooLong = ({ head: { pixels }, cost }: Found): FrameDropped =>
  new FrameDropped(
    'DecodingTooLong',
    `decoding ${pixels === undefined ? 'this request' : `this image of ${pixels} pixels`} takes about ${Math.round(cost.decodeUs / 1000)}ms here, longer than the tenant's deadline; send smaller frames`,
  );

/** Which stream a frame belongs to: as its `sequence_id` says, else as its sender's protocol does. */
const streamOf = ({ stream }: Incoming, { sequence }: WantedOutputs): string =>
  sequence === undefined ? stream : `sequence ${sequence.slice(0, 128)}`;
