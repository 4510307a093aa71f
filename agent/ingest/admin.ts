import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import type { Readers } from '../../kube/readers.js';
import type { FileCredentials } from '../../kube/tls.js';
import { webServer } from '../../kube/tls.js';
import { LivePage } from '../../ui/live-page.js';
import type { ServedNode } from './catalogue.js';
import { BadRequest } from './protocol/bad-request.js';
import type { Route } from './routes.js';
import { routed } from './routes.js';

const MOST_CONNECTIONS = 64;
const TIMEOUT_MS = 10_000;

/**
 * Health, metrics, the live page, and the promised frames that were late last, of one tenant with `?tenant=NAMESPACE/NAME`.
 *
 * @param readers who may read more than health; whoever reaches the port where undefined
 * @param toldHere whether anything but health is told by these routes
 */
export function adminRoutes(
  server: { readonly ready: boolean },
  node: ServedNode,
  readers: Readers | undefined,
  toldHere: () => boolean = () => true,
): Route[] {
  const { registry } = node.metrics;
  const page = new LivePage('node', node.live);
  const here =
    (tell: RequestHandler): RequestHandler =>
    async (req, res, next): Promise<void> => {
      if (!toldHere()) throw new BadRequest(`${req.path} is on the port that --admin names`, 404, 'NoSuchPath');
      if (readers === undefined || (await readers.admit(req, res))) await tell(req, res, next);
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
  readonly #server: Server;

  constructor(
    routes: readonly Route[],
    credentials: FileCredentials | undefined,
    check: (req: IncomingMessage) => void,
  ) {
    const options = { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS };
    this.#server = webServer(options, credentials, routed(routes, check));
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
