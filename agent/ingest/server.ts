import { readFileSync } from 'node:fs';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { nowUs } from '../../kube/clock.js';
import type { Readers } from '../../kube/readers.js';
import type { FileCredentials } from '../../kube/tls.js';
import { webServer } from '../../kube/tls.js';
import { FrameFailure } from '../serving/flights.js';
import { refuseFrame } from './answer.js';
import { AdminServer, adminRoutes } from './admin.js';
import type { May, ServedNode } from './catalogue.js';
import { Catalogue } from './catalogue.js';
import type { Serving } from './passage.js';
import { FrameDoor } from './frame.js';
import type { GrpcBackend, GrpcServer } from './grpc/server.js';
import { Connections } from './connections.js';
import { HttpFrame } from './http-frame.js';
import type { Incoming } from './incoming.js';
import { answerOddRequests, limitBodyTime } from './odd-requests.js';
import { isStream } from './form.js';
import { pendingOf } from './mjpeg/pending.js';
import { serveStream } from './mjpeg/stream.js';
import type { Route } from './routes.js';
import { routed } from './routes.js';
import type { FrameTracer } from './tracing.js';
import type { Claim } from './who/claim.js';
import { claimOf } from './who/claim.js';
import type { GuardOptions, Visitor } from './who/guard.js';
import { Denied, Guard } from './who/guard.js';
import { Hosts } from './who/hosts.js';

const MOST_CONNECTIONS = 4096;
/** Descriptors that devices, decoders, models and files need, whatever connections there are. */
const OTHER_DESCRIPTORS = 200;
const HEAD_TIMEOUT_MS = 15_000;

export interface IngestOptions {
  /** Serve HTTPS with them; HTTP where absent. */
  readonly credentials?: FileCredentials | undefined;
  /** Who may send; anybody where absent. */
  readonly senders?: GuardOptions | undefined;
  /** Names that this agent has, besides addresses. */
  readonly hostNames?: readonly string[] | undefined;
  /** Told of every frame. */
  readonly tracer?: FrameTracer | undefined;
  /** Who may read metrics, late frames and the live page; whoever reaches the port where absent. */
  readonly readers?: Readers | undefined;
}

/** The tenants' door: Open Inference Protocol v2, health and metrics. */
export class IngestServer implements GrpcBackend {
  readonly #node: ServedNode;
  readonly guard: Guard;
  readonly #hosts: Hosts;
  #admin: AdminServer | undefined;
  readonly #server: Server;
  readonly #credentials: FileCredentials | undefined;
  readonly #readers: Readers | undefined;
  readonly #door: FrameDoor;
  readonly #tracer: FrameTracer | undefined;
  readonly catalogue: Catalogue;
  readonly connections: Connections;
  #grpc: GrpcServer | undefined;
  #state: 'starting' | 'open' | 'stopping' = 'starting';

