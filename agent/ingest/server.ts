import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import type { NextFunction, Request, Response } from 'express';
import express from 'express';
import type { Encoding } from '../../api/ingest.js';
import { VERSION } from '../../api/version.js';
import type { Answer, Slot } from '../agent.js';
import { FrameDropped, FrameFailure, latencyUs } from '../agent.js';
import { nowUs } from '../clock.js';
import type { Devices, Serving } from '../devices.js';
import type { Outcome, ServedTenant } from '../tenant.js';
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
    const [serving] = this.#devices.serving(req.params.model);
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
    const servings = this.#devices.serving(req.params.model);
    const [serving] = servings;
    if (serving === undefined || this.#state === 'stopping') {
      req.resume();
      if (this.#state !== 'open') return refuse(res, 503, 'AgentNotReady', `the agent is ${this.#state}`);
      return refuse(res, 404, 'UnknownTenant', unknownTenant(req.params.model));
    }
    try {
      await this.#serve(serving, servings, req, res);
    } catch (error) {
      if (!(error instanceof BadRequest) && !(error instanceof FrameFailure)) throw error;
      refuse(res, error instanceof BadRequest ? error.status : 503, error.code, error.message);
    }
  }

  async #serve(
    first: Serving,
    servings: readonly Serving[],
    req: Request<{ model: string }>,
    res: Response,
  ): Promise<void> {
    let { agent, tenant } = first;
    let promised: boolean | undefined;
    try {
      const { encoding, limit } = bodyOf(req, tenant);
      const body = await readHeld(servings, req, limit);
      const arrivedUs = nowUs();
      const taken = police(servings, arrivedUs);
      ({ agent, tenant } = taken.serving);
      promised = taken.promised;
      if (!promised && tenant.terms.beyond === 'refuse') throw beyondRate(servings, taken.retryAfterUs);
      const slot = agent.takeSlot(tenant, promised);
      if (slot === undefined) throw tooManyWaiting(tenant);
      let wanted: WantedOutputs;
      try {
        wanted =
          encoding === 'JPEG' || encoding === 'PNG'
            ? await this.#readImage(tenant, req, body, slot)
            : readTensor(tenant, req, body, slot);
      } catch (error) {
        agent.giveSlot(tenant, slot);
        throw error;
      } finally {
        body.forEach(giveBack);
      }
      const answer = await agent.submit(tenant, slot, arrivedUs, encoding, streamOf(req, wanted));
      respond(req, res, tenant, answer, wanted, promised);
      const latency = latencyUs(answer);
      agent.count(tenant, latency <= tenant.terms.deadlineUs ? 'onTime' : 'late', promised, latency, answer.batch);
    } catch (error) {
      const outcome = outcomeOf(error);
      agent.count(tenant, outcome, promised);
      if (outcome === 'gone') return;
      if (error instanceof Busy) return tooMany(res, error);
      if (error instanceof FrameDropped)
        return refuse(res, 503, error.code, error.message, { promised: promised === true });
      throw error instanceof BadImage ? new BadRequest(error.message, 400, 'InvalidImage') : error;
    }
  }

  async #readImage(tenant: ServedTenant, req: Request, body: readonly Buffer[], slot: Slot): Promise<WantedOutputs> {
    const { image } = tenant.terms;
    const pixels = await this.#decoders.run(slot.promised, () =>
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

/**
 * Frees memory of a frame at once: left to the garbage collector, megabytes a second of it would make for long pauses. What shares its
 * memory with something else is left alone.
 */
