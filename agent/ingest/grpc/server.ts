import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
  handleUnaryCall,
} from '@grpc/grpc-js';
import { Server, ServerCredentials, loadPackageDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import type { Catalogue } from '../catalogue.js';
import type { Incoming } from '../incoming.js';
import type { Credentials } from '../tls.js';
import type { Call } from './frame.js';
import { GrpcFrame } from './frame.js';
import type { InferRequest, InferResponse } from './messages.js';
import { SCHEMA } from './schema.js';
import { refusalOf } from './status.js';
import { answerInOrder } from './stream.js';

/** A frame of the largest input that is likely, and its head; each message is held in memory as a whole. */
const LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024;
const MOST_STREAMS_A_CONNECTION = 64;

const LOADED = loadPackageDefinition(
  fromJSON(SCHEMA as Parameters<typeof fromJSON>[0], { keepCase: true, longs: String, defaults: true, oneofs: true }),
) as unknown as { inference: { GRPCInferenceService: { service: ServiceDefinition } } };

/** What the protocol is served by. */
export interface GrpcBackend {
  readonly catalogue: Catalogue;
  readonly ready: boolean;
  take(name: string, version: string, frame: Incoming): Promise<void>;
}

interface Named {
  readonly name: string;
  readonly version: string;
}

/** `inference.GRPCInferenceService` on a port of its own. */
export class GrpcServer {
  readonly #server = new Server({
    'grpc.max_receive_message_length': LARGEST_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': MOST_STREAMS_A_CONNECTION,
  });
  readonly #backend: GrpcBackend;

  constructor(backend: GrpcBackend) {
    this.#backend = backend;
    this.#server.addService(LOADED.inference.GRPCInferenceService.service, this.#service());
  }

  /** @returns the port that is listened on */
  listen(address: string, credentials?: Credentials): Promise<number> {
    const secure =
      credentials === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(null, [{ cert_chain: credentials.cert, private_key: credentials.key }]);
    return new Promise((resolve, reject) =>
      this.#server.bindAsync(address, secure, (error, port) => (error === null ? resolve(port) : reject(error))),
    );
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #service(): UntypedServiceImplementation {
    const { catalogue } = this.#backend;
    const told =
      <R>(what: (request: R) => object): handleUnaryCall<R, object> =>
      (call, callback) => {
        try {
          callback(null, what(call.request));
        } catch (error) {
          callback(refusalOf(error));
        }
      };
    return {
      ServerLive: told(() => ({ live: true })),
      ServerReady: told(() => ({ ready: this.#backend.ready })),
      ServerMetadata: told(() => catalogue.server),
      ModelReady: told(({ name, version }: Named) => ({ ready: catalogue.ready(name, version) })),
      ModelMetadata: told(({ name, version }: Named) => catalogue.metadata(name, version)),
      ModelConfig: told(({ name, version }: Named) => ({ config: catalogue.configuration(name, version) })),
      ModelStatistics: told(({ name, version }: Named) => catalogue.statistics(name, version)),
      RepositoryIndex: told(({ ready }: { ready: boolean }) => ({
        models: catalogue.index().filter(({ state }) => !ready || state === 'READY'),
      })),
      ModelInfer: (
        call: ServerUnaryCall<InferRequest, InferResponse>,
        callback: (error: object | null, response?: object) => void,
      ) => {
        this.#infer(call.request, callOf(call)).then(
          (response) => callback(null, response),
          (error: unknown) => callback(refusalOf(error)),
        );
      },
      ModelStreamInfer: (call: ServerDuplexStream<InferRequest, object>) => {
        const stream = callOf(call);
        answerInOrder(call, async (request) => {
          try {
            return { infer_response: await this.#infer(request, stream) };
          } catch (error) {
            return { error_message: refusalOf(error).details, infer_response: { id: request.id } };
          }
        });
      },
    };
  }

  async #infer(request: InferRequest, call: Call): Promise<InferResponse> {
    const frame = new GrpcFrame(request, call);
    await this.#backend.take(request.model_name, request.model_version, frame);
    return frame.response;
  }
}

let lastCall = 0;

/** A stream of frames is the stream that they belong to; frames of single calls are told apart by who sends them. */
function callOf(call: ServerUnaryCall<InferRequest, InferResponse> | ServerDuplexStream<InferRequest, object>): Call {
  return {
    stream: 'write' in call ? `call ${++lastCall}` : `peer ${call.getPeer()}`,
    cancelled: () => call.cancelled,
  };
}
