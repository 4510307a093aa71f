import { setImmediate } from 'node:timers/promises';
import type { Request, Response } from 'express';
import { sameShape, shapeText } from '../../api/names.js';
import type { Answer } from '../serving/flights.js';
import { latencyUs } from '../serving/flights.js';
import type { ServedTenant, TenantTerms } from '../serving/tenant.js';
import { ClientGone } from './body.js';
import { isWaiting } from './expect.js';
import { isStream } from './form.js';
import type { WantedOutputs } from './protocol/request.js';
import { writeResponse } from './protocol/response.js';
import { bodyOf, toldOf } from './told.js';

/** Whoever has not read an answer after this long, and so much more for each MiB of it, is cut off. */
const WRITE_MS = 5000;
const WRITE_MS_A_MIB = 1000;
const OVERSIZED_GRACE_MS = 500;
/** Outputs of more bytes are answered in binary form only. */
export const LARGEST_JSON_BYTES = 4 * 1024 ** 2;

/**
 * Writes a frame's answer. Nothing of its batch's memory is held for those who read slowly.
 *
 * @param turn told of more bytes that are to be written as JSON: when that may be done, where it has to wait
 * @returns the bytes of its outputs
 * @throws ClientGone when nobody waits for the answer any more
 * @throws BadRequest when its outputs can only be had in binary form, or not at all
 */
export async function respond(
  req: Request<{ model: string }>,
  res: Response,
  { terms }: ServedTenant,
  answer: Answer,
  wanted: WantedOutputs,
  promised: boolean,
  turn: (bytes: number) => Promise<void> | undefined,
): Promise<number> {
  try {
    if (res.closed || req.socket.destroyed) throw new ClientGone();
    const parameters = (): AnswerParameters => parametersOf(answer, terms, promised);
    const limits = {
      jsonBytes: LARGEST_JSON_BYTES,
      turn: async (more: number): Promise<void> => (await turn(more)) ?? setImmediate(),
    };
    const { json, binary } = await writeResponse(req.params.model, answer.outputs, answer, wanted, parameters, limits);
    if (res.closed) throw new ClientGone();
    const bytes = binary.reduce((sum, tensor) => sum + tensor.byteLength, json.length);
    res.setHeader('Content-Type', binary.length === 0 ? 'application/json' : 'application/octet-stream');
    if (binary.length > 0) res.setHeader('Inference-Header-Content-Length', json.length);
    res.setHeader('Content-Length', bytes);
    res.cork();
    res.write(json);
    // A copy of one's own: others' frames of the batch must not wait for this one's reader.
    for (const tensor of binary) res.write(Buffer.from(tensor));
    res.end();
    cutOff(res, bytes);
    return answer.outputs.reduce((sum, { data }) => sum + data.byteLength, 0) / answer.batch;
  } finally {
    answer.release();
  }
}

export type AnswerParameters = Record<string, string | number | boolean>;

/** What an answer says of itself, by whatever protocol. */
export function parametersOf(answer: Answer, terms: TenantTerms, promised: boolean): AnswerParameters {
  const { deadlineUs } = terms;
  return {
    promised,
    queued_us: answer.startUs - answer.arrivedUs,
    executed_us: answer.endUs - answer.startUs,
    latency_us: latencyUs(answer),
    batch_size: answer.batch,
    ...computedAt(answer.shape, terms.shape),
    ...(deadlineUs === Infinity ? {} : { deadline_us: deadlineUs, deadline_met: latencyUs(answer) <= deadlineUs }),
  };
}

/** How long an answer of so many bytes may wait for its reader. */
export const writeLimitMs = (bytes: number): number => WRITE_MS + (WRITE_MS_A_MIB * bytes) / 1024 ** 2;

function cutOff(res: Response, bytes: number): void {
  if (res.writableFinished) return;
  const timer = setTimeout(() => res.req.socket.destroy(), writeLimitMs(bytes)).unref();
  res.once('close', () => clearTimeout(timer));
  res.once('finish', () => clearTimeout(timer));
}

/**
 * At which shape an answer was computed. Where an output's own shape or coordinates follow the input's, dividing by the scale
 * brings them back to the frame's.
 */
function computedAt(shape: readonly number[], asked: readonly number[]): Record<string, string | number> {
  if (sameShape(shape, asked)) return {};
  return {
    computed_shape: shapeText(shape),
    scale_height: shape[1]! / asked[1]!,
    scale_width: shape[2]! / asked[2]!,
  };
}

/** After these nothing more of a request is read: of a body without end, and of those who may not send. */
const CUT_OFF: ReadonlySet<number> = new Set([401, 403, 413]);

/** Whoever sends without end, or may not send, is cut off once it is answered, but gets time to read why. */
export function cutOffSender(res: Response): void {
  res.once('finish', () => setTimeout(() => res.req.socket.destroy(), OVERSIZED_GRACE_MS).unref());
}

/** Answers a request that is not served. */
export function refuseFrame(res: Response, error: unknown): void {
  const told = toldOf(error);
  if (told === undefined || res.headersSent || res.closed) return;
  for (const [name, value] of Object.entries(told.headers)) res.setHeader(name, value);
  // A body that was announced and not waited for may come or not.
  if (isWaiting(res.req)) res.setHeader('Connection', 'close');
  if (CUT_OFF.has(told.status) || isStream(res.req)) {
    res.setHeader('Connection', 'close');
    cutOffSender(res);
  }
  res.status(told.status).json(bodyOf(told));
}
