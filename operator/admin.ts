import type { Server } from 'node:http';
import type { RequestHandler } from 'express';
import express from 'express';
import type { Readers } from '../kube/readers.js';
import type { FileCredentials } from '../kube/tls.js';
import { webServer } from '../kube/tls.js';
import type { LivePage } from '../ui/live-page.js';
import type { OperatorMetrics } from './metrics.js';

export interface AdminOptions {
  readonly listen: { readonly host: string; readonly port: number };
  /** Serve HTTPS with them; HTTP where undefined. */
  readonly credentials: FileCredentials | undefined;
  /** Who may read more than health; whoever reaches the port where undefined. */
  readonly readers: Readers | undefined;
}

/** The operator's port: health, metrics and the live page. */
export async function serveAdmin(
  { listen: { host, port }, credentials, readers }: AdminOptions,
  { registry }: OperatorMetrics,
  page: LivePage,
  ready: () => boolean,
): Promise<Server> {
  const app = express();
  app.disable('x-powered-by');
  app.get('/healthz', (_req, res) => {
    res.json({ live: true });
  });
  app.get('/readyz', (_req, res) => {
    res.status(ready() ? 200 : 503).json({ ready: ready() });
  });
  const read = (path: string, respond: RequestHandler): void => {
    app.get(path, async (req, res, next) => {
      if (readers === undefined || (await readers.admit(req, res))) await respond(req, res, next);
    });
  };
  read('/metrics', async (_req, res) => {
    res.type(registry.contentType).send(await registry.metrics());
  });
  for (const [path, respond] of page.paths) read(path, respond);
  const server = webServer({ requestTimeout: 10_000 }, credentials, app);
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}
