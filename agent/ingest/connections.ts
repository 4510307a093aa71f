import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import type { AgentMetrics } from '../serving/metrics.js';

/** Of all connections, the part that one address may have. */
const SHARE_OF_ADDRESS = 0.5;

/** A connection in all its guises: TLS puts another object in front of the socket. */
const idOf = ({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string =>
  `${remoteAddress ?? ''} ${remotePort ?? 0}`;

/**
 * Keeps connections within a budget. Where it is used up, whoever has most of it loses an idle one: nobody is kept out by
 * connections that somebody else only holds.
 */
export class Connections {
  readonly #most: number;
  readonly #closed: AgentMetrics['connectionsClosed'];
  /** By address, the oldest first. */
  readonly #open = new Map<string, Map<string, Socket>>();
  readonly #busy = new Map<string, number>();
  #count = 0;

  constructor(server: Server, most: number, metrics: AgentMetrics) {
    this.#most = most;
    this.#closed = metrics.connectionsClosed;
    server.on('connection', (socket: Socket) => this.#opened(socket));
    for (const event of ['request', 'checkContinue'] as const)
      server.on(event, ({ socket }: IncomingMessage, res: ServerResponse) => res.once('close', this.use(socket)));
  }

  /** Counts the connections of another server, which tells itself what is in use, into the same budget. */
  share(server: NetServer): void {
    server.on('connection', (socket: Socket) => this.#opened(socket));
  }

  #opened(socket: Socket): void {
    const { remoteAddress: address = '' } = socket;
    const id = idOf(socket);
    const own = this.#open.get(address) ?? new Map<string, Socket>();
    own.set(id, socket);
    this.#open.set(address, own);
    this.#count++;
    socket.once('close', () => {
      this.#count--;
      own.delete(id);
      if (own.size === 0) this.#open.delete(address);
    });
    if (own.size > SHARE_OF_ADDRESS * this.#most) this.#closeOne(own, socket, 'address');
    else if (this.#count > this.#most) {
      const largest = [...this.#open.values()].reduce((a, b) => (b.size > a.size ? b : a));
      this.#closeOne(largest, socket, 'all');
    }
  }

  /** Closes the oldest idle one of these, or the one that has just come. */
  #closeOne(of: ReadonlyMap<string, Socket>, newest: Socket, limit: 'address' | 'all'): void {
    const idle = [...of].find(([id, socket]) => !this.#busy.has(id) && socket !== newest)?.[1];
    (idle ?? newest).destroy();
    this.#closed.inc({ reason: limit === 'address' ? 'too_many_of_address' : 'too_many' });
  }

  /** A connection is in use until what is returned is called. */
  use(connection: Pick<Socket, 'remoteAddress' | 'remotePort'>): () => void {
    const id = idOf(connection);
    this.#busy.set(id, (this.#busy.get(id) ?? 0) + 1);
    return () => {
      const left = (this.#busy.get(id) ?? 1) - 1;
      if (left > 0) this.#busy.set(id, left);
      else this.#busy.delete(id);
    };
  }
}
