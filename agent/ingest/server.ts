import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import type { NextFunction, Request, Response } from 'express';
import express from 'express';
import { VERSION } from '../../api/version.js';
import type { Slot } from '../agent.js';
import { FrameDropped, FrameFailure, latencyUs } from '../agent.js';
import { nowUs } from '../clock.js';
import type { Devices, Serving } from '../devices.js';
import type { ServedTenant } from '../tenant.js';
import { BadImage, Gate, decodeImage, writePixels } from './image.js';
import type { WantedOutputs } from './oip.js';
import { BadRequest, readRequest, writeResponse } from './oip.js';
import type { FileCredentials } from './tls.js';

const LARGEST_IMAGE_BYTES = 16 * 1024 * 1024;
const LARGEST_TENSOR_BYTES = 256 * 1024 * 1024;
const MOST_CONNECTIONS = 4096;
const LARGEST_HEADER_BYTES = 64 * 1024;
/** A JSON number of a tensor takes at most this many characters on average; longer bodies are refused. */
const JSON_BYTES_PER_ELEMENT = 24;
const REQUEST_TIMEOUT_MS = 30_000;
const OVERSIZED_GRACE_MS = 500;

const TLS = { minVersion: 'TLSv1.2' } as const;

/** The tenants' door: Open Inference Protocol v2, health and metrics. */
export class IngestServer {
  readonly #devices: Devices;
  readonly #server: ReturnType<typeof createServer> | ReturnType<typeof createSecureServer>;
  readonly #credentials: FileCredentials | undefined;
  /** One core stays with the device. */
  readonly #decoders = new Gate(Math.max(1, availableParallelism() - 1));
  #state: 'starting' | 'open' | 'stopping' = 'starting';