  constructor(
    node: ServedNode,
    { credentials, senders = { mode: 'Anyone' }, hostNames = [], tracer, readers }: IngestOptions = {},
  ) {
    this.#node = node;
    this.guard = new Guard(senders, node.metrics);
    this.#hosts = new Hosts([...hostNames, ...(credentials?.names ?? [])]);
    this.#door = new FrameDoor(node, tracer);
    this.#tracer = tracer;
    this.catalogue = new Catalogue(node);
    this.#credentials = credentials;
    this.#readers = readers;
    // A camera's stream never ends: how long any other body may take is for limitBodyTime to see to.
    const options = {
      requestTimeout: 0,
      headersTimeout: HEAD_TIMEOUT_MS,
      keepAliveTimeout: 60_000,
      // Said in our own words.
      requireHostHeader: false,
    };
    const routes = this.#app();
    const app: RequestListener = (req, res) => {
      if (!(req.method === 'POST' && isStream(req))) limitBodyTime(req, res);
      routes(req, res);
    };
    this.#server = webServer(options, credentials, app);
    answerOddRequests(this.#server, app);
    const most = Math.max(1, Math.min(MOST_CONNECTIONS, mostDescriptors() - OTHER_DESCRIPTORS));
    this.connections = new Connections(this.#server, most, node.metrics);
  }

  /** @returns the URL and the address that is listened on */
  async listen(host: string, port: number): Promise<{ readonly url: string; readonly address: AddressInfo }> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    const address = this.#server.address() as AddressInfo;
    const scheme = this.#credentials === undefined ? 'http' : 'https';
    return { url: `${scheme}://${addressText({ host: address.address, port: address.port })}`, address };
  }

  /** Serves gRPC, too. @returns the port that is listened on */
  async listenGrpc(host: string, port: number): Promise<number> {
    // Its libraries take a while to load, and most commands need none of them.
    const grpc = await import('./grpc/server.js');
    this.#grpc = new grpc.GrpcServer(this);
    return this.#grpc.listen(host, port, this.#credentials);
  }

  /** Serves health and metrics on a port of their own, and metrics nowhere else. @returns the port that is listened on */
  async listenAdmin(host: string, port: number): Promise<number> {
    const routes = adminRoutes(this, this.#node, this.#readers);
    this.#admin = new AdminServer(routes, this.#credentials, (req) => this.#hosts.check(req));
    return this.#admin.listen(host, port);
  }

  /** All that was promised is served from now on: who is still unknown is so for good. */
  open(): void {
    this.#state = 'open';
  }

  /** Takes no new frames, waits until those accepted are answered (at most `graceMs`), and closes. */
  async drain(graceMs = 5000): Promise<void> {
    this.#state = 'stopping';
    this.#credentials?.stop();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const untilUs = nowUs() + 1000 * graceMs; this.#node.inFlight > 0 && nowUs() < untilUs;)
      await new Promise((resolve) => setTimeout(resolve, 20));
    this.#grpc?.stop();
    this.#server.closeIdleConnections();
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.#server.closeAllConnections();
    await closed;
    await this.#admin?.close();
    this.#door.stop();
    await this.#tracer?.stop();
  }

  #app(): RequestListener {
    const model = (what = ''): string[] => [`/v2/models/:model${what}`, `/v2/models/:model/versions/:version${what}`];
    const told =
      (what: () => object): RequestHandler =>
      (_req, res) =>
        void res.json(what());
    const { catalogue } = this;
    const routes: Route[] = [
      { paths: model('/infer'), on: { POST: (req, res) => this.#infer(req as Request<{ model: string }>, res) } },
      { paths: ['/v2'], on: { GET: told(() => catalogue.server) } },
      { paths: ['/v2/models/stats'], on: { GET: this.#listed((may) => catalogue.statistics('', '', may)) } },
      { paths: ['/v2/repository/index'], on: { POST: this.#listed((may) => catalogue.index(may)) } },
      {
        paths: model('/ready'),
        on: { GET: this.#named((name, version, res) => this.#modelReady(name, version, res)) },
      },
      { paths: model('/config'), on: { GET: this.#named((name, version) => catalogue.configuration(name, version)) } },
      { paths: model('/stats'), on: { GET: this.#named((name, version) => catalogue.statistics(name, version)) } },
      { paths: model(), on: { GET: this.#named((name, version) => catalogue.metadata(name, version)) } },
      // Where senders have to show who they are, strangers do not hear of tenants by the same port either.
      ...adminRoutes(this, this.#node, this.#readers, () => this.#admin === undefined && !this.guard.enforces),
    ];
    return routed(routes, (req) => this.#hosts.check(req));
  }

  /** Answers who may ask about a model. */
  #named(what: (name: string, version: string, res: Response) => object): RequestHandler {
    return async (req, res) => {
      const [name, version] = [parameter(req, 'model'), parameter(req, 'version')];
      await this.visit(claimOf(req), name);
      res.json(what(name, version, res));
    };
  }

  /** Tells of those models that the asker may ask about. */
  #listed(what: (may: May) => object): RequestHandler {
    return async (req, res) => void res.json(what(await this.mayAsk(claimOf(req))));
  }

  /** Which models somebody may ask about. @throws Denied where nobody knows who it is */
  async mayAsk(claim: Claim): Promise<May> {
    const visitor = await this.guard.visitor(claim);
    if (visitor.sender instanceof Denied && this.guard.enforces) throw visitor.sender;
    return (name) => this.guard.may(visitor, this.catalogue.terms(name));
  }

  /** @throws Denied when somebody may not ask about a model */
  async visit(claim: Claim, name: string): Promise<void> {
    this.guard.check(await this.guard.visitor(claim), name, this.catalogue.terms(name));
  }

  /** Whether frames may come. */
  get ready(): boolean {
    return this.#node.ready && this.#state === 'open';
  }

  #modelReady(name: string, version: string, res: Response): object {
    const ready = this.catalogue.ready(name, version);
    res.status(ready ? 200 : 404);
    return { name, ready };
  }

  async #infer(req: Request<{ model: string }>, res: Response): Promise<void> {
    const [name, version] = [parameter(req, 'model'), parameter(req, 'version')];
    try {
      const claim = claimOf(req);
      const visitor = await this.guard.visitor(claim);
      if (isStream(req) && this.ready && this.guard.may(visitor, this.catalogue.terms(name))) {
        const [serving] = this.catalogue.serving(name, version);
        // A token may expire while its stream goes on.
        const take = async (frame: Incoming): Promise<void> =>
          this.take(name, version, frame, await this.guard.visitor(claim));
        await serveStream(req, res, name, take, pendingOf(this.#door.bodies, serving!.tenant));
      } else await this.take(name, version, new HttpFrame(req, res), visitor);
    } catch (error) {
      refuseFrame(res, error);
    }
  }

  /** Serves a frame, however it came. @throws what is to be answered instead */
  async take(name: string, version: string, frame: Incoming, visitor: Visitor): Promise<void> {
    let servings: readonly Serving[] | undefined;
    let refusal: unknown;
    try {
      servings = this.#servings(name, version, visitor);
    } catch (error) {
      refusal = error;
    }
    if (servings !== undefined && this.#state !== 'stopping') return this.#door.take(servings, frame);
    if (refusal instanceof Denied) {
      // Not a byte of a stranger's body is read.
      await this.#door.turnAway(visitor.claim.address, { announcedBytes: 0, discard: () => undefined });
      throw refusal;
    }
    await this.#door.turnAway('', frame);
    if (this.#state !== 'open') throw new FrameFailure('AgentNotReady', `the agent is ${this.#state}`);
    throw refusal;
  }

  /** Where a sender's frames go. Until all is there that was promised, nobody is told that they may not. @throws Denied, BadRequest */
  #servings(name: string, version: string, visitor: Visitor): readonly Serving[] {
    const terms = this.catalogue.terms(name);
    if (terms !== undefined || this.#state === 'open' || visitor.sender instanceof Denied)
      this.guard.check(visitor, name, terms);
    return this.catalogue.serving(name, version);
  }
}

/** How many files and connections this process may have open. */
function mostDescriptors(): number {
  try {
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

/** An address and port as they stand in a URL. */
export const addressText = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

const parameter = (req: Request, name: string): string => String(req.params[name] ?? '');
