import TinyQueue from 'tinyqueue';
import type { GivenUpBecause, Waiting } from './frame.js';
import { insert } from './frame.js';

const { max } = Math;

/** Device time by which a tenant may be ahead of the others before its frames have to wait for theirs, in microseconds. */
const LEAD_US = 20_000;
/** Spare frames of a tenant that may wait. */
const MOST_WAITING = 64;

/** What spare time a tenant has had, and what it waits for. */
interface Account<F> {
  readonly tenant: string;
  /** Virtual time from which on its share lets its next frame be run. */
  startUs: number;
  waiting: number;
  /** Those beyond its share, by stream; the stream whose turn it is comes first. */
  readonly beyond: Map<string, Spare<F>[]>;
  /** By stream, the frame that a newer one replaces. */
  readonly replaceable: Map<string, Spare<F>>;
  /** When it was put into the order of accounts. */
  queuedUs: number | undefined;
}

/** A spare frame that waits. */
export interface Spare<F> extends Waiting<F> {
  readonly account: Account<F>;
  /** What it takes of the device, in a full batch. */
  readonly costUs: number;
  /** Start tag: the virtual time at which its tenant's share lets it begin. */
  startUs: number;
  state: 'beyond' | 'inShare' | 'gone';
}

/**
 * Shares spare time among tenants: start-time fair queueing by device time (Goyal, Vin, Cheng 1996); the streams of a tenant take turns.
 * Frames within their tenant's share are run by urgency; those beyond it wait until virtual time has come so far, or
 * until nobody else wants the device. So a flood costs its sender only.
 */
export class SpareTime<F> {
  readonly #giveUp: (frame: F, why: GivenUpBecause) => void;
  readonly #accounts = new Map<string, Account<F>>();
  /** By category, those within their tenants' shares, the most urgent first; and all of them by their start tags. */
  readonly #inShare = new Map<string, Spare<F>[]>();
  readonly #byStart = new TinyQueue<Spare<F>>([], (a, b) => a.startUs - b.startUs);
  /** Those beyond their tenants' shares; and their tenants, in the order in which their shares come. */
  readonly #byGiveUp = new TinyQueue<Spare<F>>([], (a, b) => a.giveUpUs - b.giveUpUs);
  readonly #backlogged = new TinyQueue<Account<F>>([], (a, b) => a.queuedUs! - b.queuedUs!);
  /** Virtual time: the least start tag of all that wait. */
  #virtualUs = 0;

  /** @param giveUp is told of every frame that will not be run */
  constructor(giveUp: (frame: F, why: GivenUpBecause) => void) {
    this.#giveUp = giveUp;
  }

  /** A category's frames that may be run, the most urgent first. */
  of(category: string): readonly Spare<F>[] {
    let own = this.#inShare.get(category);
    if (own === undefined) this.#inShare.set(category, (own = []));
    return own;
  }

