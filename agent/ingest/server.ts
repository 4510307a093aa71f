import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { NextFunction, Request, Response } from 'express';
import express from 'express';
import { VERSION } from '../../api/version.js';
import { nowUs } from '../../kube/clock.js';
import { FrameFailure } from '../serving/flights.js';
import type { AgentMetrics } from '../serving/metrics.js';
import { refuse } from './answer.js';
import type { FrameStages, Serving } from './frame.js';
import { FrameDoor } from './frame.js';
import { BadRequest } from './oip.js';
import type { FileCredentials } from './tls.js';

const MOST_CONNECTIONS = 4096;
/** Descriptors that devices, decoders, models and files need, whatever connections there are. */
const OTHER_DESCRIPTORS = 200;
const REQUEST_TIMEOUT_MS = 30_000;

const TLS = { minVersion: 'TLSv1.2' } as const;

/** A node's devices, as those see them who send frames. */
export interface ServedNode extends FrameStages {
  readonly metrics: AgentMetrics;
  readonly ready: boolean;
  readonly inFlight: number;
  /** Where the tenant's frames may go; on several devices when its streams are split. */
  serving(path: string): readonly Serving[];
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
    if (credentials === undefined) this.#server = createServer(options, this.#app());
    else {
      const server = createSecureServer({ ...options, ...TLS, ...credentials.current }, this.#app());
      credentials.follow((renewed) => server.setSecureContext({ ...TLS, ...renewed }));
      this.#server = server;
    }
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

  #app(): express.Express {
    const app = express();
    app.disable('x-powered-by');
    app.disable('etag');
    app.post('/v2/models/:model/infer', (req, res) => this.#infer(req, res));
    app.get('/v2', (_req, res) => {
      res.json({ name: 'deeprt', version: VERSION, extensions: ['binary_tensor_data'] });
    });
    app.get(['/v2/health/live', '/healthz'], (_req, res) => {
      res.status(200).json({ live: true });
    });
    app.get(['/v2/health/ready', '/readyz'], (_req, res) => {
      const ready = this.#node.ready && this.#state === 'open';
      res.status(ready ? 200 : 503).json({ ready });
    });
    app.get('/v2/models/:model', (req, res) => this.#describe(req, res));
    app.get('/v2/models/:model/ready', (req, res) => {
      const ready = this.#node.serving(req.params.model).some(({ service }) => service.ready);
      res.status(ready ? 200 : 404).json({ name: req.params.model, ready });
    });
    app.get('/metrics', async (_req, res) => {
      const { registry } = this.#node.metrics;
      res.type(registry.contentType).send(await registry.metrics());
    });
    app.use((req, res) => {
      refuse(
        res,
        404,
        'NoSuchPath',
        `there is no ${req.method} ${req.path} here; frames go to POST /v2/models/<namespace>.<tenant>/infer`,
      );
    });
    app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
      if (!res.headersSent) refuse(res, error.status ?? 500, 'InternalError', error.message);
    });
    return app;
  }

  #describe(req: Request<{ model: string }>, res: Response): void {
    const [serving] = this.#node.serving(req.params.model);
    if (serving === undefined) return refuse(res, 404, 'UnknownTenant', unknownTenant(req.params.model));
    const { input, outputs } = serving.tenant.terms;
    res.json({
      name: req.params.model,
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [
        { name: input.name, datatype: input.elementType === 'float32' ? 'FP32' : 'UINT8', shape: [1, ...input.dims] },
      ],
      outputs: outputs.map(({ name, dims }) => ({ name, datatype: 'FP32', shape: [1, ...dims.slice(1)] })),
    });
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