  /** @param credentials serve HTTPS with them; HTTP where absent */
  constructor(devices: Devices, credentials?: FileCredentials) {
    this.#devices = devices;
    this.#credentials = credentials;
    const options = { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: 60_000 };
    if (credentials === undefined) this.#server = createServer(options, this.#app());
    else {
      const server = createSecureServer({ ...options, ...TLS, ...credentials.current }, this.#app());
      credentials.follow((renewed) => server.setSecureContext({ ...TLS, ...renewed }));
      this.#server = server;
    }
    this.#server.maxConnections = MOST_CONNECTIONS;
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
    for (const deadline = Date.now() + graceMs; this.#devices.inFlight > 0 && Date.now() < deadline;)
      await new Promise((resolve) => setTimeout(resolve, 20));
    this.#server.closeIdleConnections();
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.#server.closeAllConnections();
    await closed;
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
      const ready = this.#devices.ready && this.#state === 'open';
      res.status(ready ? 200 : 503).json({ ready });
    });
    app.get('/v2/models/:model', (req, res) => this.#describe(req, res));
    app.get('/v2/models/:model/ready', (req, res) => {
      const ready = this.#devices.serving(req.params.model).some(({ agent }) => agent.ready);
      res.status(ready ? 200 : 404).json({ name: req.params.model, ready });
    });
    app.get('/metrics', async (_req, res) => {
      const { registry } = this.#devices.metrics;
      res.type(registry.contentType).send(await registry.metrics());
    });
    app.use((req, res) => {
      refuse(
        res,
        404,
        `there is no ${req.method} ${req.path} here; frames go to POST /v2/models/<namespace>.<tenant>/infer`,
      );
    });
    app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
      if (!res.headersSent) refuse(res, error.status ?? 500, error.message);
    });
    return app;
  }

  #describe(req: Request<{ model: string }>, res: Response): void {
    const [serving] = this.#devices.serving(req.params.model);
    if (serving === undefined) return refuse(res, 404, unknownTenant(req.params.model));
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
    const servings = this.#devices.serving(req.params.model);
    const [serving] = servings;
    if (serving === undefined || this.#state === 'stopping') {
      req.resume();
      if (this.#state !== 'open') return refuse(res, 503, `the agent is ${this.#state}`);
      return refuse(res, 404, unknownTenant(req.params.model));
    }
    try {
      await this.#serve(serving, servings, req, res);
    } catch (error) {
      const gone = error instanceof ClientGone;
      const invalid = error instanceof BadRequest || error instanceof BadImage;
      const dropped = error instanceof FrameDropped;
      serving.agent.count(serving.tenant, gone ? 'gone' : invalid ? 'invalid' : dropped ? 'dropped' : 'failed');
      if (gone) return;
      if (!invalid && !(error instanceof FrameFailure)) throw error;
      refuse(res, error instanceof BadRequest ? error.status : invalid ? 400 : 503, error.message);
    }
  }

  async #serve(
    first: Serving,
    servings: readonly Serving[],
    req: Request<{ model: string }>,
    res: Response,
  ): Promise<void> {
    const type = (req.headers['content-type'] ?? 'application/json').split(';')[0]!.trim().toLowerCase();
    const image = type.startsWith('image/');
    if (image && type !== 'image/jpeg' && type !== 'image/png')
      throw new BadRequest(`content-type ${type} is not known; send image/jpeg, image/png or a tensor`, 415);
    const body = await readBody(req, image ? LARGEST_IMAGE_BYTES : largestTensorBody(first.tenant));
    const arrivedUs = nowUs();

    const accepted = police(servings, arrivedUs);
    if ('retryAfterUs' in accepted) {
      first.agent.count(first.tenant, 'refused');
      const perSecond = servings.reduce(
        (sum, { tenant: { terms } }) => sum + (terms.streams * 1e6) / terms.periodUs,
        0,
      );
      return tooMany(
        res,
        accepted.retryAfterUs,
        `more frames than the ${perSecond.toFixed(1)} a second that were admitted`,
      );
    }
    const { agent, tenant } = accepted;
    const slot = agent.takeSlot(tenant);
    if (slot === undefined) {
      agent.count(tenant, 'refused');
      return tooMany(res, tenant.terms.periodUs, 'too many frames of this tenant wait already');
    }
    let wanted: WantedOutputs;
    try {
      wanted = image ? await this.#readImage(tenant, req, body, slot) : readTensor(tenant, req, body, slot);
    } catch (error) {
      agent.giveSlot(slot);
      throw error;
    }
    if (!tenant.enter(nowUs())) {
      agent.giveSlot(slot);
      agent.count(tenant, 'refused');
      return tooMany(res, tenant.terms.periodUs, 'this node was too busy to take the frame in in time');
    }

    const answer = await agent.submit(tenant, slot, arrivedUs);
    res.once('close', answer.release);
    if (res.closed || req.socket.destroyed) {
      answer.release(); // `close` may have been emitted before
      throw new ClientGone();
    }
    const { deadlineUs } = tenant.terms;
    const { json, binary } = writeResponse(req.params.model, answer.outputs, answer.index, wanted, {
      queued_us: answer.startUs - arrivedUs,
      executed_us: answer.endUs - answer.startUs,
      latency_us: latencyUs(answer),
      batch_size: answer.batch,
      ...computedAt(answer.shape, tenant.terms.shape),
      ...(deadlineUs === Infinity ? {} : { deadline_us: deadlineUs, deadline_met: latencyUs(answer) <= deadlineUs }),
    });
    res.setHeader('Content-Type', binary.length === 0 ? 'application/json' : 'application/octet-stream');
    if (binary.length > 0) res.setHeader('Inference-Header-Content-Length', json.length);
    res.setHeader(
      'Content-Length',
      binary.reduce((sum, tensor) => sum + tensor.byteLength, json.length),
    );
    res.cork();
    res.write(json);
    for (const tensor of binary) res.write(tensor);
    res.end();
    const latency = latencyUs(answer);
    agent.count(tenant, latency <= deadlineUs ? 'onTime' : 'late', latency, answer.batch);
  }

  async #readImage(tenant: ServedTenant, req: Request, body: readonly Buffer[], slot: Slot): Promise<WantedOutputs> {
    const { image } = tenant.terms;
    const pixels = await this.#decoders.run(() =>
      decodeImage(body.length === 1 ? body[0]! : Buffer.concat(body), image),
    );
    writePixels(pixels, image, slot.bytes);
    giveBack(pixels);
    return { binaryByDefault: (req.headers.accept ?? '').includes('application/octet-stream') };
  }
}

