import type { IncomingMessage, ServerResponse } from 'node:http';

/** Senders who wait to be told to go on before they send a body (`Expect: 100-continue`, RFC 9110, 10.1.1). */
const waiting = new WeakMap<IncomingMessage, ServerResponse>();

export function waits(req: IncomingMessage, res: ServerResponse): void {
  waiting.set(req, res);
}

/** The body is wanted: its sender is told so. */
export function goOn(req: IncomingMessage): void {
  waiting.get(req)?.writeContinue();
  waiting.delete(req);
}

/** Whether the sender still waits, and may never send the body that it announced. */
export const isWaiting = (req: IncomingMessage): boolean => waiting.has(req);