  /** A frame comes to wait, and takes the place of an older one of its stream where that is wished. */
  add(frame: Waiting<F>, costUs: number): void {
    const { tenant, stream, replacesOlder } = frame;
    const account = this.#accountOf(tenant);
    const older = replacesOlder ? account.replaceable.get(stream) : undefined;
    if (older !== undefined) this.#drop(older, 'replaced');
    if (account.waiting >= MOST_WAITING && !this.#makeRoom(account, stream)) return this.#giveUp(frame.frame, 'full');
    this.#accounts.set(tenant, account);
    account.waiting++;
    const spare: Spare<F> = { ...frame, promised: false, account, costUs, startUs: 0, state: 'beyond' };
    if (replacesOlder) account.replaceable.set(stream, spare);
    const own = account.beyond.get(stream);
    if (own !== undefined) own.push(spare);
    else if (account.beyond.size > 0 || account.startUs > this.#virtualUs + LEAD_US)
      account.beyond.set(stream, [spare]);
    else return this.#release(spare);
    this.#byGiveUp.push(spare);
    this.#queue(account);
  }

  /** Takes the frame at a place of `of(category)`, to be run. */
  take(category: string, at = 0): Spare<F> {
    const [spare] = this.#inShare.get(category)!.splice(at, 1);
    this.#leave(spare!);
    return spare!;
  }

  /** Gives up what cannot be in time any more, and lets those be run whose share has come. */
  update(nowUs: number): void {
    for (const own of this.#inShare.values())
      while (own.length > 0 && own[0]!.giveUpUs < nowUs) this.#drop(own[0]!, 'late');
    for (let next = this.#byGiveUp.peek(); next !== undefined; next = this.#byGiveUp.peek()) {
      if (next.state === 'beyond' && next.giveUpUs >= nowUs) break;
      this.#byGiveUp.pop();
      if (next.state === 'beyond') this.#drop(next, 'late');
    }
    while ((this.#backlogged.peek()?.queuedUs ?? Infinity) <= this.#virtualUs + LEAD_US) this.advance();
  }

  /** Lets the next frame be run although its share may not have come: nobody else wants the device. */
  advance(): void {
    const account = this.#backlogged.pop();
    if (account === undefined) return;
    account.queuedUs = undefined;
    const [turn] = account.beyond;
    if (turn === undefined) return;
    const [stream, [first, ...others]] = turn;
    account.beyond.delete(stream);
    if (others.length > 0) account.beyond.set(stream, others);
    this.#release(first!);
    this.#queue(account);
  }

  /** A category is gone, and its frames with it. */
  withdraw(category: string): void {
    for (const spare of [...this.of(category)]) this.#drop(spare, 'withdrawn');
    this.#inShare.delete(category);
  }

  #accountOf(tenant: string): Account<F> {
    const known = this.#accounts.get(tenant);
    if (known !== undefined) return known;
    return { tenant, startUs: 0, waiting: 0, beyond: new Map(), replaceable: new Map(), queuedUs: undefined };
  }

  /** Gives up the newest frame of the stream that has most of them beyond its tenant's share, if that is another one. */
  #makeRoom({ beyond }: Account<F>, stream: string): boolean {
    let longest: readonly Spare<F>[] = [];
    for (const own of beyond.values()) if (own.length > longest.length) longest = own;
    if (longest.length <= (beyond.get(stream)?.length ?? 0) + 1) return false;
    this.#drop(longest.at(-1)!, 'full');
    return true;
  }

  /** Puts an account that has frames beyond its share into the order of accounts. */
  #queue(account: Account<F>): void {
    if (account.queuedUs !== undefined || account.beyond.size === 0) return;
    account.queuedUs = account.startUs;
    this.#backlogged.push(account);
  }

  #release(spare: Spare<F>): void {
    const { account } = spare;
    const own = this.#inShare.get(spare.category);
    if (own === undefined) return this.#drop(spare, 'withdrawn');
    spare.startUs = max(this.#virtualUs, account.startUs);
    account.startUs = spare.startUs + spare.costUs;
    spare.state = 'inShare';
    insert(own, spare);
    this.#byStart.push(spare);
  }

  /** The frame is given up: its tenant is not charged for it. */
  #drop(spare: Spare<F>, why: GivenUpBecause): void {
    const { account, state, stream } = spare;
    const own = state === 'inShare' ? this.#inShare.get(spare.category) : account.beyond.get(stream);
    const at = own?.indexOf(spare) ?? -1;
    if (at >= 0) own!.splice(at, 1);
    if (state === 'inShare') account.startUs -= spare.costUs;
    else if (own?.length === 0) account.beyond.delete(stream);
    this.#leave(spare);
    this.#giveUp(spare.frame, why);
  }

  #leave(spare: Spare<F>): void {
    const { account, stream } = spare;
    spare.state = 'gone';
    if (account.replaceable.get(stream) === spare) account.replaceable.delete(stream);
    let oldest = this.#byStart.peek();
    for (; oldest?.state === 'gone'; oldest = this.#byStart.peek()) this.#byStart.pop();
    const next = oldest?.startUs ?? this.#backlogged.peek()?.queuedUs ?? spare.startUs;
    this.#virtualUs = max(this.#virtualUs, next);
    account.waiting--;
    if (account.waiting === 0 && account.startUs <= this.#virtualUs) this.#accounts.delete(account.tenant);
  }
}