/** An address and port as they stand in a URL. */
export const addressText = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Frees decoded pixels at once instead of leaving them to the garbage collector. */
function giveBack({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

class ClientGone extends Error {}

/** Which of a tenant's devices takes a frame that arrives now: those that work first; or when to try again. */
function police(servings: readonly Serving[], arrivedUs: number): Serving | { readonly retryAfterUs: number } {
  let retryAfterUs = Infinity;
  for (const ready of [true, false])
    for (const serving of servings) {
      if (serving.agent.ready !== ready) continue;
      const policed = serving.tenant.arrive(arrivedUs);
      if (policed.accepted) return serving;
      retryAfterUs = Math.min(retryAfterUs, policed.retryAfterUs);
    }
  return { retryAfterUs };
}

function readTensor(tenant: ServedTenant, req: Request, body: readonly Buffer[], slot: Slot): WantedOutputs {
  const header = req.headers['inference-header-content-length'];
  return readRequest(body, header === undefined ? undefined : Number(header), tenant.terms.input, slot.bytes);
}

function largestTensorBody({ terms }: ServedTenant): number {
  const elements = terms.input.dims.reduce((product, dim) => product * dim, 1);
  return Math.min(LARGEST_TENSOR_BYTES, LARGEST_HEADER_BYTES + JSON_BYTES_PER_ELEMENT * elements);
}

/** @throws BadRequest (413) as soon as the body is known to be too large, ClientGone when the sender went away */
function readBody(req: Request, limit: number): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const tooLarge = (): void => {
      // The rest is read and thrown away until the connection is closed.
      req.removeAllListeners('data');
      req.resume();
      reject(new BadRequest(`the body is larger than the ${limit} bytes that a frame of this tenant may take`, 413));
    };
    if (Number(req.headers['content-length'] ?? 0) > limit) return tooLarge();
    const chunks: Buffer[] = [];
    let received = 0;
    req.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > limit) return tooLarge();
      chunks.push(chunk);
    });
    req.on('end', () => resolve(chunks));
    req.on('error', () => reject(new ClientGone()));
    req.on('close', () => {
      if (!req.complete) reject(new ClientGone());
    });
  });
}

/**
 * At which shape an answer was computed. Where an output's own shape or coordinates follow the input's, dividing by the scale
 * brings them back to the frame's.
 */
function computedAt(shape: readonly number[], asked: readonly number[]): Record<string, string | number> {
  if (shape.join() === asked.join()) return {};
  return {
    computed_shape: shape.join('x'),
    scale_height: shape[1]! / asked[1]!,
    scale_width: shape[2]! / asked[2]!,
  };
}

function unknownTenant(path: string): string {
  return `no tenant "${path}" is served here; the path is /v2/models/<namespace>.<tenant>/infer and the tenant must be admitted`;
}

function tooMany(res: Response, retryAfterUs: number, message: string): void {
  res.setHeader('Retry-After', Math.max(1, Math.ceil(retryAfterUs / 1e6)));
  res.status(429).json({
    error: `${message}; try again in ${Math.ceil(retryAfterUs / 1000)}ms`,
    retry_after_ms: Math.ceil(retryAfterUs / 1000),
  });
}

function refuse(res: Response, status: number, message: string): void {
  if (res.headersSent || res.closed) return;
  if (status === 413) {
    res.setHeader('Connection', 'close');
    // Whoever sends without end is cut off, but gets time to read why.
    res.once('finish', () => setTimeout(() => res.req.socket.destroy(), OVERSIZED_GRACE_MS).unref());
  }
  res.status(status).json({ error: message });
}
