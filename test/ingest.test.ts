import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { Running } from './support/cli.js';
import { inferJson, standalone } from './support/cli.js';
import { identityNetwork } from './support/onnx.js';
import type { Workspace } from './support/workspace.js';
import { echoNetwork, newWorkspace, tenantManifest } from './support/workspace.js';

interface Infer {
  model_name: string;
  id?: string;
  parameters: {
    queued_us: number;
    executed_us: number;
    latency_us: number;
    deadline_us: number;
    deadline_met: boolean;
    batch_size: number;
  };
  outputs: {
    name: string;
    datatype: string;
    shape: number[];
    data?: number[];
    parameters?: { binary_data_size: number };
  }[];
}

/** A real agent, a real ONNX Runtime session, a real HTTP client. */
describe('frames over HTTP', () => {
  let workspace: Workspace;
  let agent: Running;
  let url: string;

  beforeAll(async () => {
    workspace = await newWorkspace();
    await workspace.write(
      'all.yaml',
      await workspace.model('echo', echoNetwork(), {
        preprocessing: { scale: 0.5, mean: [1, 2, 3], std: [1, 2, 4], colorOrder: 'BGR' },
      }),
      await workspace.model('bytes', identityNetwork('uint8', ['n', 8, 8, 3]), {
        input: { name: 'in', layout: 'NHWC', elementType: 'uint8' },
      }),
      // Enough rate for the tests; `slow` is for policing.
      tenantManifest('gate', { framesPerSecond: 100, streams: 4, jitter: '10ms', deadline: '2s' }),
      tenantManifest('raw', { modelRef: { name: 'bytes' }, framesPerSecond: 20, streams: 50, deadline: '2s' }),
      tenantManifest('slow', { framesPerSecond: 0.5, jitter: '100ms', deadline: '2s', beyondPromise: 'Refuse' }),
      tenantManifest('eager', { framesPerSecond: 0.5, jitter: '100ms', deadline: '2s' }),
      tenantManifest('spare', { class: 'BestEffort', framesPerSecond: 50, deadline: undefined }),
    );
    agent = await standalone(workspace);
    url = agent.url;
  });
  afterAll(async () => {
    await agent.kill('SIGKILL');
    await workspace.dispose();
  });

  const values = Array.from({ length: 192 }, (_, i) => i / 7);
  const post = (tenant: string, headers: Record<string, string>, body: Uint8Array | string): Promise<Response> =>
    fetch(`${url}/v2/models/default.${tenant}/infer`, { method: 'POST', headers, body: body as string });

  test('a JSON tensor is answered with the network’s output and the frame’s times', async () => {
    const response = await inferJson(url, 'gate', { data: values }, { id: 'frame-1' });
    expect(response.status).toBe(200);
    const answer = (await response.json()) as Infer;
    expect(answer).toMatchObject({
      model_name: 'default.gate',
      id: 'frame-1',
      outputs: [{ name: 'out', datatype: 'FP32', shape: [1, 3, 8, 8] }],
    });
    expect(answer.outputs[0]!.data).toEqual(values.map(Math.fround));
    const { queued_us, executed_us, latency_us, deadline_us, deadline_met, batch_size } = answer.parameters;
    expect(deadline_us).toBe(2_000_000);
    expect(deadline_met).toBe(true);
    expect(batch_size).toBe(1);
    expect(queued_us + executed_us).toBeLessThanOrEqual(latency_us);
  });

  test('nested JSON data is taken too', async () => {
    const nested = [
      Array.from({ length: 3 }, (_, c) =>
        Array.from({ length: 8 }, (__, y) => values.slice(c * 64 + y * 8, c * 64 + y * 8 + 8)),
      ),
    ];
    const answer = (await (await inferJson(url, 'gate', { data: nested })).json()) as Infer;
    expect(answer.outputs[0]!.data).toEqual(values.map(Math.fround));
  });

  test('binary tensors go in and come out', async () => {
    const tensor = new Uint8Array(Float32Array.from(values).buffer);
    const header = JSON.stringify({
      inputs: [{ name: 'in', shape: [1, 3, 8, 8], datatype: 'FP32', parameters: { binary_data_size: tensor.length } }],
      outputs: [{ name: 'out', parameters: { binary_data: true } }],
    });
    const response = await post(
      'gate',
      { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(header.length) },
      Buffer.concat([Buffer.from(header), tensor]),
    );
    expect(response.status).toBe(200);
    const body = new Uint8Array(await response.arrayBuffer());
    const length = Number(response.headers.get('inference-header-content-length'));
    const answer = JSON.parse(new TextDecoder().decode(body.subarray(0, length))) as Infer;
    expect(answer.outputs[0]!.parameters!.binary_data_size).toBe(tensor.length);
    expect(body.subarray(length)).toEqual(tensor);
  });

  test('bytes in NHWC order go through unchanged', async () => {
    const data = Array.from({ length: 192 }, (_, i) => i);
    const answer = (await (
      await inferJson(url, 'raw', { shape: [1, 8, 8, 3], datatype: 'UINT8', data })
    ).json()) as Infer;
    expect(answer.outputs[0]).toMatchObject({ datatype: 'UINT8', shape: [1, 8, 8, 3], data });
  });

  const colour = { r: 200, g: 100, b: 50 };
  const picture = (format: 'jpeg' | 'png'): Promise<Buffer> =>
    sharp({ create: { width: 64, height: 48, channels: 3, background: colour } })
      .toFormat(format, { quality: 100 })
      .toBuffer();

  test.each(['jpeg', 'png'] as const)(
    'an image/%s body is decoded, resized and normalized per channel in the model’s colour order',
    async (format) => {
      const answer = (await (
        await post('gate', { 'content-type': `image/${format}` }, await picture(format))
      ).json()) as Infer;
      const channel = (c: number): number[] => answer.outputs[0]!.data!.slice(c * 64, c * 64 + 64);
      // (pixel · 0.5 − mean) / std, blue first.
      for (const [c, expected] of [(50 * 0.5 - 1) / 1, (100 * 0.5 - 2) / 2, (200 * 0.5 - 3) / 4].entries())
        for (const value of channel(c)) expect(Math.abs(value - expected)).toBeLessThan(1.01);
    },
  );

  test('an image for a uint8 NHWC network is its pixels', async () => {
    const answer = (await (await post('raw', { 'content-type': 'image/png' }, await picture('png'))).json()) as Infer;
    expect(answer.outputs[0]!.data!.slice(0, 6)).toEqual([200, 100, 50, 200, 100, 50]);
  });

  test('a best-effort tenant is answered without a deadline', async () => {
    const answer = (await (await inferJson(url, 'spare', { data: values })).json()) as Infer;
    expect(answer.parameters).not.toHaveProperty('deadline_met');
    expect(answer.outputs[0]!.data).toEqual(values.map(Math.fround));
  });

  test('frames sent together share batches and get their own answers back', async () => {
    const frames = Array.from({ length: 40 }, (_, k) => Array.from({ length: 192 }, (__, i) => (i + k) % 256));
    // A device this fast may have run each frame before the next one came: then once more.
    let largestBatch = 0;
    for (let round = 0; round < 50 && largestBatch < 2; round++) {
      const answers = await Promise.all(
        frames.map(async (data) => {
          const response = await inferJson(url, 'raw', { shape: [1, 8, 8, 3], datatype: 'UINT8', data });
          return (await response.json()) as Infer;
        }),
      );
      expect(answers.map(({ outputs }) => outputs[0]!.data)).toEqual(frames);
      largestBatch = Math.max(...answers.map(({ parameters }) => parameters.batch_size));
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    expect(largestBatch).toBeGreaterThan(1);
  });

  test('server, model and health are described as the protocol says', async () => {
    const get = async (path: string): Promise<[number, unknown]> => {
      const response = await fetch(url + path);
      return [response.status, await response.json()];
    };
    expect(await get('/v2')).toEqual([
      200,
      expect.objectContaining({ name: 'deeprt', extensions: expect.arrayContaining(['binary_tensor_data']) }),
    ]);
    expect(await get('/v2/health/live')).toEqual([200, { live: true }]);
    expect(await get('/v2/health/ready')).toEqual([200, { ready: true }]);
    expect(await get('/healthz')).toEqual([200, { live: true }]);
    expect(await get('/readyz')).toEqual([200, { ready: true }]);
    expect(await get('/v2/models/default.gate/ready')).toEqual([200, { name: 'default.gate', ready: true }]);
    expect(await get('/v2/models/default.nobody/ready')).toEqual([404, { name: 'default.nobody', ready: false }]);
    expect(await get('/v2/models/default.gate')).toEqual([
      200,
      expect.objectContaining({
        platform: 'onnxruntime_onnx',
        inputs: [{ name: 'in', datatype: 'FP32', shape: [1, 3, 8, 8] }],
        outputs: [{ name: 'out', datatype: 'FP32', shape: [1, 3, 8, 8] }],
      }),
    ]);
    expect((await get('/elsewhere'))[0]).toBe(404);
  });

  test('frames beyond the admitted rate are answered in spare time, and told apart', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => inferJson(url, 'eager', {})));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
    const promised = await Promise.all(
      answers.map(
        async (answer) => ((await answer.json()) as { parameters: { promised: boolean } }).parameters.promised,
      ),
    );
    expect(promised.filter(Boolean)).toHaveLength(1);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/deeprt_spare_frames_total\{namespace="default",tenant="eager",outcome="onTime"\} 5/);
    expect(metrics).toMatch(/deeprt_deadline_misses_total\{namespace="default",tenant="eager"\} 0/);
  });

  test('frames beyond the admitted rate are refused with the time to try again, where the tenant wants that', async () => {
    expect((await inferJson(url, 'slow', {})).status).toBe(200);
    const second = await inferJson(url, 'slow', {});
    expect(second.status).toBe(429);
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await second.json()).toMatchObject({
      error: expect.stringMatching(/sooner than the 0\.5 a second/) as unknown,
      code: 'RateExceeded',
      retry_after_ms: expect.any(Number) as unknown,
    });
  });

  const jsonHeaders = { 'content-type': 'application/json' };
  const bad: [string, () => Promise<Response>, number, RegExp][] = [
    ['an unknown tenant', () => inferJson(url, 'nobody', {}), 404, /no tenant "default\.nobody" is served here/],
    ['too few values', () => inferJson(url, 'gate', { data: values.slice(1) }), 400, /must have 192 elements, not 191/],
    [
      'too many values',
      () => inferJson(url, 'gate', { data: [...values, 1] }),
      400,
      /must have 192 elements, but has more/,
    ],
    [
      'a wrong shape',
      () => inferJson(url, 'gate', { shape: [1, 3, 4, 16] }),
      400,
      /inputs\[0\]\.shape: must be \[1,3,8,8\]/,
    ],
    ['several frames', () => inferJson(url, 'gate', { shape: [2, 3, 8, 8] }), 400, /one frame a request/],
    ['a wrong datatype', () => inferJson(url, 'gate', { datatype: 'INT64' }), 400, /must be FP32, not "INT64"/],
    ['a wrong input name', () => inferJson(url, 'gate', { name: 'x' }), 400, /must be "in"/],
    [
      'text among the numbers',
      () => inferJson(url, 'gate', { data: ['a', ...values.slice(1)] }),
      400,
      /element 0 is not a number/,
    ],
    [
      'a byte out of range',
      () =>
        inferJson(url, 'raw', { shape: [1, 8, 8, 3], datatype: 'UINT8', data: [256, ...Array<number>(191).fill(0)] }),
      400,
      /is not a UINT8/,
    ],
    [
      'data nested without end',
      () =>
        post(
          'gate',
          jsonHeaders,
          `{"inputs":[{"name":"in","shape":[1,3,8,8],"datatype":"FP32","data":${'['.repeat(2000)}${']'.repeat(2000)}}]}`,
        ),
      400,
      /nested deeper than a tensor/,
    ],
    ['no inputs', () => post('gate', jsonHeaders, '{}'), 400, /inputs: required/],
    ['no JSON', () => post('gate', jsonHeaders, '{"inputs":'), 400, /not JSON/],
    ['JSON null', () => post('gate', jsonHeaders, 'null'), 400, /the body must be an inference request/],
    ['an empty body', () => post('gate', jsonHeaders, ''), 400, /not JSON/],
    [
      'an unknown output',
      () => inferJson(url, 'gate', {}, { outputs: [{ name: 'nothing' }] }),
      400,
      /no output "nothing"; it has out/,
    ],
    [
      'a header longer than the body',
      () => post('gate', { 'inference-header-content-length': '999' }, '{}'),
      400,
      /must be between 0 and/,
    ],
    [
      'no JPEG',
      () => post('gate', { 'content-type': 'image/jpeg' }, 'not a picture'),
      400,
      /not an image that can be decoded/,
    ],
    [
      'a truncated JPEG',
      async () => post('gate', { 'content-type': 'image/jpeg' }, (await picture('jpeg')).subarray(0, 250)),
      400,
      /not an image that can be decoded/,
    ],
    [
      'another kind of image',
      () => post('gate', { 'content-type': 'image/gif' }, 'GIF89a'),
      415,
      /send image\/jpeg, image\/png or a tensor/,
    ],
    ['an oversized body', () => post('gate', jsonHeaders, 'x'.repeat(200_000)), 413, /larger than the \d+ bytes/],
  ];
  test.each(bad)('%s is refused with what is wrong', async (_what, send, status, message) => {
    const response = await send();
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: string }).error).toMatch(message);
    // And whoever does it right is served as before.
    expect(
      (await inferJson(url, 'raw', { shape: [1, 8, 8, 3], datatype: 'UINT8', data: Array(192).fill(1) })).status,
    ).toBe(200);
  });

  test('a chunked body that grows too large is cut off', async () => {
    let sent = 0;
    const large = new ReadableStream({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        controller.enqueue(new Uint8Array(65_536));
        if (++sent === 1000) controller.close();
      },
    });
    const outcome = await fetch(`${url}/v2/models/default.gate/infer`, {
      method: 'POST',
      body: large,
      duplex: 'half',
    }).then(
      ({ status }) => status,
      () => 'closed',
    );
    expect([413, 'closed']).toContain(outcome);
    expect(sent).toBeLessThan(1000);
  });

  test('clients that go away, mid-request or before their answer, leave nothing behind', async () => {
    const { hostname, port } = new URL(url);
    const body = JSON.stringify({
      inputs: [{ name: 'in', shape: [1, 3, 8, 8], datatype: 'FP32', data: Array(192).fill(0) }],
    });
    for (const sent of [10, body.length]) {
      const socket = connect(Number(port), hostname);
      await once(socket, 'connect');
      socket.write(
        `POST /v2/models/default.gate/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, sent)}`,
      );
      await new Promise((resolve) => setTimeout(resolve, 5));
      socket.destroy();
    }
    const waiting = async (): Promise<number> => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(/^deeprt_queue_depth\{device="0",category="echo@3x8x8"\} (\d+)/m.exec(text)?.[1]);
    };
    for (let i = 0; i < 100 && (await waiting()) > 0; i++) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await waiting()).toBe(0);
    expect((await inferJson(url, 'gate', {})).status).toBe(200);
  });

  test('metrics count every frame once, by outcome', async () => {
    const text = async (): Promise<string> => (await fetch(`${url}/metrics`)).text();
    const count = (metrics: string, outcome: string): number =>
      Number(
        new RegExp(`^deeprt_frames_total\\{namespace="default",tenant="gate",outcome="${outcome}"\\} (\\d+)`, 'm').exec(
          metrics,
        )?.[1] ?? 0,
      );
    const before = await text();
    await inferJson(url, 'gate', {});
    await inferJson(url, 'gate', { datatype: 'INT8' });
    const after = await text();
    expect(count(after, 'onTime') - count(before, 'onTime')).toBe(1);
    expect(count(after, 'invalid') - count(before, 'invalid')).toBe(1);
    for (const name of [
      'deeprt_frame_latency_seconds_bucket',
      'deeprt_job_duration_seconds_bucket',
      'deeprt_batch_size_bucket',
      'deeprt_device_busy_seconds_total',
      'deeprt_admitted_utilization_ratio',
      'deeprt_admission_decisions_total{reason="Admitted"}',
      'deeprt_reconcile_duration_seconds_count',
      'deeprt_queue_depth',
      'deeprt_category_gap_seconds',
      'nodejs_eventloop_lag_seconds',
    ])
      expect(after).toContain(name);
  });
});
