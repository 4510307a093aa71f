/** Sends frames of one form, a few at a time, and counts the answers: node raw-client.js URL FORM SECONDS */
import { Pool } from 'undici';
import { jpegOf } from './jpeg.js';

const CONNECTIONS = 24;
const WARM_UP_MS = 2000;
const DIMS = [3, 224, 224];
const ELEMENTS = 3 * 224 * 224;

const [url, form, seconds] = process.argv.slice(2) as [string, string, string];
const { origin, pathname } = new URL(url);
const pool = new Pool(origin, { connections: CONNECTIONS });

/** A frame as `Tensor`, `JSON`, or a JPEG of so many pixels such as `640x480`. */
async function frameOf(): Promise<{ headers: Record<string, string>; body: Buffer }> {
  const input = { name: 'in', shape: [1, ...DIMS], datatype: 'UINT8' };
  const outputs = [{ name: 'out', parameters: { binary_data: true } }];
  if (form === 'JSON') {
    const data = Array.from({ length: ELEMENTS }, (_, i) => i % 200);
    const body = Buffer.from(JSON.stringify({ inputs: [{ ...input, data }], outputs }));
    return { headers: { 'content-type': 'application/json' }, body };
  }
  if (form === 'Tensor') {
    const inputs = [{ ...input, parameters: { binary_data_size: ELEMENTS } }];
    const head = Buffer.from(JSON.stringify({ inputs, outputs }));
    const headers = {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': `${head.length}`,
    };
    return { headers, body: Buffer.concat([head, Buffer.alloc(ELEMENTS, 7)]) };
  }
  const [width, height] = form.split('x').map(Number) as [number, number];
  const headers = { 'content-type': 'image/jpeg', accept: 'application/octet-stream' };
  return { headers, body: await jpegOf(width, height) };
}
const { headers, body } = await frameOf();

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
