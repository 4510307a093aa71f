import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { waits } from './expect.js';

/** What Node's parser says of a request that it does not take, and what its sender is told. */
const REFUSALS: Readonly<Record<string, readonly [status: number, code: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'HeadTooLarge', 'the head of the request is larger than 16 KiB'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'BodyTooLarge', 'the chunk extensions of the body are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'RequestTimeout', 'the request did not come within the time that there is for it'],
};

const NO_REQUEST = [400, 'InvalidRequest', 'this is no HTTP request'] as const;

/** Answers what never becomes a request of the application, in the form of all other answers. */
export function answerOddRequests(server: Server, app: RequestListener): void {
  server.on('checkContinue', (req: IncomingMessage, res) => {
    waits(req, res);
    app(req, res);
  });
  server.on('checkExpectation', (req: IncomingMessage, res) => {
    const error = `Expect: ${req.headers.expect?.slice(0, 64) ?? ''} cannot be met; only 100-continue can`;
    res.writeHead(417, { 'Content-Type': 'application/json', Connection: 'close' });
    res.end(JSON.stringify({ error, code: 'ExpectationFailed' }));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // An answer that has begun cannot become another one (as Node's own handler has it).
    const begun = (socket as { readonly _httpMessage?: ServerResponse | null })._httpMessage?.headersSent === true;
    if (error.code === 'ECONNRESET' || !socket.writable || begun) {
      socket.destroy();
      return;
    }
    const [status, code, message] = REFUSALS[error.code ?? ''] ?? NO_REQUEST;
    const body = JSON.stringify({ error: message, code });
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  });
}

/** A body has to be here within this time. */
export const LONGEST_BODY_MS = 30_000;

/** Whoever sends a body too slowly is cut off, and gets time to read why. */
export function limitBodyTime(req: IncomingMessage, res: ServerResponse): void {
  const timer = setTimeout(() => {
    if (req.complete) return; // it is here, whether anybody reads it or not
    if (!res.headersSent) {
      const error = `the body was not here within ${LONGEST_BODY_MS / 1000}s`;
      res.writeHead(408, { 'Content-Type': 'application/json', Connection: 'close' });
      res.end(JSON.stringify({ error, code: 'RequestTimeout' }));
    }
    setTimeout(() => req.socket.destroy(), 500).unref();
  }, LONGEST_BODY_MS).unref();
  const over = (): void => clearTimeout(timer);
  req.once('end', over);
  req.once('close', over);
}
