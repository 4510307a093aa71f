/** Sends the same request again and again, several at once: a client in a process of its own, so that only the server is measured. */
import { Agent, request } from 'node:http';

/** What the parent asks for; it is told when all were answered. */
export interface Round {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly count: number;
}

const CONNECTIONS = 4;
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

const once = ({ url, headers, body }: Round): Promise<void> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers: { ...headers, 'content-length': body.byteLength } });
    sent.on('response', (response) => {
      response.resume();
      response.on('end', resolve);
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });

process.on('message', (round: Round) => {
  let left = round.count;
  const sender = async (): Promise<void> => {
    while (left-- > 0) await once(round);
  };
  void Promise.all(Array.from({ length: CONNECTIONS }, sender)).then(
    () => process.send!('done'),
    () => process.exit(1),
  );
});
process.on('disconnect', () => process.exit(0));
