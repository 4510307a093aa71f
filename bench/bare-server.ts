/** The yardstick for ingest: Express that reads a frame and says so. */
import type { AddressInfo } from 'node:net';
import express from 'express';

const app = express();
app.post('/', (req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => res.json({ bytes: chunks.reduce((sum, { length }) => sum + length, 0) }));
});
const server = app.listen(0, '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`),
);
process.on('SIGTERM', () => process.exit(0));
