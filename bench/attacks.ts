/** Plays one attack: node attacks.js URL PATH MILLISECONDS INPUT DIMS NAME. In a process of its own, so that whoever is measured has theirs. */
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { crc32, deflateSync } from 'node:zlib';
import { jpegOf } from './jpeg.js';

/** What somebody may do to a server at `url` as a tenant, for so long. */
export type Attack = (url: string, path: string, forMs: number) => Promise<void>;

function chunk(type: string, data: Buffer): Buffer {
  const out = Buffer.alloc(data.length + 12);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  data.copy(out, 8);
  out.writeUInt32BE(crc32(out.subarray(4, -4)), out.length - 4);
  return out;
}

/** A black PNG in grey. */
function png(width: number, height: number): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  const data = deflateSync(Buffer.alloc((width + 1) * height), { level: 1 });
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

const sockets = new Agent({ keepAlive: true, maxSockets: 64 });

/** Sends one request and waits until it is answered, whatever the answer. */
const send = (url: string, path: string, type: string, body: Buffer): Promise<void> =>
  new Promise((resolve) => {
    const headers = { 'content-type': type, 'content-length': body.length };
    const sent = request(url + path, { method: 'POST', agent: sockets, headers }, (answer: IncomingMessage) => {
      answer.resume();
      answer.on('close', resolve);
    });
    sent.on('error', () => resolve());
    sent.end(body);
  });

/** So many frames a second, at most `most` of them unanswered. */
const flood =
  (type: string, body: () => Buffer, perSecond: number, most = 64): Attack =>
  async (url, path, forMs) => {
    const made = body();
    const open = new Set<Promise<void>>();
    const startMs = performance.now();
    for (let sent = 0; performance.now() - startMs < forMs;) {
      const due = Math.floor(((performance.now() - startMs) / 1000) * perSecond);
      for (; sent < due && open.size < most; sent++) {
        const one = send(url, path, type, made).finally(() => open.delete(one));
        open.add(one);
      }
      await delay(5);
    }
    await Promise.all(open);
  };

/** Connections that say something, and then a byte a second, or nothing and read nothing, or nothing. */
const linger =
  (count: number, first: (path: string) => Buffer, then: 'drips' | 'deaf' | 'idle'): Attack =>
  async (url, path, forMs) => {
    const { hostname, port } = new URL(url);
    const all = Array.from({ length: count }, () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      socket.write(first(path));
      if (then === 'deaf') socket.pause();
      else socket.resume();
      return socket;
    });
    for (const startMs = performance.now(); performance.now() - startMs < forMs; await delay(1000))
      if (then === 'drips') for (const socket of all) if (!socket.destroyed) socket.write('x');
    for (const socket of all) socket.destroy();
  };

const jsonFrame = (input: string, dims: readonly number[]): Buffer => {
  const elements = dims.reduce((product, dim) => product * dim, 1);
  const data = Array.from({ length: elements }, (_, i) => Math.sin(i));
  return Buffer.from(JSON.stringify({ inputs: [{ name: input, datatype: 'FP32', shape: [1, ...dims], data }] }));
};

/** What neighbours were seen or feared to do, by name. */
const attacks = (input: string, dims: readonly number[]): Readonly<Record<string, Attack>> => ({
  [UHD]: async (...to) => {
    const body = await jpegOf(3840, 2160);
    await flood('image/jpeg', () => body, 80)(...to);
  },
  '1,000 PNGs of one pixel a second': flood('image/png', () => png(1, 1), 1000),
  'a PNG of 64 megapixels a second': flood('image/png', () => png(8191, 8191), 1),
  'bodies of 256 MB': flood('application/octet-stream', () => Buffer.alloc(256 * 1024 ** 2), 1, 2),
  'tensors in JSON, 50 a second': flood('application/json', () => jsonFrame(input, dims), 50),
  '20 times its rate': async (...to) => {
    const body = await jpegOf(640, 480);
    await flood('image/jpeg', () => body, 100)(...to);
  },
  'garbage, 200 bodies a second': flood('image/jpeg', () => garbage, 200),
  '1,000 idle connections': linger(1000, () => Buffer.alloc(0), 'idle'),
  '200 who send heads slowly': linger(200, (path) => head(path, 1).subarray(0, -4), 'drips'),
  '200 who send bodies slowly': linger(200, (path) => head(path, 100_000), 'drips'),
  '200 who never read': linger(200, (path) => Buffer.concat([head(path, png1.length), png1]), 'deaf'),
});

/** Eight cameras of ten frames a second. */
export const UHD = '80 JPEGs of 3840x2160 a second';
export const ATTACKS = Object.keys(attacks('', [])).filter((name) => name !== UHD);

const png1 = png(1, 1);
/** No image, and of the size of one. */
const garbage = Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i * 7919) % 251));
const head = (path: string, bytes: number): Buffer =>
  Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: ${bytes}\r\n\r\n`);

const [url, path, forMs, input, dims, name] = process.argv.slice(2);
if (name !== undefined && import.meta.filename === process.argv[1])
  await attacks(input!, dims!.split('x').map(Number))[name]!(url!, path!, Number(forMs));
