/** Sends raw frames as binary tensors, a few at a time, and counts the answers: node raw-client.js URL BYTES SECONDS */
import { Pool } from 'undici';

const CONNECTIONS = 24;
const WARM_UP_MS = 2000;

const [url, bytes, seconds] = process.argv.slice(2) as [string, string, string];
const { origin, pathname } = new URL(url);
const pool = new Pool(origin, { connections: CONNECTIONS });
const header = Buffer.from(
  JSON.stringify({
    inputs: [
      { name: 'in', shape: [1, 3, 224, 224], datatype: 'UINT8', parameters: { binary_data_size: Number(bytes) } },
    ],
    outputs: [{ name: 'out', parameters: { binary_data: true } }],
  }),
);
const body = Buffer.concat([header, Buffer.alloc(Number(bytes), 7)]);
const headers = {
  'content-type': 'application/octet-stream',
  'inference-header-content-length': String(header.length),
};

let answered = 0;
const startMs = performance.now() + WARM_UP_MS;
const endMs = startMs + Number(seconds) * 1000;
await Promise.all(
  Array.from({ length: CONNECTIONS }, async () => {
    while (performance.now() < endMs) {
      const response = await pool.request({ method: 'POST', path: pathname, headers, body });
      await response.body.dump();
      if (response.statusCode === 200 && performance.now() >= startMs) answered++;
    }
  }),
);
await pool.close();
console.log(`${(answered / Number(seconds)).toFixed(0)} frames a second`);