function giveBack({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

class ClientGone extends Error {}

/** A frame that nobody was promised, and that there is no room for. */
class Busy extends Error {
  readonly code: string;
  readonly retryAfterUs: number;

  constructor(code: string, message: string, retryAfterUs: number) {
    super(message);
    this.code = code;
    this.retryAfterUs = retryAfterUs;
  }
}

function beyondRate(servings: readonly Serving[], retryAfterUs: number): Busy {
  const promised = servings.filter(({ tenant: { terms } }) => terms.promised);
  const perSecond = promised.reduce((sum, { tenant: { terms } }) => sum + (terms.streams * 1e6) / terms.periodUs, 0);
  const [, code, message] =
    promised.length === 0
      ? [0, 'NotAdmitted', 'the tenant is not admitted, and spec.beyondPromise refuses to be served without a promise']
      : [
          0,
          'RateExceeded',
          `the frame came sooner than the ${perSecond.toFixed(1)} a second and the jitter that were admitted allow, and spec.beyondPromise refuses such frames`,
        ];
  return new Busy(code, message, retryAfterUs);
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof ClientGone) return 'gone';
  if (error instanceof Busy) return 'refused';
  if (error instanceof BadRequest || error instanceof BadImage) return 'invalid';
  return error instanceof FrameDropped ? 'dropped' : 'failed';
}

/** In which form the frame comes, and how large its body may be. */
function bodyOf(req: Request, tenant: ServedTenant): { encoding: Encoding; limit: number } {
  const type = (req.headers['content-type'] ?? 'application/json').split(';')[0]!.trim().toLowerCase();
  if (type === 'image/jpeg') return { encoding: 'JPEG', limit: LARGEST_IMAGE_BYTES };
  if (type === 'image/png') return { encoding: 'PNG', limit: LARGEST_IMAGE_BYTES };
  if (type.startsWith('image/'))
    throw new BadRequest(
      `content-type ${type} is not known; send image/jpeg, image/png or a tensor`,
      415,
      'UnknownContentType',
    );
  const encoding = req.headers['inference-header-content-length'] === undefined ? 'JSON' : 'Tensor';
  return { encoding, limit: largestTensorBody(tenant) };
}

/** Numbers connections, the streams of senders that name none. */
const connections = new WeakMap<object, number>();
let lastConnection = 0;

/** Which stream a frame belongs to: as its `sequence_id` says, else its connection. */
function streamOf(req: Request, { sequence }: WantedOutputs): string {
  const named = sequence ?? req.query['sequence_id'];
  if (typeof named === 'string') return `sequence ${named.slice(0, 128)}`;
  const connection = connections.get(req.socket) ?? ++lastConnection;
  connections.set(req.socket, connection);
  return `connection ${connection}`;
}

/** @throws ClientGone when nobody waits for the answer any more */
function respond(
  req: Request<{ model: string }>,
  res: Response,
  { terms }: ServedTenant,
  answer: Answer,
  wanted: WantedOutputs,
  promised: boolean,
): void {
  res.once('close', answer.release);
  if (res.closed || req.socket.destroyed) {
    answer.release(); // `close` may have been emitted before
    throw new ClientGone();
  }
  const { deadlineUs } = terms;
  const { json, binary } = writeResponse(req.params.model, answer.outputs, answer, wanted, {
    promised,
    queued_us: answer.startUs - answer.arrivedUs,
    executed_us: answer.endUs - answer.startUs,
    latency_us: latencyUs(answer),
    batch_size: answer.batch,
    ...computedAt(answer.shape, terms.shape),
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
}

/**
 * Which of a tenant's devices takes a frame that arrives now, those that work first, and whether it is one of those that the tenant was
 * promised; when the next such would be, where it is not.
 */
function police(
  servings: readonly Serving[],
  arrivedUs: number,
): { readonly serving: Serving; readonly promised: boolean; readonly retryAfterUs: number } {
  let retryAfterUs = Infinity;
  const byReadiness = [true, false].flatMap((ready) => servings.filter(({ agent }) => agent.ready === ready));
  for (const serving of byReadiness) {
    const policed = serving.tenant.arrive(arrivedUs);
    if (policed.accepted) return { serving, promised: true, retryAfterUs: 0 };
    retryAfterUs = Math.min(retryAfterUs, policed.retryAfterUs);
  }
  return { serving: byReadiness[0]!, promised: false, retryAfterUs };
}

function readTensor(tenant: ServedTenant, req: Request, body: readonly Buffer[], slot: Slot): WantedOutputs {
  const header = req.headers['inference-header-content-length'];
  return readRequest(body, header === undefined ? undefined : Number(header), tenant.terms.input, slot.bytes);
}

function largestTensorBody({ terms }: ServedTenant): number {
  const elements = terms.input.dims.reduce((product, dim) => product * dim, 1);
  return Math.min(LARGEST_TENSOR_BYTES, LARGEST_HEADER_BYTES + JSON_BYTES_PER_ELEMENT * elements);
}

/**
 * Reads a frame's body, unless its head says enough: a frame that cannot be one of those promised is refused before a byte
 * of it is read, where its tenant refuses such frames or too many of them are on their way.
 *
 * @throws Busy, and what `readBody` throws
 */
async function readHeld(servings: readonly Serving[], req: Request, limit: number): Promise<Buffer[]> {
  const atUs = nowUs();
  const waitUs = servings.reduce((least, { tenant }) => Math.min(least, tenant.promisedInUs(atUs)), Infinity);
  if (waitUs === 0) return readBody(req, limit);
  const { agent, tenant } = servings[0]!;
  if (tenant.terms.beyond === 'refuse') throw beyondRate(servings, waitUs);
  if (!servings.some((each) => each.agent.hasRoomForSpare(each.tenant))) throw tooManyWaiting(tenant);
  if (!agent.hasRoomForSpare(tenant)) return readBody(req, limit);
  tenant.spareInFlight++;
  try {
    return await readBody(req, limit);
  } finally {
    tenant.spareInFlight--;
  }
}

const tooManyWaiting = ({ terms }: ServedTenant): Busy =>
  new Busy('TooManyWaiting', 'too many frames of this tenant wait already', terms.periodUs);

/** @throws BadRequest (413) as soon as the body is known to be too large, ClientGone when the sender went away */
function readBody(req: Request, limit: number): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const tooLarge = (): void => {
      // The rest is read and thrown away until the connection is closed.
      req.removeAllListeners('data');
      req.resume();
      reject(
        new BadRequest(
          `the body is larger than the ${limit} bytes that a frame of this tenant may take`,
          413,
          'BodyTooLarge',
        ),
      );
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

function tooMany(res: Response, { code, message, retryAfterUs }: Busy): void {
  if (res.headersSent || res.closed) return;
  res.setHeader('Retry-After', Math.max(1, Math.ceil(retryAfterUs / 1e6)));
  res.status(429).json({
    error: `${message}; try again in ${Math.ceil(retryAfterUs / 1000)}ms`,
    code,
    retry_after_ms: Math.ceil(retryAfterUs / 1000),
  });
}

function refuse(res: Response, status: number, code: string, message: string, more: object = {}): void {
  if (res.headersSent || res.closed) return;
  if (status === 413) {
    res.setHeader('Connection', 'close');
    // Whoever sends without end is cut off, but gets time to read why.
    res.once('finish', () => setTimeout(() => res.req.socket.destroy(), OVERSIZED_GRACE_MS).unref());
  }
  res.status(status).json({ error: message, code, ...more });
}
