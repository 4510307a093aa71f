import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ResourceOf } from '../../api/manifests.js';
import { modelFile } from './model-file.js';

const bytes = Buffer.from('the bytes of a network');
const sha256 = createHash('sha256').update(bytes).digest('hex');
const model = (source: string, digest = sha256) =>
  ({ metadata: { name: 'm', namespace: '' }, spec: { source, sha256: digest } }) as ResourceOf<'InferenceModel'>;

describe('a model’s file', () => {
  let dir: string;
  let server: Server;
  let origin: string;
  let requests: number;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'deeprt-test-'));
    requests = 0;
    server = createServer((req, res) => {
      requests++;
      if (req.url === '/m.onnx') res.end(bytes);
      else res.writeHead(404).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await rm(dir, { recursive: true, force: true });
  });

  test('from http is fetched once, checked, and kept by its digest', async () => {
    const path = await modelFile(model(`${origin}/m.onnx`), dir, dir);
    expect(await readFile(path)).toEqual(bytes);
    expect(await modelFile(model(`${origin}/m.onnx`), dir, dir)).toBe(path);
    expect(requests).toBe(1);
  });

  test('is fetched once for all devices that want it at the same time, and failures name no secrets', async () => {
    const paths = await Promise.all([1, 2, 3].map(() => modelFile(model(`${origin}/m.onnx`), dir, dir)));
    expect(new Set(paths).size).toBe(1);
    expect(await readFile(paths[0]!)).toEqual(bytes);
    expect(requests).toBe(1);
    const secret = origin.replace('http://', 'http://user:password@');
    await expect(modelFile(model(`${secret}/gone.onnx?signature=abc`, 'b'.repeat(64)), dir, dir)).rejects.toThrow(
      new RegExp(`cannot fetch ${origin}/gone\\.onnx \\(spec\\.source\\)`),
    );
    await expect(modelFile(model('http://127.0.0.1:1/m.onnx', 'b'.repeat(64)), dir, dir)).rejects.toThrow(
      /ECONNREFUSED|bad port/,
    );
  });

  test('that is not what was meant, or not there, is refused and leaves nothing behind', async () => {
    await expect(modelFile(model(`${origin}/m.onnx`, 'a'.repeat(64)), dir, dir)).rejects.toThrow(
      /model "m": cannot fetch .*sha256 is [0-9a-f]{64}, but spec\.sha256 says aaaa/,
    );
    await expect(modelFile(model(`${origin}/other.onnx`), dir, dir)).rejects.toThrow(/HTTP 404/);
    expect(await readdir(join(dir, 'models'))).toEqual([]);
  });

  test('by a relative file URI starts at the manifest', async () => {
    await writeFile(join(dir, 'my net.onnx'), bytes);
    expect(await modelFile(model('file:./my%20net.onnx'), dir, '/nowhere')).toBe(join(dir, 'my net.onnx'));
    expect(await modelFile(model(`file://${dir}/my%20net.onnx`), '/elsewhere', '/nowhere')).toBe(
      join(dir, 'my net.onnx'),
    );
    await expect(modelFile(model('file:.'), dir, dir)).rejects.toThrow(/is not a file/);
  });
});
