import { BadImage } from '../image-input.js';
import { FrameDropped, FrameFailure } from '../serving/flights.js';
import type { Outcome, ServedTenant } from '../serving/tenant.js';
import { ClientGone } from './body.js';
import { NotDecoded } from './decode/stage.js';
import { DecoderLost } from './decode/worker.js';
import { BadRequest } from './protocol/bad-request.js';

/** A frame that nobody was promised, and that there is no room for. */
export class Busy extends Error {
  readonly code: string;
  readonly retryAfterUs: number;

  constructor(code: string, message: string, retryAfterUs: number) {
    super(message);
    this.code = code;
    this.retryAfterUs = retryAfterUs;
  }
}

export function notPromised(servings: readonly { readonly tenant: ServedTenant }[], retryAfterUs: number): Busy {
  const promised = servings.filter(({ tenant: { terms } }) => terms.promised);
  const perSecond = promised.reduce((sum, { tenant: { terms } }) => sum + (terms.streams * 1e6) / terms.periodUs, 0);
  return promised.length === 0
    ? new Busy(
        'NotAdmitted',
        'the tenant is not admitted, and spec.beyondPromise refuses to be served without a promise',
        retryAfterUs,
      )
    : new Busy(
        'RateExceeded',
        `the frame came sooner than the ${perSecond.toFixed(1)} a second and the jitter that were admitted allow, and spec.beyondPromise refuses such frames`,
        retryAfterUs,
      );
}

export const notCovered = (periodUs: number): Busy =>
  new Busy(
    'FrameTooLarge',
    'the frame is larger, or takes longer to be decoded, than what is promised covers (spec.frames), and spec.beyondPromise refuses such frames',
    periodUs,
  );

/** What a compressed body holds is not known before it is read. */
export const compressed = (): BadRequest =>
  new BadRequest(
    'compressed frames are never promised, and spec.beyondPromise refuses all others; send them uncompressed',
    415,
    'CompressedFrame',
    { 'Accept-Encoding': 'identity' },
  );

export const noMemory = ({ terms }: ServedTenant): Busy =>
  new Busy(
    'NoMemoryForBody',
    'the bodies of frames that are on their way take all the memory that there is for them',
    terms.periodUs,
  );

export const tooManyWaiting = ({ terms }: ServedTenant): Busy =>
  new Busy('TooManyWaiting', 'too many frames of this tenant wait already', terms.periodUs);

export function outcomeOf(error: unknown): Outcome {
  if (error instanceof ClientGone || (error instanceof NotDecoded && error.because === 'gone')) return 'gone';
  if (error instanceof Busy) return 'refused';
  if (error instanceof BadRequest || error instanceof BadImage) return 'invalid';
  return error instanceof FrameDropped || (error instanceof NotDecoded && error.because === 'late')
    ? 'dropped'
    : 'failed';
}

/** What a sender is told of it. */
export function asTold(error: unknown): unknown {
  if (error instanceof BadImage) return new BadRequest(error.message, 400, 'InvalidImage');
  if (error instanceof DecoderLost) return new FrameFailure('DecoderLost', error.message);
  if (!(error instanceof NotDecoded)) return error;
  return error.because === 'late'
    ? new FrameDropped('DeadlinePassed', 'this frame could not be decoded in time any more, and was given up')
    : new FrameFailure('AgentStopping', 'the agent is stopping');
}
