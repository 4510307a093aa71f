import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ResourceOf } from '../../api/manifests.js';
import { externalNetwork } from '../../test/support/onnx.js';
import { StillComing, cleanUp, modelFile, stopFetching } from './model-file.js';

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
      else if (req.url === '/to/m.onnx') res.writeHead(302, { location: '/m.onnx' }).end();
      else if (req.url === '/away') res.writeHead(302, { location: 'http://127.0.0.2:1/m.onnx' }).end();
      else if (req.url === '/slow.onnx') setTimeout(() => res.end(bytes), 300);
      else if (req.url === '/short.onnx')
        res.writeHead(200, { 'content-length': '100' }).write(bytes, () => req.socket.destroy());
      else if (req.url === '/huge.onnx') res.writeHead(200, { 'content-length': `${1e15}` }).write(bytes);
      else if (req.url === '/silent.onnx') res.writeHead(200).write(bytes);
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
      /model "m": what comes from .* has sha256 [0-9a-f]{64}, but spec\.sha256 says aaaa/,
    );
    await expect(modelFile(model(`${origin}/other.onnx`), dir, dir)).rejects.toThrow(/HTTP 404/);
    expect(await readdir(join(dir, 'models'))).toEqual([]);
  });

  test('by a relative file URI starts at the manifest, and what becomes of the original changes nothing', async () => {
    await writeFile(join(dir, 'my net.onnx'), bytes);
    const state = join(dir, 'state');
    const path = await modelFile(model('file:./my%20net.onnx'), dir, state);
    expect(path.startsWith(join(state, 'models'))).toBe(true);
    await writeFile(join(dir, 'my net.onnx'), 'something else');
    expect(await readFile(path)).toEqual(bytes);
    expect(await modelFile(model(`file://${dir}/my%20net.onnx`), '/elsewhere', state)).toBe(path);
    await expect(modelFile(model('file:.', 'b'.repeat(64)), dir, state)).rejects.toThrow(/is not a file/);
    await expect(modelFile(model('file:./my%20net.onnx', 'b'.repeat(64)), dir, state)).rejects.toThrow(
      /my net\.onnx has sha256 [0-9a-f]{64}, but spec\.sha256 says bbbb/,
    );
  });

  test('that takes long is told to be on its way, and is there when asked for later; what was left of others is cleaned up', async () => {
    await mkdir(join(dir, 'models', `${'c'.repeat(64)}.part`), { recursive: true });
    await cleanUp(dir);
    expect(await readdir(join(dir, 'models'))).toEqual([]);
    const slow = model(`${origin}/slow.onnx`);
    await expect(modelFile(slow, dir, dir, undefined, 50)).rejects.toThrow(StillComing);
    await expect(modelFile(slow, dir, dir, undefined, 50)).rejects.toThrow(/is being fetched from http:/);
    expect(await readFile(await modelFile(slow, dir, dir, undefined, 5000))).toEqual(bytes);
    expect(requests).toBe(1);
  });

  test('that announces more than comes, or is never sent, is refused; so is one whose fetch is stopped', async () => {
    await expect(modelFile(model(`${origin}/short.onnx`), dir, dir)).rejects.toThrow(/cannot fetch/);
    await expect(modelFile(model(`${origin}/huge.onnx`), dir, dir)).rejects.toThrow(/the most that fit here/);
    const coming = modelFile(model(`${origin}/silent.onnx`), dir, dir, undefined, 5000);
    setTimeout(() => stopFetching(dir), 50);
    await expect(coming).rejects.toThrow(/cannot fetch/);
  });

  describe('from where it may come', () => {
    test('is checked for each redirect and each link, and nothing is told of other places', async () => {
      const from = [`${origin}/`, `file://${dir}/models-here/`];
      expect(await readFile(await modelFile(model(`${origin}/to/m.onnx`), dir, dir, from))).toEqual(bytes);
      await rm(join(dir, 'models'), { recursive: true });
      await expect(modelFile(model(`${origin}/away`), dir, dir, from)).rejects.toThrow(
        /models may not come from http:\/\/127\.0\.0\.2:1; --models-from says from where they may/,
      );
      await mkdir(join(dir, 'models-here'));
      await writeFile(join(dir, 'models-here', 'own.onnx'), bytes);
      await writeFile(join(dir, 'secret'), 'secret');
      await symlink(join(dir, 'secret'), join(dir, 'models-here', 'link.onnx'));
      const tried = (source: string, sha = sha256): Promise<string> =>
        modelFile(model(source, sha), `${dir}/models-here`, dir, from);
      expect(await readFile(await tried('file:own.onnx'))).toEqual(bytes);
      for (const source of ['file:../secret', 'file:link.onnx', `file://${dir}/secret`, 'file:../nothing'])
        await expect(tried(source, 'd'.repeat(64))).rejects.toThrow(/models may not come from there; /);
      await expect(tried('https://example.com/m.onnx', 'd'.repeat(64))).rejects.toThrow(/may not come from https:/);
    });
  });

  describe('with weights beside it', () => {
    const network = externalNetwork('net.data');
    const own = (more: object = {}, source = 'file:net.onnx') =>
      ({
        metadata: { name: 'm', namespace: '' },
        spec: { source, sha256: createHash('sha256').update(network).digest('hex'), ...more },
      }) as ResourceOf<'InferenceModel'>;
    const weights = Buffer.alloc(4 * 3 * 8 * 8, 1);
    const digest = createHash('sha256').update(weights).digest('hex');

    test('brings its own along, and keeps them as they were', async () => {
      await writeFile(join(dir, 'net.onnx'), network);
      await expect(modelFile(own(), dir, dir)).rejects.toThrow(/there is no file .*net\.data beside the ONNX file/);
      await writeFile(join(dir, 'net.data'), weights);
      const path = await modelFile(own(), dir, dir);
      await writeFile(join(dir, 'net.data'), 'changed');
      expect(await readFile(join(dirname(path), 'net.data'))).toEqual(weights);
    });

    test('takes those of another name only with their digest, and none from elsewhere', async () => {
      await writeFile(join(dir, 'other.onnx'), network);
      await writeFile(join(dir, 'net.data'), weights);
      await expect(modelFile(own({}, 'file:other.onnx'), dir, dir)).rejects.toThrow(
        /"net\.data" may be another model's, since its name does not begin with "other"; name it in spec\.externalData/,
      );
      const declared = { externalData: [{ name: 'net.data', sha256: digest }] };
      const path = await modelFile(own(declared, 'file:other.onnx'), dir, dir);
      expect(await readFile(join(dirname(path), 'net.data'))).toEqual(weights);
      const wrong = { externalData: [{ name: 'net.data', sha256: 'e'.repeat(64) }] };
      await expect(modelFile(own(wrong, 'file:other.onnx'), dir, dir)).rejects.toThrow(
        /is not the file that was meant/,
      );
      for (const name of ['../net.data', '/etc/passwd', 'a/../../net.data']) {
        const outside = externalNetwork(name);
        await writeFile(join(dir, 'outside.onnx'), outside);
        const sha = createHash('sha256').update(outside).digest('hex');
        await expect(modelFile(model('file:outside.onnx', sha), dir, dir)).rejects.toThrow(
          /is not beside the ONNX file/,
        );
      }
      await rm(join(dir, 'net.data'));
      await writeFile(join(dir, '..', 'deeprt-elsewhere.data'), weights);
      await symlink(join(dir, '..', 'deeprt-elsewhere.data'), join(dir, 'net.data'));
      await writeFile(join(dir, 'net.onnx'), network);
      await expect(modelFile(own(), dir, dir)).rejects.toThrow(/leads out of the folder/);
      await rm(join(dir, '..', 'deeprt-elsewhere.data'));
    });
  });
});
