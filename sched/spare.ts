import TinyQueue from 'tinyqueue';
import type { Waiting } from './frame.js';

const { max } = Math;
const byStart = (a: Spare<unknown>, b: Spare<unknown>): number => a.startUs - b.startUs;

/** Device time by which a tenant may be ahead of the others before its frames have to wait for theirs, in microseconds. */
const LEAD_US = 20_000;

/** What spare time a tenant has had. */
interface Account {
  /** Virtual time at which the last of its frames would end. */
  finishUs: number;
  waiting: number;
}

/** A spare frame that waits. */
export interface Spare<F> extends Waiting<F> {
  readonly category: string;
  /** What it takes of the device, in a full batch. */
  readonly costUs: number;
  /** Start tag: the virtual time at which its tenant's share lets it begin. */
  startUs: number;
  state: 'beyond' | 'inShare' | 'gone';
}

/**
 * Shares spare time among tenants: start-time fair queueing by device time (Goyal, Vin, Cheng 1996). Frames within their
 * tenant's share are handed out to be run by urgency; those beyond it wait until virtual time has come so far, or until
 * nobody else wants the device. So a flood costs its sender only.
 */
export class SpareTime<F> {
  readonly #accounts = new Map<string, Account>();
  /** All that wait, those who have had least first; and of them those beyond their tenants' share. */
  readonly #waiting = new TinyQueue<Spare<F>>([], byStart);
  readonly #beyond = new TinyQueue<Spare<F>>([], byStart);
  readonly #byGiveUp = new TinyQueue<Spare<F>>([], (a, b) => a.giveUpUs - b.giveUpUs);
  /** Virtual time: the least start tag of all that wait. */
  #virtualUs = 0;

  /** How many spare frames of a tenant wait. */
  waiting(tenant: string): number {
    return this.#accounts.get(tenant)?.waiting ?? 0;
  }

  /** Takes a frame in; returns whether it is within its tenant's share, and so may be run by urgency. */
  add(spare: Spare<F>): boolean {
    let account = this.#accounts.get(spare.tenant);
    if (account === undefined) this.#accounts.set(spare.tenant, (account = { finishUs: 0, waiting: 0 }));
    spare.startUs = max(this.#virtualUs, account.finishUs);
    account.finishUs = spare.startUs + spare.costUs;
    account.waiting++;
    this.#waiting.push(spare);
    if (spare.startUs <= this.#virtualUs + LEAD_US) spare.state = 'inShare';
    else {
      this.#beyond.push(spare);
      this.#byGiveUp.push(spare);
    }
    return spare.state === 'inShare';
  }

  /** Frames whose turn has come; `idle`: the next one in any case, since nobody else wants the device. */
  *due(idle: boolean): Generator<Spare<F>> {
    for (let next = this.#beyond.peek(); next !== undefined; next = this.#beyond.peek()) {
      const wanted = next.state === 'beyond';
      if (wanted && !idle && next.startUs > this.#virtualUs + LEAD_US) return;
      this.#beyond.pop();
      if (!wanted) continue;
      next.state = 'inShare';
      yield next;
      if (idle) return;
    }
  }

  /** Frames beyond their tenants' share that cannot be in time any more. */
  *hopeless(nowUs: number): Generator<Spare<F>> {
    for (let next = this.#byGiveUp.peek(); next !== undefined; next = this.#byGiveUp.peek()) {
      if (next.state === 'beyond' && next.giveUpUs >= nowUs) return;
      this.#byGiveUp.pop();
      if (next.state === 'beyond') yield next;
    }
  }

  /** The frame is run. */
  served(spare: Spare<F>): void {
    this.#leave(spare, 0);
  }

  /** The frame is given up: its tenant is not charged for it. */
  dropped(spare: Spare<F>): void {
    this.#leave(spare, spare.costUs);
  }

  #leave(spare: Spare<F>, backUs: number): void {
    spare.state = 'gone';
    let least = this.#waiting.peek();
    for (; least?.state === 'gone'; least = this.#waiting.peek()) this.#waiting.pop();
    this.#virtualUs = max(this.#virtualUs, (least ?? spare).startUs);
    const account = this.#accounts.get(spare.tenant)!;
    account.waiting--;
    account.finishUs -= backUs;
    if (account.waiting === 0 && account.finishUs <= this.#virtualUs) this.#accounts.delete(spare.tenant);
  }
}
