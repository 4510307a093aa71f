import type { IngestServer } from '../agent/ingest/server.js';
import { addressText } from '../agent/ingest/server.js';
import type { Logger } from '../kube/log.js';
import type { Address } from './options.js';

/** Serves gRPC where that is asked for. */
export async function serveGrpc(server: IngestServer, at: Address | undefined, log: Logger): Promise<void> {
  if (at === undefined) return;
  const port = await server.listenGrpc(at.host, at.port);
  log.info({ grpc: addressText({ host: at.host, port }) }, 'listening for gRPC');
}
