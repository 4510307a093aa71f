import type { ExpectedInput } from '../../frames.js';
import type { Answer } from '../../serving/flights.js';
import type { ServedTenant } from '../../serving/tenant.js';
import { parametersOf } from '../answer.js';
import type { Body, BodyBudget } from '../body.js';
import { ClientGone, NoMemory, tooLarge } from '../body.js';
import type { FrameRequest, WantedOutputs } from '../protocol/request.js';
import { readHead } from '../protocol/request.js';
import { answered } from '../protocol/response.js';
import type { Incoming } from '../incoming.js';
import type { TraceHeaders } from '../tracing.js';
import type { InferRequest, InferResponse } from './messages.js';
import { asJson, inferParameters, tensorBytes, tensorOf } from './messages.js';

/** What is known of a call beside its message. */
export interface Call {
  /** Which stream its frames belong to, where they do not say. */
  readonly stream: string;
  readonly trace: TraceHeaders;
  readonly cancelled: () => boolean;
}

/** A frame as one message of gRPC. Its bytes are there already; what is refused by its head is refused before they are looked at. */
export class GrpcFrame implements Incoming {
  readonly form = 'Tensor';
  readonly measured = true;
  readonly wanted: WantedOutputs = { binaryByDefault: true };
  readonly announcedBytes: number;
  readonly #request: InferRequest;
  readonly #call: Call;
  #response: InferResponse | undefined;

  constructor(request: InferRequest, call: Call) {
    this.#request = request;
    this.#call = call;
    this.announcedBytes = tensorBytes(request);
  }

  get stream(): string {
    return this.#call.stream;
  }

  get trace(): TraceHeaders {
    return this.#call.trace;
  }

  get gone(): boolean {
    return this.#call.cancelled();
  }

  /** The answer, once the frame was taken. */
  get response(): InferResponse {
    return this.#response!;
  }

  async read(limit: number, budget: BodyBudget, tenant: string, promised: boolean): Promise<Body> {
    const bytes = this.announcedBytes;
    if (bytes > limit) throw tooLarge(limit);
    if (!budget.take(tenant, promised, bytes)) throw new NoMemory();
    await Promise.resolve();
    return { chunks: [], bytes, giveBack: () => budget.give(tenant, promised, bytes) };
  }

  discard(): void {
    // The message is here, and goes with the call.
  }

  request(_body: readonly Buffer[], expected: readonly ExpectedInput[]): FrameRequest {
    const { wanted, places } = readHead(asJson(this.#request), expected);
    return { wanted, tensor: expected.map((input, i) => tensorOf(this.#request, places[i]!, input)) };
  }

  async answer(answer: Answer, { terms }: ServedTenant, wanted: WantedOutputs, promised: boolean): Promise<number> {
    try {
      if (this.gone) throw new ClientGone();
      const outputs = answered(answer.outputs, answer, wanted);
      await Promise.resolve();
      this.#response = {
        model_name: this.#request.model_name,
        model_version: '1',
        id: wanted.id ?? '',
        parameters: inferParameters(parametersOf(answer, terms, promised)),
        outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
        // Copies: the batch's memory is given back.
        raw_output_contents: outputs.map(({ bytes }) => Buffer.from(bytes())),
      };
      return answer.outputs.reduce((sum, { data }) => sum + data.byteLength, 0) / answer.batch;
    } finally {
      answer.release();
    }
  }
}
