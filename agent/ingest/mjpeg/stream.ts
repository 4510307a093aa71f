import { setImmediate } from 'node:timers/promises';
import type { Request, Response } from 'express';
import type { ExpectedInput } from '../../frames.js';
import type { Answer } from '../../serving/flights.js';
import type { ServedTenant } from '../../serving/tenant.js';
import { LARGEST_JSON_BYTES, cutOffSender, parametersOf } from '../answer.js';
import type { Body, BodyBudget } from '../body.js';
import { ClientGone, NoMemory, discard } from '../body.js';
import { goOn } from '../expect.js';
import type { Form } from '../form.js';
import { LARGEST_IMAGE_BYTES, formOfType } from '../form.js';
import { connectionOf, traceOf } from '../http-frame.js';
import { InOrder, drained } from '../in-order.js';
import type { Incoming } from '../incoming.js';
import { LONGEST_BODY_MS } from '../odd-requests.js';
import { BadRequest } from '../protocol/bad-request.js';
import type { FrameRequest, WantedOutputs } from '../protocol/request.js';
import { writeResponse } from '../protocol/response.js';
import { bodyOf, toldOf } from '../told.js';
import type { TraceHeaders } from '../tracing.js';
import type { Part } from './parts.js';
import { PartSplitter, boundaryOf } from './parts.js';

/** The head of a part may come with the part before it, long before its image does. */
const NO_IMAGE_BYTES = 8 * 1024;

/** A frame as one part of a request that goes on and on. */
class PartFrame implements Incoming {
  readonly measured = true;
  readonly wanted: WantedOutputs = { binaryByDefault: false };
  readonly announcedBytes: number;
  /** The answer, once the frame was taken. */
  json: Buffer = Buffer.alloc(0);
  readonly #part: Part;
  readonly #model: string;
  readonly #res: Response;
  readonly #taken: () => void;
  readonly stream: string;
  readonly trace: TraceHeaders;

  /** @param taken told when the part's memory is counted as that of a body */
  constructor(part: Part, model: string, res: Response, stream: string, trace: TraceHeaders, taken: () => void) {
    this.#taken = taken;
    this.#part = part;
    this.#model = model;
    this.#res = res;
    this.stream = stream;
    this.trace = trace;
    this.announcedBytes = part.body.length;
  }

  get form(): Form {
    const form = formOfType(this.#part.headers.get('content-type') ?? 'image/jpeg');
    if (form === 'JPEG' || form === 'PNG') return form;
    throw new BadRequest('each part of a stream must be an image', 415, 'UnknownContentType');
  }

  get gone(): boolean {
    return this.#res.closed;
  }

  async read(_limit: number, budget: BodyBudget, tenant: string, promised: boolean): Promise<Body> {
    const { body } = this.#part;
    this.#taken();
    if (!budget.take(tenant, promised, body.length)) throw new NoMemory();
    await Promise.resolve();
    return { chunks: [body], bytes: body.length, giveBack: () => budget.give(tenant, promised, body.length) };
  }

  discard(): void {
    // Its bytes are here, and go with it.
  }

  request(_body: readonly Buffer[], _expected: readonly ExpectedInput[]): FrameRequest {
    throw new BadRequest('each part of a stream must be an image', 415, 'UnknownContentType');
  }

  async answer(
    answer: Answer,
    { terms }: ServedTenant,
    wanted: WantedOutputs,
    promised: boolean,
    turn: (bytes: number) => Promise<void> | undefined,
  ): Promise<number> {
    try {
      if (this.gone) throw new ClientGone();
      const limits = {
        jsonBytes: LARGEST_JSON_BYTES,
        turn: async (more: number): Promise<void> => (await turn(more)) ?? setImmediate(),
      };
      const parameters = (): ReturnType<typeof parametersOf> => parametersOf(answer, terms, promised);
      const { json } = await writeResponse(this.#model, answer.outputs, answer, wanted, parameters, limits);
      this.json = json;
      return answer.outputs.reduce((sum, { data }) => sum + data.byteLength, 0) / answer.batch;
    } finally {
      answer.release();
    }
  }
}

/** What a refused frame's line says. */
function lineOf(error: unknown): Buffer {
  const told = toldOf(error);
  return told === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(bodyOf(told)));
}

/**
 * Serves a camera's MJPEG stream (`multipart/x-mixed-replace`) as one request: each part is a frame, and the answers come in their
 * order, a line of JSON each, or as server-sent events where those are asked for (`Accept: text/event-stream`).
 *
 * @param hold told what is held of parts that are not complete, or wait for their turn; throws where there is no memory for it
 * @throws BadRequest when it is no such stream
 */
export async function serveStream(
  req: Request,
  res: Response,
  model: string,
  take: (frame: Incoming) => Promise<void>,
  hold: (bytes: number) => void,
): Promise<void> {
  const splitter = new PartSplitter(boundaryOf(req.headers['content-type'] ?? ''), LARGEST_IMAGE_BYTES);
  const events = (req.headers.accept ?? '').includes('text/event-stream');
  const sequence = req.query['sequence_id'];
  const stream = typeof sequence === 'string' ? `sequence ${sequence.slice(0, 128)}` : connectionOf(req.socket);
  goOn(req);
  res.writeHead(200, {
    'Content-Type': events ? 'text/event-stream' : 'application/x-ndjson',
    'Cache-Control': 'no-store',
  });
  res.flushHeaders();
  const write = async (line: Buffer): Promise<void> => {
    if (res.closed || line.length === 0) return;
    const text = Buffer.concat(events ? [Buffer.from('data: '), line, Buffer.from('\n\n')] : [line, Buffer.from('\n')]);
    if (!res.write(text)) await drained(res, 'close');
  };
  const answers = new InOrder(req, write);
  let [pendingBytes, waitingBytes] = [0, 0];
  const holdLess = (): void => {
    try {
      hold(pendingBytes + waitingBytes);
    } catch {
      // There is none even for less: the next bytes are told so.
    }
  };
  const serve = (part: Part): void => {
    let bytes = part.body.length;
    waitingBytes += bytes;
    const taken = (): void => {
      waitingBytes -= bytes;
      bytes = 0;
      holdLess();
    };
    const frame = new PartFrame(part, model, res, stream, traceOf(req), taken);
    answers.add(
      take(frame)
        .finally(taken)
        .then(() => frame.json, lineOf),
    );
  };
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    const end = (error: unknown): void => {
      discard(req);
      answers.add(Promise.resolve(lineOf(error)));
      cutOffSender(res);
      resolve();
    };
    const tooSlow = (): void => {
      // What is not read for want of answers is not the sender's fault.
      if (req.isPaused()) timer = setTimeout(tooSlow, LONGEST_BODY_MS);
      else end(new BadRequest(`a part was not here within ${LONGEST_BODY_MS / 1000}s`, 408, 'RequestTimeout'));
    };
    req.on('data', (chunk: Buffer) => {
      try {
        const parts = splitter.push(chunk);
        pendingBytes = splitter.pendingBytes > NO_IMAGE_BYTES ? splitter.pendingBytes : 0;
        if (parts.length > 0 || pendingBytes === 0) timer = void clearTimeout(timer);
        if (pendingBytes > 0) timer ??= setTimeout(tooSlow, LONGEST_BODY_MS);
        for (const part of parts) serve(part);
        hold(pendingBytes + waitingBytes);
      } catch (error) {
        end(error);
      }
    });
    req.on('end', resolve);
    req.on('close', resolve);
  });
  clearTimeout(timer);
  pendingBytes = 0;
  holdLess();
  await answers.done();
  res.end();
}
