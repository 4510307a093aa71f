import type { AddressInfo, Server as NetServer } from 'node:net';
import { createServer } from 'node:net';
import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
  handleUnaryCall,
} from '@grpc/grpc-js';
import { Server, ServerCredentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { fromJSON } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import type { Catalogue, May } from '../catalogue.js';
import type { Incoming } from '../incoming.js';
import type { Credentials, FileCredentials } from '../../../kube/tls.js';
import type { Claim } from '../who/claim.js';
import { isLoopback } from '../who/claim.js';
import type { Guard, Visitor } from '../who/guard.js';
import { Denied } from '../who/guard.js';
import { BODIES_BYTES } from '../body.js';
import type { Connections } from '../connections.js';
import type { Call } from './frame.js';
import { GrpcFrame } from './frame.js';
import { intake } from './intake.js';
import type { InferRequest, InferResponse } from './messages.js';
import { REFLECTED, SCHEMA } from './schema.js';
import { refusalOf } from './status.js';
import { answerInOrder } from './stream.js';

/** A frame of the largest input that is likely, and its head; each message is held in memory as a whole. */
const LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024;
const MOST_STREAMS_A_CONNECTION = 64;

const loaded = (schema: object): PackageDefinition =>
  fromJSON(schema, { keepCase: true, longs: String, defaults: true, oneofs: true });
const LOADED = loadPackageDefinition(loaded(SCHEMA)) as unknown as {
  inference: { GRPCInferenceService: { service: ServiceDefinition } };
};

/** What a caller is told where that which should be told cannot be. */
const UNSAID = { code: status.INTERNAL, details: 'the answer could not be written [InternalError]' };

/** What the protocol is served by. */
export interface GrpcBackend {
  readonly catalogue: Catalogue;
  readonly ready: boolean;
  readonly guard: Guard;
  readonly connections: Connections;
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

/** `inference.GRPCInferenceService` on a port of its own, and what it is (server reflection): the protocol, nothing of tenants. */
export class GrpcServer {
  readonly #server: Server;
  readonly #backend: GrpcBackend;
  #listener: NetServer | undefined;
  #secure = false;

  constructor(backend: GrpcBackend) {
    this.#backend = backend;
    const rules = {
      messageBytes: LARGEST_MESSAGE_BYTES,
      heldBytes: BODIES_BYTES,
      // Where nobody is refused, whoever would be is counted once, with the frame.
      admit: ({ peer, authorization }: { peer: string; authorization: string | undefined }) =>
        backend.guard.enforces ? this.#admit(this.#claim(peer, authorization)) : undefined,
      use: (peer: string) => backend.connections.use(partsOf(peer)),
    };
    this.#server = new Server({
      'grpc.max_receive_message_length': LARGEST_MESSAGE_BYTES,
      'grpc.max_concurrent_streams': MOST_STREAMS_A_CONNECTION,
      interceptors: [intake(rules)],
    });
    this.#server.addService(LOADED.inference.GRPCInferenceService.service, this.#service());
    new ReflectionService(loaded(REFLECTED)).addToServer(this.#server);
  }

  /** Connections count into the budget of all. @returns the port that is listened on */
  listen(host: string, port: number, credentials?: FileCredentials): Promise<number> {
    this.#secure = credentials !== undefined;
    let injector = this.#server.createConnectionInjector(securedBy(credentials?.current));
    // Connections that there are keep the certificate that they began with.
    credentials?.follow((renewed) => {
      injector = this.#server.createConnectionInjector(securedBy(renewed));
    });
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      injector.injectConnection(socket),
    );
    this.#listener = listener;
    this.#backend.connections.share(listener);
    return new Promise((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(port, host, () => resolve((listener.address() as AddressInfo).port));
    });
  }

  stop(): void {
    this.#listener?.close();
    this.#server.forceShutdown();
  }

  #service(): UntypedServiceImplementation {
    const { catalogue } = this.#backend;
    const told =
      <R>(what: (request: R, call: AnyCall) => object | Promise<object>): handleUnaryCall<R, object> =>
      (call, callback) => {
        (async () => what(call.request, call))()
          .then(
            (answer) => callback(null, answer),
            (error: unknown) => callback(refusalOf(error)),
          )
          .catch(() => callback(UNSAID));
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
          )
          .catch(() => callback(UNSAID));
      },
      ModelStreamInfer: (call: ServerDuplexStream<InferRequest, object>) => {
        const stream = callOf(call);
        answerInOrder(call, async (request) => {
          try {
            // A token may expire while its stream goes on.
            return { infer_response: await this.#infer(request, stream, await this.#visitor(call)) };
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
    return this.#claim(call.getPeer(), headerOf(call, 'authorization'));
  }

  async #admit(claim: Claim): Promise<void> {
    const visitor = await this.#backend.guard.visitor(claim);
    if (visitor.sender instanceof Denied) this.#backend.guard.check(visitor, '', undefined);
  }

  #claim(peer: string, authorization: string | undefined): Claim {
    const address = partsOf(peer).remoteAddress;
    return { address, authorization, secure: this.#secure || isLoopback(address), certificate: undefined };
  }

  async #infer(request: InferRequest, call: Call, visitor: Visitor): Promise<InferResponse> {
    const frame = new GrpcFrame(request, call);
    await this.#backend.take(request.model_name, request.model_version, frame, visitor);
    return frame.response;
  }
}

const securedBy = (credentials: Credentials | undefined): ServerCredentials =>
  credentials === undefined
    ? ServerCredentials.createInsecure()
    : ServerCredentials.createSsl(null, [{ cert_chain: credentials.cert, private_key: credentials.key }]);

/** A peer's address and port, as sockets have them. */
function partsOf(peer: string): { readonly remoteAddress: string; readonly remotePort: number } {
  const [, address = peer, port = '0'] = /^(?:ipv[46]:)?\[?([^\]]*?)\]?:(\d+)$/.exec(peer) ?? [];
  return { remoteAddress: address, remotePort: Number(port) };
}

function headerOf({ metadata }: AnyCall, name: string): string | undefined {
  const [value] = metadata.get(name);
  return value?.toString();
}

let lastCall = 0;

/** A stream of frames is the stream that they belong to; frames of single calls are told apart by who sends them. */
function callOf(call: ServerUnaryCall<InferRequest, InferResponse> | ServerDuplexStream<InferRequest, object>): Call {
  return {
    stream: 'write' in call ? `call ${++lastCall}` : `peer ${call.getPeer()}`,
    trace: { traceparent: headerOf(call, 'traceparent'), tracestate: headerOf(call, 'tracestate') },
    cancelled: () => call.cancelled,
  };
}
