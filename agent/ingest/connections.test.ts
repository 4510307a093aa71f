import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer as createNetServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { AgentMetrics } from '../serving/metrics.js';
import { Connections } from './connections.js';

const MOST = 8;

let server: Server;
let metrics: AgentMetrics;
let connections: Connections;
let open: Socket[];
let finish: (() => void)[];

beforeEach(async () => {
  metrics = new AgentMetrics();
  open = [];
  finish = [];
  server = createServer((req, res) => {
    if (req.url === '/slow') finish.push(() => res.end('done'));
    else res.end('at once');
  }).listen(0, '127.0.0.1');
  connections = new Connections(server, MOST, metrics);
  await once(server, 'listening');
});
afterEach(() => {
  for (const socket of open) socket.destroy();
  server.closeAllConnections();
  server.close();
});

async function opened(from: string, path?: string): Promise<Socket> {
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', localAddress: from });
  socket.on('error', () => undefined);
  open.push(socket);
  await once(socket, 'connect');
  if (path !== undefined) socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await delay(20);
  return socket;
}
const closed = async (): Promise<object> => {
  const { values } = await metrics.connectionsClosed.get();
  return Object.fromEntries(values.map(({ labels, value }) => [String(labels['reason']), value]));
};

test('one address has half of the connections, its oldest idle one goes first, and busy ones stay', async () => {
  const busy = await opened('127.0.0.1', '/slow');
  const idle = [];
  for (let i = 0; i < 4; i++) idle.push(await opened('127.0.0.1'));
  await delay(50);
  expect(idle.map(({ closed: gone }) => gone)).toEqual([true, false, false, false]);
  expect(busy.closed).toBe(false);
  expect(await closed()).toEqual({ too_many_of_address: 1 });
  for (const end of finish) end();
  const [answer] = (await once(busy, 'data')) as [Buffer];
  expect(answer.toString()).toContain('done');
});

test('a body that waits for 100 Continue is in use', async () => {
  server.on('checkContinue', (_req, res) => finish.push(() => res.end('done')));
  const camera = await opened('127.0.0.1');
  camera.write('POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n');
  await delay(20);
  for (let i = 0; i < 5; i++) await opened('127.0.0.1');
  await delay(50);
  expect(camera.closed).toBe(false);
});

test('another server’s connections are of the same budget, and what it says is in use stays', async () => {
  const other = createNetServer(() => undefined).listen(0, '127.0.0.1');
  await once(other, 'listening');
  connections.share(other);
  const { port } = other.address() as AddressInfo;
  const first = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.1' }).on('error', () => undefined);
  open.push(first);
  await once(first, 'connect');
  connections.use({ remoteAddress: '127.0.0.1', remotePort: first.localPort! });
  for (let i = 0; i < 4; i++) await opened('127.0.0.1');
  await delay(50);
  expect(first.closed).toBe(false);
  expect(await closed()).toEqual({ too_many_of_address: 1 });
  other.close();
});

test('where all are used up, whoever has most of them makes room', async () => {
  const many = [];
  for (let i = 0; i < 4; i++) many.push(await opened('127.0.0.2'));
  for (let i = 3; i < 7; i++) await opened(`127.0.0.${i}`);
  const another = await opened('127.0.0.9', '/');
  const [answer] = (await once(another, 'data')) as [Buffer];
  expect(answer.toString()).toContain('at once');
  expect(many.filter(({ closed: gone }) => gone)).toHaveLength(1);
  expect(await closed()).toEqual({ too_many: 1 });
});

test('whoever has as many as it may, all of them busy, gets no more', async () => {
  for (let i = 0; i < 4; i++) await opened('127.0.0.1', '/slow');
  const more = await opened('127.0.0.1');
  await delay(50);
  expect(more.closed).toBe(true);
  expect(open.filter(({ closed: gone }) => gone)).toEqual([more]);
});
