import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Request, Response } from 'express';
import { VERSION } from '../../api/version.js';
import { nowUs } from '../../kube/clock.js';
import { FrameFailure } from '../serving/flights.js';
import type { ServedTenant } from '../serving/tenant.js';
import type { AgentMetrics } from '../serving/metrics.js';
import { refuse } from './answer.js';
import type { FrameStages, Serving } from './frame.js';
import { FrameDoor } from './frame.js';
import { answerOddRequests } from './odd-requests.js';
import { BadRequest } from './protocol/bad-request.js';
import { configurationOf, metadataOf, statisticsOf } from './protocol/describe.js';
import { VERSION_OF_MODELS, routed } from './routes.js';
import type { FileCredentials } from './tls.js';

const MOST_CONNECTIONS = 4096;
/** Descriptors that devices, decoders, models and files need, whatever connections there are. */
const OTHER_DESCRIPTORS = 200;
const REQUEST_TIMEOUT_MS = 30_000;

const TLS = { minVersion: 'TLSv1.2' } as const;

/** Of the protocol, as Triton names them. */
const EXTENSIONS = [
  'binary_tensor_data',
  'classification',
  'sequence',
  'model_configuration',
  'parameters',
  'statistics',
];

/** A node's devices, as those see them who send frames. */
export interface ServedNode extends FrameStages {
  readonly metrics: AgentMetrics;
  readonly ready: boolean;
  readonly inFlight: number;
  /** Where the tenant's frames may go; on several devices when its streams are split. */
  serving(path: string): readonly Serving[];
  /** All that are served, as in paths. */
  names(): readonly string[];
}

/** The tenants' door: Open Inference Protocol v2, health and metrics. */
export class IngestServer {
  readonly #node: ServedNode;
  readonly #server: ReturnType<typeof createServer> | ReturnType<typeof createSecureServer>;
  readonly #credentials: FileCredentials | undefined;
  readonly #door: FrameDoor;
  #state: 'starting' | 'open' | 'stopping' = 'starting';

  /** @param credentials serve HTTPS with them; HTTP where absent */
  constructor(node: ServedNode, credentials?: FileCredentials) {
    this.#node = node;
    this.#door = new FrameDoor(node);
    this.#credentials = credentials;
    const options = { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: 60_000 };
    const app = this.#app();
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
    this.#server.closeIdleConnections();
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.#server.closeAllConnections();
    await closed;
    this.#door.stop();
  }

  #app(): RequestListener {
    const model = (what = ''): string[] => [`/v2/models/:model${what}`, `/v2/models/:model/versions/:version${what}`];
    return routed([
      { paths: model('/infer'), on: { POST: (req, res) => this.#infer(req as Request<{ model: string }>, res) } },
      {
        paths: ['/v2'],
        on: { GET: (_req, res) => void res.json({ name: 'deeprt', version: VERSION, extensions: EXTENSIONS }) },
      },
      { paths: ['/v2/health/live', '/healthz'], on: { GET: (_req, res) => void res.json({ live: true }) } },
      { paths: ['/v2/health/ready', '/readyz'], on: { GET: (_req, res) => this.#ready(res) } },
      { paths: ['/v2/models/stats'], on: { GET: (_req, res) => this.#statistics(res, this.#node.names()) } },
      { paths: ['/v2/repository/index'], on: { POST: (_req, res) => this.#index(res) } },
      { paths: model('/ready'), on: { GET: (req, res) => this.#modelReady(nameOf(req), res) } },
      { paths: model('/config'), on: { GET: (req, res) => this.#describe(nameOf(req), res, configurationOf) } },
      { paths: model('/stats'), on: { GET: (req, res) => this.#statistics(res, [nameOf(req)]) } },
      { paths: model(), on: { GET: (req, res) => this.#describe(nameOf(req), res, metadataOf) } },
      { paths: ['/metrics'], on: { GET: (_req, res) => this.#metrics(res) } },
    ]);
  }

  #ready(res: Response): void {
    const ready = this.#node.ready && this.#state === 'open';
    res.status(ready ? 200 : 503).json({ ready });
  }

  #modelReady(name: string, res: Response): void {
    const ready = this.#node.serving(name).some(({ service }) => service.ready);
    res.status(ready ? 200 : 404).json({ name, ready });
  }

  #describe(name: string, res: Response, describe: (name: string, tenant: ServedTenant) => object): void {
    const [serving] = this.#node.serving(name);
    if (serving === undefined) return refuse(res, 404, 'UnknownTenant', unknownTenant(name));
    res.json(describe(name, serving.tenant));
  }

  #statistics(res: Response, names: readonly string[]): void {
    const known = names.map((name) => ({ name, parts: this.#node.serving(name).map(({ tenant }) => tenant) }));
    const unknown = known.find(({ parts }) => parts.length === 0);
    if (unknown !== undefined) return refuse(res, 404, 'UnknownTenant', unknownTenant(unknown.name));
    res.json({ model_stats: known.map(({ name, parts }) => statisticsOf(name, parts)) });
  }

  #index(res: Response): void {
    const state = (name: string): string =>
      this.#node.serving(name).some(({ service }) => service.ready) ? 'READY' : 'UNAVAILABLE';
    res.json(this.#node.names().map((name) => ({ name, version: VERSION_OF_MODELS, state: state(name), reason: '' })));
  }

  async #metrics(res: Response): Promise<void> {
    const { registry } = this.#node.metrics;
    res.type(registry.contentType).send(await registry.metrics());
  }

  async #infer(req: Request<{ model: string }>, res: Response): Promise<void> {
    const servings = this.#node.serving(req.params.model);
    const [serving] = servings;
    if (serving === undefined || this.#state === 'stopping') {
      await this.#door.turnAway('', req, undefined);
      if (this.#state !== 'open') return refuse(res, 503, 'AgentNotReady', `the agent is ${this.#state}`);
      return refuse(res, 404, 'UnknownTenant', unknownTenant(req.params.model));
    }
    try {
      await this.#door.take(servings, req, res);
    } catch (error) {
      if (!(error instanceof BadRequest) && !(error instanceof FrameFailure)) throw error;
      if (error instanceof BadRequest)
        for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
      refuse(res, error instanceof BadRequest ? error.status : 503, error.code, error.message);
    }
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

function unknownTenant(path: string): string {
  return `no tenant "${path}" is served here; the path is /v2/models/<namespace>.<tenant>/infer and the tenant must be admitted`;
}

const nameOf = (req: Request): string => String(req.params['model']);
