import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { nowUs } from '../../kube/clock.js';
import { FrameFailure } from '../serving/flights.js';
import { refuseFrame } from './answer.js';
import type { ServedNode } from './catalogue.js';
import { Catalogue } from './catalogue.js';
import type { Serving } from './frame.js';
import { FrameDoor } from './frame.js';
import type { GrpcBackend } from './grpc/server.js';
import { GrpcServer } from './grpc/server.js';
import { HttpFrame } from './http-frame.js';
import type { Incoming } from './incoming.js';
import { answerOddRequests, limitBodyTime } from './odd-requests.js';
import { isStream, serveStream } from './mjpeg/stream.js';
import { routed } from './routes.js';
import type { FileCredentials } from './tls.js';

const MOST_CONNECTIONS = 4096;
/** Descriptors that devices, decoders, models and files need, whatever connections there are. */
const OTHER_DESCRIPTORS = 200;
const HEAD_TIMEOUT_MS = 15_000;

const TLS = { minVersion: 'TLSv1.2' } as const;

/** The tenants' door: Open Inference Protocol v2, health and metrics. */
export class IngestServer implements GrpcBackend {
  readonly #node: ServedNode;
  readonly #server: ReturnType<typeof createServer> | ReturnType<typeof createSecureServer>;
  readonly #credentials: FileCredentials | undefined;
  readonly #door: FrameDoor;
  readonly catalogue: Catalogue;
  #grpc: GrpcServer | undefined;
  #state: 'starting' | 'open' | 'stopping' = 'starting';

  /** @param credentials serve HTTPS with them; HTTP where absent */
  constructor(node: ServedNode, credentials?: FileCredentials) {
    this.#node = node;
    this.#door = new FrameDoor(node);
    this.catalogue = new Catalogue(node);
    this.#credentials = credentials;
    // A camera's stream never ends: how long any other body may take is for limitBodyTime to see to.
    const options = { requestTimeout: 0, headersTimeout: HEAD_TIMEOUT_MS, keepAliveTimeout: 60_000 };
    const routes = this.#app();
    const app: RequestListener = (req, res) => {
      if (!(req.method === 'POST' && isStream(req))) limitBodyTime(req, res);
      routes(req, res);
    };
    if (credentials === undefined) this.#server = createServer(options, app);
    else {
      const server = createSecureServer({ ...options, ...TLS, ...credentials.current }, app);
      credentials.follow((renewed) => server.setSecureContext({ ...TLS, ...renewed }));
      this.#server = server;
    }
    answerOddRequests(this.#server, app);
    this.#server.maxConnections = Math.max(1, Math.min(MOST_CONNECTIONS, mostDescriptors() - OTHER_DESCRIPTORS));
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
    this.#grpc = new GrpcServer(this);
    return this.#grpc.listen(addressText({ host, port }), this.#credentials?.current);
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
    this.#door.stop();
  }

  #app(): RequestListener {
    const model = (what = ''): string[] => [`/v2/models/:model${what}`, `/v2/models/:model/versions/:version${what}`];
    const told =
      (what: (name: string, version: string) => object): RequestHandler =>
      (req, res) =>
        void res.json(what(parameter(req, 'model'), parameter(req, 'version')));
    const { catalogue } = this;
    return routed([
      { paths: model('/infer'), on: { POST: (req, res) => this.#infer(req as Request<{ model: string }>, res) } },
      { paths: ['/v2'], on: { GET: told(() => catalogue.server) } },
      { paths: ['/v2/health/live', '/healthz'], on: { GET: told(() => ({ live: true })) } },
      { paths: ['/v2/health/ready', '/readyz'], on: { GET: (_req, res) => this.#ready(res) } },
      { paths: ['/v2/models/stats'], on: { GET: told(() => catalogue.statistics()) } },
      { paths: ['/v2/repository/index'], on: { POST: told(() => catalogue.index()) } },
      { paths: model('/ready'), on: { GET: (req, res) => this.#modelReady(req, res) } },
      { paths: model('/config'), on: { GET: told((name, version) => catalogue.configuration(name, version)) } },
      { paths: model('/stats'), on: { GET: told((name, version) => catalogue.statistics(name, version)) } },
      { paths: model(), on: { GET: told((name, version) => catalogue.metadata(name, version)) } },
      { paths: ['/metrics'], on: { GET: (_req, res) => this.#metrics(res) } },
    ]);
  }

  /** Whether frames may come. */
  get ready(): boolean {
    return this.#node.ready && this.#state === 'open';
  }

  #ready(res: Response): void {
    res.status(this.ready ? 200 : 503).json({ ready: this.ready });
  }

  #modelReady(req: Request, res: Response): void {
    const name = parameter(req, 'model');
    const ready = this.catalogue.ready(name, parameter(req, 'version'));
    res.status(ready ? 200 : 404).json({ name, ready });
  }

  async #metrics(res: Response): Promise<void> {
    const { registry } = this.#node.metrics;
    res.type(registry.contentType).send(await registry.metrics());
  }

  async #infer(req: Request<{ model: string }>, res: Response): Promise<void> {
    const [name, version] = [parameter(req, 'model'), parameter(req, 'version')];
    try {
      if (isStream(req) && this.ready) {
        this.catalogue.serving(name, version);
        await serveStream(req, res, name, (part) => this.take(name, version, part));
      } else await this.take(name, version, new HttpFrame(req, res));
    } catch (error) {
      refuseFrame(res, error);
    }
  }

  /** Serves a frame, however it came. @throws what is to be answered instead */
  async take(name: string, version: string, frame: Incoming): Promise<void> {
    let servings: readonly Serving[] | undefined;
    let unknown: unknown;
    try {
      servings = this.catalogue.serving(name, version);
    } catch (error) {
      unknown = error;
    }
    if (servings !== undefined && this.#state !== 'stopping') return this.#door.take(servings, frame);
    await this.#door.turnAway('', frame);
    if (this.#state !== 'open') throw new FrameFailure('AgentNotReady', `the agent is ${this.#state}`);
    throw unknown;
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
