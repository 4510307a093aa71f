/**
 * `make bench-protocols`: what a frame costs besides its run, by protocol, in this project, Triton and BentoML, one after the
 * other in one run: a network that gives back what it is given, asked by one client for latencies, and by many for what a core
 * of the server does in a second.
 */
import { createHash } from 'node:crypto';
import { readFile, readdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createHistogram } from 'node:perf_hooks';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { table } from '../../cli/table.js';
import { identityNetwork } from '../../test/support/onnx.js';
import { jpegOf } from '../jpeg.js';
import type { Ask, Asking } from './askers.js';
import { rest, streamed, unary } from './askers.js';
import { environment } from './environment.js';
import type { Network, Running, System, Tenant } from './systems.js';
import { bentoml, deeprt, frameOf, triton } from './systems.js';

const DIMS = [3, 64, 64];
const [LATENCY_MS, RATE_MS, WARM_UP_MS] = [4000, 5000, 1000];
const CALLERS = 16;
/** Ticks of /proc a second; the same on all Linux machines. */
const TICKS = 100;

interface Row {
  readonly system: string;
  readonly protocol: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
  readonly perCoreSecond: number;
}

/** The processor time that all processes of a session have taken, in seconds. */
async function sessionSeconds(session: number): Promise<number> {
  let ticks = 0;
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const fields = /\) (.*)$/s.exec(stat)?.[1]!.split(' ');
    if (fields === undefined || Number(fields[3]) !== session) continue;
    for (const field of fields.slice(11, 13)) ticks += Number(field);
  }
  return ticks / TICKS;
}

/** Calls one after the other for so long; how many were answered. */
async function callFor(ask: Ask, forMs: number, told: (us: number) => void = () => undefined): Promise<number> {
  let calls = 0;
  for (const startMs = performance.now(); performance.now() - startMs < forMs;) {
    const atMs = performance.now();
    if (await ask()) calls++;
    told(Math.max(1, Math.round(1000 * (performance.now() - atMs))));
  }
  return calls;
}

async function measure(system: string, protocol: string, { asker, close }: Asking, pid: number): Promise<Row> {
  try {
    const first = asker();
    await callFor(first, WARM_UP_MS);
    const latency = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
    await callFor(first, LATENCY_MS, (us) => latency.record(us));
    const askers = Array.from({ length: CALLERS }, asker);
    await Promise.all(askers.map((ask) => callFor(ask, WARM_UP_MS)));
    const before = await sessionSeconds(pid);
    const startMs = performance.now();
    const calls = await Promise.all(askers.map((ask) => callFor(ask, RATE_MS)));
    const seconds = (performance.now() - startMs) / 1000;
    const all = calls.reduce((sum, each) => sum + each, 0);
    return {
      system,
      protocol,
      p50Ms: latency.percentile(50) / 1000,
      p99Ms: latency.percentile(99) / 1000,
      perSecond: all / seconds,
      perCoreSecond: all / ((await sessionSeconds(pid)) - before),
    };
  } finally {
    await close();
  }
}

/** The ways of sending a frame that a server has. */
async function protocolsOf({ name }: System, running: Running, tenant: Tenant): Promise<[string, Asking][]> {
  const { network, cameras } = tenant;
  const sender = running.senderOf(tenant);
  if (running.grpc === undefined) return [['REST, bytes', rest(running.url, sender)]];
  const frame = frameOf(network);
  const tensor = { name: network.input, datatype: 'FP32', shape: [1, ...network.dims] };
  const data = [...new Float32Array(frame.buffer, frame.byteOffset, frame.length / 4)];
  const json = Buffer.from(JSON.stringify({ inputs: [{ ...tensor, data }] }));
  const model = name === 'DeepRT' ? `default.${cameras.tenant}` : network.name;
  const request = { model_name: model, inputs: [tensor], raw_input_contents: [frame] };
  const { path } = sender;
  const images = { 'content-type': 'image/jpeg', accept: 'application/octet-stream' };
  return [
    ['REST, JSON', rest(running.url, { path, headers: { 'content-type': 'application/json' }, body: json })],
    ['REST, binary', rest(running.url, sender)],
    ['gRPC', unary(running.grpc, request)],
    ['gRPC, streams', streamed(running.grpc, request)],
    ...(name === 'DeepRT'
      ? ([['JPEG 640x480', rest(running.url, { path, headers: images, body: await jpegOf(640, 480) })]] as [
          string,
          Asking,
        ][])
      : []),
  ];
}

const env = environment();
const work = await mkdtemp(join(tmpdir(), 'deeprt-protocols-'));
try {
  const path = join(work, 'echo.onnx');
  const bytes = identityNetwork('float32', ['n', ...DIMS]);
  await writeFile(path, bytes);
  // BentoML's app has three networks; only the first is asked.
  const tenants = ['echo', 'second', 'third'].map((name): Tenant => {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const network: Network = { name, path, sha256, input: 'in', output: 'out', outputAxes: 3, dims: DIMS, maxBatch: 8 };
    const cameras = { tenant: name, streams: CALLERS, fps: 1000, deadlineMs: 1000, jitterMs: 0 };
    return { cameras, network, asks: { class: 'BestEffort', deadline: undefined } };
  });
  const rows: Row[] = [];
  for (const system of [deeprt(join(work, 'state')), triton(env, false), bentoml(env)]) {
    const dir = await mkdtemp(join(work, 'system-'));
    const running = await system.start(tenants, dir);
    try {
      for (const [protocol, asking] of await protocolsOf(system, running, tenants[0]!)) {
        const row = await measure(system.name, protocol, asking, running.pid);
        console.log(`${system.name} ${protocol}: ${row.perSecond.toFixed(0)} frames a second`);
        rows.push(row);
      }
    } finally {
      await running.stop();
    }
  }
  const cells = rows.map(({ system, protocol, p50Ms, p99Ms, perSecond, perCoreSecond }) => [
    protocol,
    system,
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    perSecond.toFixed(0),
    // Of a server whose processes leave the session that it was started in, nobody knows.
    Number.isFinite(perCoreSecond) ? perCoreSecond.toFixed(0) : '',
  ]);
  cells.sort((a, b) => (a[0]! < b[0]! ? -1 : a[0]! > b[0]! ? 1 : 0));
  console.log(`\n${table(['PROTOCOL', 'SYSTEM', 'P50 MS', 'P99 MS', 'FRAMES/S', 'FRAMES/S A CORE'], cells)}`);
} finally {
  await rm(work, { recursive: true, force: true });
}
