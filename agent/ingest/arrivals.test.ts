import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Worker } from 'node:worker_threads';
import { expect, test } from '@jest/globals';
import { nowUs } from '../../kube/clock.js';
import { Arrivals } from './arrivals.js';

/** Sends a request 20 ms from now, from a thread that nothing holds up, and tells when that is done. */
const SENDER = `
  const { url, sent } = require('node:worker_threads').workerData;
  setTimeout(() => require('node:http').get(url).on('finish', () => Atomics.store(sent, 0, 1)), 20);
`;

test('what came while the event loop was held up counts from then, and what comes when it is not from its own time', async () => {
  const arrivals = new Arrivals();
  const seen: number[] = [];
  const server = createServer((_req, res) => {
    seen.push(nowUs() - arrivals.nowUs);
    res.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sent = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(SENDER, { eval: true, workerData: { url, sent } });
  await once(worker, 'online');
  await new Promise((resolve) => setTimeout(resolve, 10));
  for (const giveUpUs = nowUs() + 20_000_000; Atomics.load(sent, 0) === 0 && nowUs() < giveUpUs;);
  for (const untilUs = nowUs() + 700_000; nowUs() < untilUs;);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const [response] = (await once(request(url).end(), 'response')) as [NodeJS.ReadableStream];
  response.resume();
  arrivals.stop();
  server.closeAllConnections();
  server.close();
  await worker.terminate();
  expect(seen).toHaveLength(2);
  expect(seen[0]).toBeGreaterThan(500_000);
  expect(seen[1]).toBeLessThan(200_000);
});
