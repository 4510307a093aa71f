import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
  handleUnaryCall,
} from '@grpc/grpc-js';
import { Server, ServerCredentials, loadPackageDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import type { Catalogue, May } from '../catalogue.js';
import type { Incoming } from '../incoming.js';
import type { Credentials } from '../tls.js';
import type { Claim } from '../who/claim.js';
import { isLoopback } from '../who/claim.js';
import type { Guard, Visitor } from '../who/guard.js';
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
  readonly guard: Guard;
  take(name: string, version: string, frame: Incoming, visitor: Visitor): Promise<void>;
  /** @throws Denied */
  visit(claim: Claim, name: string): Promise<void>;
  /** @throws Denied */
  mayAsk(claim: Claim): Promise<May>;
}

/** What is known of whoever calls. */
type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'getPeer' | 'metadata'>;

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
  #secure = false;

  constructor(backend: GrpcBackend) {
    this.#backend = backend;
    this.#server.addService(LOADED.inference.GRPCInferenceService.service, this.#service());
  }

  /** @returns the port that is listened on */
  listen(address: string, credentials?: Credentials): Promise<number> {
    this.#secure = credentials !== undefined;
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
      <R>(what: (request: R, call: AnyCall) => object | Promise<object>): handleUnaryCall<R, object> =>
      (call, callback) => {
        (async () => what(call.request, call))().then(
          (answer) => callback(null, answer),
          (error: unknown) => callback(refusalOf(error)),
        );
      };
    /** Of one model, for those who may ask. */
    const named = (what: (request: Named) => object): handleUnaryCall<Named, object> =>
      told(async (request: Named, call) => {
        await this.#visit(call, request.name);
        return what(request);
      });
    return {
      ServerLive: told(() => ({ live: true })),
      ServerReady: told(() => ({ ready: this.#backend.ready })),
      ServerMetadata: told(() => catalogue.server),
      ModelReady: named(({ name, version }) => ({ ready: catalogue.ready(name, version) })),
      ModelMetadata: named(({ name, version }) => catalogue.metadata(name, version)),
      ModelConfig: named(({ name, version }) => ({ config: catalogue.configuration(name, version) })),
      ModelStatistics: told(async ({ name, version }: Named, call) => {
        if (name !== '') await this.#visit(call, name);
        return catalogue.statistics(name, version, await this.#mayAsk(call));
      }),
      RepositoryIndex: told(async ({ ready }: { ready: boolean }, call) => ({
        models: catalogue.index(await this.#mayAsk(call)).filter(({ state }) => !ready || state === 'READY'),
      })),
      ModelInfer: (
        call: ServerUnaryCall<InferRequest, InferResponse>,
        callback: (error: object | null, response?: object) => void,
      ) => {
        this.#visitor(call)
          .then((visitor) => this.#infer(call.request, callOf(call), visitor))
          .then(
            (response) => callback(null, response),
            (error: unknown) => callback(refusalOf(error)),
          );
      },
      ModelStreamInfer: (call: ServerDuplexStream<InferRequest, object>) => {
        const stream = callOf(call);
        const visitor = this.#visitor(call);
        answerInOrder(call, async (request) => {
          try {
            return { infer_response: await this.#infer(request, stream, await visitor) };
          } catch (error) {
            return { error_message: refusalOf(error).details, infer_response: { id: request.id } };
          }
        });
      },
    };
  }

  #visit(call: AnyCall, name: string): Promise<void> {
    return this.#backend.visit(this.#claimOf(call), name);
  }

  #mayAsk(call: AnyCall): Promise<May> {
    return this.#backend.mayAsk(this.#claimOf(call));
  }

  #visitor(call: AnyCall): Promise<Visitor> {
    return this.#backend.guard.visitor(this.#claimOf(call));
  }

  /** Client certificates are for HTTP: this library takes them from all clients or from none. */
  #claimOf(call: AnyCall): Claim {
    const address = call.getPeer().replace(/^(?:ipv[46]:)?\[?([^\]]*?)\]?:\d+$/, '$1');
    const [authorization] = call.metadata.get('authorization');
    return {
      address,
      authorization: authorization === undefined ? undefined : `${authorization as string}`,
      secure: this.#secure || isLoopback(address),
      certificate: undefined,
    };
  }

  async #infer(request: InferRequest, call: Call, visitor: Visitor): Promise<InferResponse> {
    const frame = new GrpcFrame(request, call);
    await this.#backend.take(request.model_name, request.model_version, frame, visitor);
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
