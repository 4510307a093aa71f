import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { LivePage } from '../../ui/live-page.js';
import type { ServedNode } from './catalogue.js';
import { BadRequest } from './protocol/bad-request.js';
import type { Route } from './routes.js';
import { routed } from './routes.js';
import type { FileCredentials } from './tls.js';
import { secureOptions } from './tls.js';

const MOST_CONNECTIONS = 64;
const TIMEOUT_MS = 10_000;

/**
 * Health, metrics, the live page, and the promised frames that were late last, of one tenant with `?tenant=NAMESPACE/NAME`.
 *
 * @param toldHere whether anything but health is told by these routes
 */
export function adminRoutes(
  server: { readonly ready: boolean },
  node: ServedNode,
  toldHere: () => boolean = () => true,
): Route[] {
  const { registry } = node.metrics;
  const page = new LivePage('node', node.live);
  const here =
    (tell: RequestHandler): RequestHandler =>
    (req, res, next) => {
      if (toldHere()) return tell(req, res, next);
      throw new BadRequest(`${req.path} is on the port that --admin names`, 404, 'NoSuchPath');
    };
  const metrics = async (_req: Request, res: Response): Promise<void> => {
    res.type(registry.contentType).send(await registry.metrics());
  };
  const late = (req: Request, res: Response): void => {
    const { tenant } = req.query;
    res.json({ frames: node.late(typeof tenant === 'string' ? tenant : undefined) });
  };
  return [
    { paths: ['/v2/health/live', '/healthz'], on: { GET: (_req, res) => void res.json({ live: true }) } },
    {
      paths: ['/v2/health/ready', '/readyz'],
      on: { GET: (_req, res) => void res.status(server.ready ? 200 : 503).json({ ready: server.ready }) },
    },
    { paths: ['/metrics'], on: { GET: here(metrics) } },
    { paths: ['/late'], on: { GET: here(late) } },
    ...[...page.paths].map(([path, respond]) => ({ paths: [path], on: { GET: here(respond) } })),
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
