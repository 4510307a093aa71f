import { once } from 'node:events';
import type { ServerDuplexStream } from '@grpc/grpc-js';

/** Frames of one stream that may be on their way; more are not read before the first of them is answered. */
const MOST_ON_THEIR_WAY = 16;

/** Answers what comes on a stream in the order in which it came, and reads no faster than it is answered and the answers are read. */
export function answerInOrder<Request, Response>(
  call: ServerDuplexStream<Request, Response>,
  answer: (request: Request) => Promise<Response>,
): void {
  let onTheirWay = 0;
  let last: Promise<void> = Promise.resolve();
  call.on('data', (request: Request) => {
    if (++onTheirWay >= MOST_ON_THEIR_WAY) call.pause();
    const answered = answer(request);
    last = last.then(async () => {
      const response = await answered;
      if (!call.cancelled && !call.write(response)) await Promise.race([once(call, 'drain'), once(call, 'cancelled')]);
      if (--onTheirWay < MOST_ON_THEIR_WAY) call.resume();
    });
  });
  call.on('end', () => void last.then(() => call.end()));
  call.on('error', () => undefined);
}
