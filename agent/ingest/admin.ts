import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Request, Response } from 'express';
import type { ServedNode } from './catalogue.js';
import { BadRequest } from './protocol/bad-request.js';
import type { Route } from './routes.js';
import { routed } from './routes.js';
import type { FileCredentials } from './tls.js';
import { secureOptions } from './tls.js';

const MOST_CONNECTIONS = 64;
const TIMEOUT_MS = 10_000;

/**
 * Health, metrics, and the promised frames that were late last, of one tenant with `?tenant=NAMESPACE/NAME`.
 *
 * @param metricsHere whether metrics and late frames are to be had by these routes
 */
export function adminRoutes(
  server: { readonly ready: boolean },
  node: ServedNode,
  metricsHere: () => boolean = () => true,
): Route[] {
  const { registry } = node.metrics;
  const metrics = async (res: Response): Promise<void> => {
    if (!metricsHere()) throw new BadRequest('metrics are on the port that --admin names', 404, 'NoSuchPath');
    res.type(registry.contentType).send(await registry.metrics());
  };
  const late = (req: Request, res: Response): void => {
    if (!metricsHere()) throw new BadRequest('late frames are on the port that --admin names', 404, 'NoSuchPath');
    const { tenant } = req.query;
    res.json({ frames: node.late(typeof tenant === 'string' ? tenant : undefined) });
  };
  return [
    { paths: ['/v2/health/live', '/healthz'], on: { GET: (_req, res) => void res.json({ live: true }) } },
    {
      paths: ['/v2/health/ready', '/readyz'],
      on: { GET: (_req, res) => void res.status(server.ready ? 200 : 503).json({ ready: server.ready }) },
    },
    { paths: ['/metrics'], on: { GET: (_req, res) => metrics(res) } },
    { paths: ['/late'], on: { GET: (req, res) => late(req, res) } },
  ];
}

/** A port of its own for those who look after the agent: whatever floods the other one, this one answers. */
export class AdminServer {
  readonly #server: ReturnType<typeof createServer> | ReturnType<typeof createSecureServer>;

  constructor(
    routes: readonly Route[],
    credentials: FileCredentials | undefined,
    check: (req: IncomingMessage) => void,
  ) {
    const options = { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS };
    const app = routed(routes, check);
    if (credentials === undefined) this.#server = createServer(options, app);
    else {
      const server = createSecureServer({ ...options, ...secureOptions(credentials.current) }, app);
      credentials.follow((renewed) => server.setSecureContext(secureOptions(renewed)));
      this.#server = server;
    }
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
