import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from './support/api-server.js';
import type { Running } from './support/cli.js';
import { deeprt, inferJson, standalone, start } from './support/cli.js';
import type { Workspace } from './support/workspace.js';
import { echoNetwork, newWorkspace, tenantManifest } from './support/workspace.js';

/** Traces of frames, as a collector gets them over OTLP. */

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly boolValue?: boolean; readonly intValue?: number };
}
interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Attribute[];
  readonly status: { readonly code?: number; readonly message?: string };
}
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

let collector: Server;
let endpoint: string;
let workspace: Workspace;
let agent: Running;
const spans: Span[] = [];
const services = new Set<string | undefined>();

beforeAll(async () => {
  collector = createServer((req, res) => {
    void json(req).then((body) => {
      for (const { resource, scopeSpans } of (body as Export).resourceSpans) {
        services.add(resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue);
        for (const scope of scopeSpans) spans.push(...scope.spans);
      }
      res.setHeader('content-type', 'application/json').end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  workspace = await newWorkspace();
  await workspace.write(
    'all.yaml',
    await workspace.model('echo', echoNetwork()),
    tenantManifest('gate', { framesPerSecond: 50, streams: 2, deadline: '400ms' }),
  );
  const asked = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: '200', OTEL_SERVICE_NAME: 'edge' };
  Object.assign(process.env, asked);
  agent = await standalone(workspace).finally(() => {
    for (const name of Object.keys(asked)) delete process.env[name];
  });
}, 180_000);
afterAll(async () => {
  await agent.kill('SIGKILL');
  await workspace.dispose();
  collector.closeAllConnections();
  collector.close();
});

async function send(flags: '00' | '01', trace = TRACE, shape = [1, 3, 8, 8]): Promise<number> {
  const input = { name: 'in', shape, datatype: 'FP32', data: Array<number>(192).fill(0) };
  const { status } = await fetch(`${agent.url}/v2/models/default.gate/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${trace}-${PARENT}-${flags}` },
    body: JSON.stringify({ inputs: [input] }),
  });
  return status;
}
const attributes = ({ attributes: all }: Span): Record<string, unknown> =>
  Object.fromEntries(all.map(({ key, value }) => [key, Object.values(value)[0]]));

test('a sampled frame is a span of its sender’s trace, its stages the spans of it, one after the other', async () => {
  expect(await send('01')).toBe(200);
  const own = (): Span[] => spans.filter(({ traceId }) => traceId === TRACE);
  await until(() => own().length === 6, 'all spans');
  const frame = own().find(({ name }) => name === 'frame')!;
  expect(frame.parentSpanId).toBe(PARENT);
  expect(attributes(frame)).toMatchObject({
    'deeprt.tenant': 'default/gate',
    'deeprt.category': 'echo@3x8x8',
    'deeprt.outcome': 'onTime',
    'deeprt.promised': true,
    'deeprt.deadline_us': 400_000,
    'deeprt.batch': 1,
  });
  const stages = own().filter(({ parentSpanId }) => parentSpanId === frame.spanId);
  expect(stages.map(({ name }) => name)).toEqual(['receive', 'decode', 'wait', 'run', 'answer']);
  for (const [i, { startTimeUnixNano, endTimeUnixNano }] of stages.entries()) {
    expect(BigInt(endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(startTimeUnixNano));
    if (i > 0) expect(startTimeUnixNano).toBe(stages[i - 1]!.endTimeUnixNano);
  }
  expect([stages[0]!.startTimeUnixNano, stages[4]!.endTimeUnixNano]).toEqual([
    frame.startTimeUnixNano,
    frame.endTimeUnixNano,
  ]);
  expect(Math.abs(Number(BigInt(frame.endTimeUnixNano) / 1_000_000n) - Date.now())).toBeLessThan(60_000);
  expect([...services]).toEqual(['edge']);
});

test('one that is refused says why; one that its sender does not sample is not told of', async () => {
  const [refused, unsampled, last] = ['1', '2', '3'].map((digit) => digit.repeat(32)) as [string, string, string];
  expect(await send('01', refused, [1, 3, 9, 9])).toBe(400);
  expect(await send('00', unsampled)).toBe(200);
  expect(await send('01', last)).toBe(200);
  await until(() => spans.some(({ traceId }) => traceId === last), 'the last one');
  const frame = spans.find(({ traceId, name }) => traceId === refused && name === 'frame')!;
  expect(attributes(frame)).toMatchObject({ 'deeprt.outcome': 'invalid' });
  expect(frame.status).toMatchObject({ code: 2, message: attributes(frame)['deeprt.code'] });
  expect(spans.some(({ traceId }) => traceId === unsampled)).toBe(false);
});

test('one without a trace begins its own', async () => {
  const before = spans.length;
  expect((await inferJson(agent.url, 'gate', {})).status).toBe(200);
  await until(() => spans.length >= before + 6, 'its spans');
  const frame = spans.slice(before).find(({ name }) => name === 'frame')!;
  expect(frame.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(frame.parentSpanId ?? '').toBe('');
});

test('what is not offered is refused by name, before anything is served', async () => {
  const { child, result } = start(['standalone', '-f', workspace.dir], '', {
    ...process.env,
    OTEL_TRACES_EXPORTER: 'zipkin',
  });
  await once(child, 'close');
  expect(result()).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('OTEL_TRACES_EXPORTER=zipkin') as unknown,
  });
  expect((await deeprt('--help')).code).toBe(0);
});
