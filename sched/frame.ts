/** What a frame's tenant allows while the device is behind. */
export interface FrameTerms {
  /** The last rung of the category's ladder of shapes that may be used; 0: the full shape only. */
  readonly deepest: number;
  /** The frame's own deadline, absolute, in microseconds; Infinity: none. */
  readonly dueUs: number;
  /** Whether an answer after the deadline is still wanted. */
  readonly late: 'serve' | 'drop';
}

/** Of a tenant that allows nothing and waits for ever. */
export const FIRM: FrameTerms = { deepest: 0, dueUs: Infinity, late: 'serve' };

/** A frame as it comes to the device. */
export interface FrameOffer extends FrameTerms {
  readonly category: string;
  readonly tenant: string;
  /** When it was ready for the device, in microseconds. */
  readonly atUs: number;
  /** Whether it is one of those that its tenant was promised. */
  readonly promised: boolean;
  /** Which of its tenant's streams it belongs to, where that is known: their spare frames take turns. */
  readonly stream?: string;
  /** As a spare frame it takes the place of an older one of its stream that waits. */
  readonly replacesOlder?: boolean;
}

/** Why a frame gets no answer: it cannot be in time any more, its category is gone, a newer one took its place, or its tenant has too many waiting. */
export type GivenUpBecause = 'late' | 'withdrawn' | 'replaced' | 'full';

export interface GivenUp<F> {
  readonly frame: F;
  readonly why: GivenUpBecause;
}

/** One batch for the device. */
export interface Run<F> {
  readonly category: string;
  /** By the turn, or out of turn because nobody's promise is at stake. */
  readonly kind: 'visit' | 'eager';
  readonly frames: readonly F[];
  /** How many of them their tenants were promised. */
  readonly promised: number;
  /** The shape it runs at: 0 the full one, each further one the next smaller. */
  readonly rung: number;
  /** E of this batch at its shape. */
  readonly wcetUs: number;
  /** What was counted for it: E at the full shape, or its share when a batch was split. */
  readonly budgetUs: number;
}

/** A frame that waits for the device. */
export interface Waiting<F> extends FrameTerms {
  readonly frame: F;
  readonly category: string;
  readonly tenant: string;
  readonly promised: boolean;
  /** Who comes first: the deadline, where there is one. */
  readonly orderUs: number;
  /** By how much a promised frame goes before spare ones that are as urgent, in microseconds. */
  readonly headStartUs: number;
  /** When it is given up if it has not begun to run, given what one frame takes at least. */
  readonly giveUpUs: number;
  readonly stream: string;
  readonly replacesOlder: boolean;
}

/** Puts a frame in its place by urgency; most come in order, so the place is looked for from the end. */
export function insert<W extends { readonly orderUs: number }>(queue: W[], waiting: W): void {
  let at = queue.length;
  while (at > 0 && queue[at - 1]!.orderUs > waiting.orderUs) at--;
  queue.splice(at, 0, waiting);
}

/** What the device should do now. */
export interface Decision<F> {
  readonly run?: Run<F>;
  /** When to ask again although nothing arrives; absent beside a run. */
  readonly waitUntilUs: number;
  readonly givenUp: readonly GivenUp<F>[];
}
