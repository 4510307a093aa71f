import { X509Certificate } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { generate } from 'selfsigned';
import { Agent, request } from 'undici';
import type { Running } from './support/cli.js';
import { deeprt, standalone } from './support/cli.js';
import type { Workspace } from './support/workspace.js';
import { echoNetwork, newWorkspace, tenantManifest } from './support/workspace.js';

interface Certificate {
  readonly cert: string;
  readonly private: string;
}

const certificate = (): Promise<Certificate> =>
  generate([{ name: 'commonName', value: 'deeprt' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });

describe('frames over HTTPS', () => {
  let workspace: Workspace;
  let agent: Running;
  let dir: string;
  let first: Certificate;

  const keep = async ({ cert, private: key }: Certificate): Promise<void> => {
    await writeFile(join(dir, 'tls.crt'), cert);
    await writeFile(join(dir, 'tls.key'), key);
  };
  const port = (): number => Number(new URL(agent.url).port);
  /** The certificate that a new connection is shown. */
  const shown = async (at = port()): Promise<string> => {
    const options = { host: '127.0.0.1', port: at, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] };
    const socket: TLSSocket = connect(options);
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerX509Certificate()!;
    socket.destroy();
    return fingerprint256;
  };
  const infer = async (trusted: Certificate): Promise<number> => {
    const dispatcher = new Agent({ connect: { ca: trusted.cert } });
    try {
      const { statusCode, body } = await request(`${agent.url}/v2/models/default.gate/infer`, {
        method: 'POST',
        dispatcher,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          inputs: [{ name: 'in', shape: [1, 3, 8, 8], datatype: 'FP32', data: Array(192).fill(0) }],
        }),
      });
      await body.dump();
      return statusCode;
    } finally {
      await dispatcher.close();
    }
  };

  beforeAll(async () => {
    workspace = await newWorkspace();
    await workspace.write(
      'all.yaml',
      await workspace.model('echo', echoNetwork()),
      tenantManifest('gate', { framesPerSecond: 50, jitter: '10ms', deadline: '2s' }),
    );
    dir = join(workspace.root, 'tls');
    await mkdir(dir);
    first = await certificate();
    await keep(first);
    agent = await standalone(workspace, '--tls-dir', dir, '--grpc', '127.0.0.1:0');
  });
  afterAll(async () => {
    await agent.kill('SIGKILL');
    await workspace.dispose();
  });

  test('are answered to those who trust the certificate, and to nobody else', async () => {
    expect(agent.url).toMatch(/^https:/);
    expect(await infer(first)).toBe(200);
    await expect(infer(await certificate())).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    await expect(fetch(agent.url.replace('https', 'http'))).rejects.toThrow();
  });

  test('a renewed certificate is used without a restart; one that is not usable is told, and the last stays', async () => {
    const second = await certificate();
    const old = await shown();
    await writeFile(join(dir, 'tls.crt'), second.cert); // with the first one's key
    const { error } = await agent.logged(({ msg }) => msg.startsWith('certificate not usable'));
    expect(error).toBe(`${join(dir, 'tls.key')} is not the key of ${join(dir, 'tls.crt')}`);
    expect(await shown()).toBe(old);
    await keep(second);
    const renewed = new X509Certificate(second.cert).fingerprint256;
    for (const until = Date.now() + 30_000; (await shown()) !== renewed && Date.now() < until;)
      await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await infer(second)).toBe(200);
    const { grpc } = await agent.logged(({ msg }) => msg === 'listening for gRPC');
    const grpcPort = Number(String(grpc).split(':').at(-1));
    for (const until = Date.now() + 30_000; (await shown(grpcPort)) !== renewed && Date.now() < until;)
      await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await shown(grpcPort)).toBe(renewed);
  }, 90_000);

  test.each([
    ['nothing', {}, /tls\.crt: ENOENT/],
    ['no certificate', { 'tls.crt': 'hello', 'tls.key': 'secret' }, /tls\.crt: no PEM certificate/],
  ])('--tls-dir with %s is refused, and no key is quoted', async (_what, files, message) => {
    const bad = join(workspace.root, `bad-${Object.keys(files).length}`);
    await mkdir(bad);
    for (const [name, text] of Object.entries(files)) await writeFile(join(bad, name), text);
    const { code, stderr } = await deeprt(
      'standalone',
      '-f',
      workspace.dir,
      '--state',
      workspace.state,
      '--tls-dir',
      bad,
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('secret');
  });
});
