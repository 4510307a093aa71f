import type { Request, Response } from 'express';
import type { ExpectedInput } from '../frames.js';
import type { Answer } from '../serving/flights.js';
import type { ServedTenant } from '../serving/tenant.js';
import { respond } from './answer.js';
import type { Body, BodyBudget } from './body.js';
import { discard, readBody } from './body.js';
import { isCompressed } from './content-encoding.js';
import type { Form } from './form.js';
import { formOf } from './form.js';
import type { Incoming } from './incoming.js';
import type { FrameRequest, WantedOutputs } from './protocol/request.js';
import type { TraceHeaders } from './tracing.js';
import { readRequest } from './protocol/request.js';

/** Numbers connections, the streams of senders that name none. */
const connections = new WeakMap<object, number>();
let lastConnection = 0;

export function connectionOf(socket: object): string {
  const connection = connections.get(socket) ?? ++lastConnection;
  connections.set(socket, connection);
  return `connection ${connection}`;
}

export const traceOf = ({ headers }: Pick<Request, 'headers'>): TraceHeaders => ({
  traceparent: headers['traceparent'] as string | undefined,
  tracestate: headers['tracestate'] as string | undefined,
});

/** A frame as one HTTP request. */
export class HttpFrame implements Incoming {
  readonly announcedBytes: number;
  readonly measured: boolean;
  readonly #req: Request<{ model: string }>;
  readonly #res: Response;

  constructor(req: Request<{ model: string }>, res: Response) {
    this.#req = req;
    this.#res = res;
    this.announcedBytes = Number(req.headers['content-length'] ?? 0);
    this.measured = !isCompressed(req);
  }

  get form(): Form {
    return formOf(this.#req);
  }

  get stream(): string {
    const named = this.#req.query['sequence_id'];
    return typeof named === 'string' ? `sequence ${named.slice(0, 128)}` : connectionOf(this.#req.socket);
  }

  get wanted(): WantedOutputs {
    return { binaryByDefault: (this.#req.headers.accept ?? '').includes('application/octet-stream') };
  }

  get trace(): TraceHeaders {
    return traceOf(this.#req);
  }

  get gone(): boolean {
    return this.#res.closed;
  }

  read(limit: number, budget: BodyBudget, tenant: string, promised: boolean): Promise<Body> {
    return readBody(this.#req, limit, budget, tenant, promised);
  }

  discard(): void {
    discard(this.#req);
  }

  request(body: readonly Buffer[], expected: readonly ExpectedInput[]): FrameRequest {
    const header = this.#req.headers['inference-header-content-length'];
    const length = typeof header === 'string' && /^\d+$/.test(header) ? Number(header) : NaN;
    return readRequest(body, header === undefined ? undefined : length, expected);
  }

  answer(
    answer: Answer,
    tenant: ServedTenant,
    wanted: WantedOutputs,
    promised: boolean,
    turn: (bytes: number) => Promise<void> | undefined,
  ): Promise<number> {
    return respond(this.#req, this.#res, tenant, answer, wanted, promised, turn);
  }
}
