import type { NextFunction, Request, RequestHandler, Response } from 'express';
import express from 'express';
import { refuseFrame } from './answer.js';
import { BadRequest } from './protocol/bad-request.js';

type Method = 'GET' | 'POST';

/** What is to be had at some paths, by method; HEAD is GET without a body, OPTIONS tells the methods. */
export interface Route {
  readonly paths: readonly string[];
  readonly on: Readonly<Partial<Record<Method, RequestHandler>>>;
}

/** Extensions of the protocol that are known and not offered: told by name, so that nobody wonders. */
const NOT_OFFERED: readonly (readonly [path: RegExp, what: string])[] = [
  [/^\/v2\/repository\/models\/[^/]+\/(?:un)?load$/, 'models are loaded and unloaded by their InferenceModel'],
  [
    /^\/v2\/(?:system|cuda)sharedmemory(?:\/|$)/,
    'shared memory between sender and agent is not offered; send the tensor',
  ],
  [/^\/v2\/(?:models\/[^/]+\/)?trace\/setting$/, 'tracing is not offered; every answer carries its times'],
  [/^\/v2\/logging$/, 'the log is set up where the agent is started'],
  [/^\/v2\/models\/[^/]+\/(?:versions\/[^/]+\/)?generate(?:_stream)?$/, 'text is not generated here'],
];

/**
 * An application that answers these routes, and says of everything else why it is not there (RFC 9110: 404, 405, 501).
 *
 * @param check throws for requests that are not looked at any further
 */
export function routed(routes: readonly Route[], check: (req: Request) => void): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((req, _res, next) => {
    check(req);
    next();
  });
  for (const { paths, on } of routes) {
    const methods = Object.keys(on) as Method[];
    const allowed = [...methods, ...(on.GET === undefined ? [] : ['HEAD']), 'OPTIONS'].join(', ');
    app.all([...paths], (req: Request, res: Response, next: NextFunction) => {
      const method = req.method === 'HEAD' ? 'GET' : req.method;
      const handler = on[method as Method];
      if (handler !== undefined) return handler(req, res, next);
      res.setHeader('Allow', allowed);
      if (req.method === 'OPTIONS') return void res.status(204).end();
      return refuseFrame(
        res,
        new BadRequest(`${req.path} knows ${allowed}, not ${req.method}`, 405, 'MethodNotAllowed'),
      );
    });
  }
  app.use((req, res) => {
    const known = NOT_OFFERED.find(([path]) => path.test(req.path));
    if (known !== undefined) return refuseFrame(res, new BadRequest(known[1], 501, 'ExtensionNotOffered'));
    const message = `there is no ${req.method} ${req.path.slice(0, 200)} here; frames go to POST /v2/models/<namespace>.<tenant>/infer`;
    refuseFrame(res, new BadRequest(message, 404, 'NoSuchPath'));
  });
  app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
    refuseFrame(res, isHttp(error) ? new BadRequest(error.message, error.status) : error);
  });
  return app;
}

/** What Express itself says of a request, such as a path that cannot be decoded. */
const isHttp = (error: unknown): error is Error & { readonly status: number } =>
  error instanceof Error &&
  !(error instanceof BadRequest) &&
  'status' in error &&
  typeof error.status === 'number' &&
  error.status < 500;
