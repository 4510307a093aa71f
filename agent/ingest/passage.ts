import type { Answer } from '../serving/flights.js';
import type { Passed } from '../serving/late-frames.js';
import type { DeviceService } from '../serving/service.js';
import type { ServedTenant } from '../serving/tenant.js';
import type { Incoming } from './incoming.js';
import type { TracedFrame } from './tracing.js';

/** A device, as a frame's way to it sees it. */
export type FrameTaker = Pick<
  DeviceService,
  'ready' | 'backlogUs' | 'stages' | 'hasRoomForSpare' | 'takeSlot' | 'giveSlot' | 'submit' | 'count'
>;

/** A tenant's streams on a device. */
export interface Serving {
  readonly service: FrameTaker;
  readonly tenant: ServedTenant;
}

/** Who answers for a frame, as far as that is known yet. */
export interface Passage {
  serving: Serving;
  promised: boolean | undefined;
  /** When its head had come. */
  readonly enteredUs: number;
  /** How far it came. */
  arrivedUs?: number;
  submittedUs?: number;
  decoded?: boolean;
  answer?: Answer;
}

/** How far a frame came that has arrived, and what it was refused with. */
export function passedOf(
  { arrivedUs, submittedUs, decoded = false, answer }: Passage,
  code?: string,
): { readonly passed?: Passed } {
  if (arrivedUs === undefined) return {};
  const { startUs, endUs, batch, outlived = false } = answer ?? {};
  return {
    passed: {
      arrivedUs,
      submittedUs: answer?.submittedUs ?? submittedUs,
      startUs,
      endUs,
      batch,
      outlived,
      decoded,
      code,
    },
  };
}

/** A frame's way as its trace tells it. */
export function traced(
  passage: Passage,
  { trace }: Incoming,
  outcome: TracedFrame['outcome'],
  code?: string,
): TracedFrame {
  const { serving, promised, enteredUs, arrivedUs, submittedUs, answer } = passage;
  const { key, terms } = serving.tenant;
  const { startUs, endUs, batch } = answer ?? {};
  const { category, deadlineUs } = terms;
  const times = { enteredUs, arrivedUs, submittedUs, startUs, endUs };
  return { parent: trace, tenant: key, category, deadlineUs, promised, outcome, code, batch, ...times };
}
