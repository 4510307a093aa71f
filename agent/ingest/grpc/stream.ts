import type { ServerDuplexStream } from '@grpc/grpc-js';
import { InOrder, drained } from '../in-order.js';

/** Answers the messages of a call in their order. */
export function answerInOrder<Request, Response>(
  call: ServerDuplexStream<Request, Response>,
  answer: (request: Request) => Promise<Response>,
): void {
  const answers = new InOrder<Response>(call, async (response) => {
    if (!call.cancelled && !call.write(response)) await drained(call, 'cancelled');
  });
  call.on('data', (request: Request) => answers.add(answer(request)));
  call.on('end', () => void answers.done().then(() => call.end()));
  call.on('error', () => undefined);
}
