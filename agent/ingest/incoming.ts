import type { ExpectedInput } from '../frames.js';
import type { Answer } from '../serving/flights.js';
import type { ServedTenant } from '../serving/tenant.js';
import type { Body, BodyBudget } from './body.js';
import type { Form } from './form.js';
import type { TraceHeaders } from './tracing.js';
import type { FrameRequest, WantedOutputs } from './protocol/request.js';

/** A frame that somebody sends, by whatever protocol. */
export interface Incoming {
  /** @throws BadRequest when it is none of those that are offered */
  readonly form: Form;
  /** Of its body, in bytes, as its sender says before it sends it; 0: not said. */
  readonly announcedBytes: number;
  /** Whether receiving it takes what was measured for its form; otherwise it is a spare one. */
  readonly measured: boolean;
  /** Which stream it belongs to, where the request itself does not say. */
  readonly stream: string;
  /** What is wanted of the answer, where the body is an image and says nothing. */
  readonly wanted: WantedOutputs;
  /** The trace that it is part of, as its sender says. */
  readonly trace: TraceHeaders;
  /** Whether nobody waits for the answer any more. */
  readonly gone: boolean;
  /** @throws BadRequest, NoMemory, ClientGone */
  read(limit: number, budget: BodyBudget, tenant: string, promised: boolean): Promise<Body>;
  /** The body is not wanted. */
  discard(): void;
  /** @throws BadRequest naming what is wrong */
  request(body: readonly Buffer[], expected: readonly ExpectedInput[]): FrameRequest;
  /**
   * Writes the frame's answer, and gives its memory back.
   *
   * @param turn told of more bytes that are to be written as JSON: when that may be done, where it has to wait
   * @returns the bytes of its outputs
   */
  answer(
    answer: Answer,
    tenant: ServedTenant,
    wanted: WantedOutputs,
    promised: boolean,
    turn: (bytes: number) => Promise<void> | undefined,
  ): Promise<number>;
}
