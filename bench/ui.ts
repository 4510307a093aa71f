import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LiveNode, LiveRun, LiveRuns } from '../api/live.js';
import { nowUs } from '../kube/clock.js';
import { chromium, openBrowser, visit } from '../test/support/browser.js';
import { LivePage } from '../ui/live-page.js';
import type { Figure } from './figure.js';

const RUNS_PER_SECOND = 1000;
const TENANTS = 100;
const SECONDS = 20;
const PERIOD_US = 1e6 / RUNS_PER_SECOND;

/** How smoothly the live page shows a device that runs a thousand batches a second, in a browser that draws without a GPU. */
export async function benchUi(): Promise<Figure[]> {
  const path = chromium();
  if (path === undefined) return [];
  const page = new LivePage('node', [
    { event: 'node', everyMs: 1000, tell: () => ({ data: nodeNow() }) },
    { event: 'runs', everyMs: 250, tell: (last) => runsSince((last as number | undefined) ?? nowUs() - 10e6) },
  ]);
  const server = createServer((req, res) => {
    const respond = page.paths.get(req.url ?? '');
    if (respond === undefined) res.writeHead(404).end();
    else respond(req, res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const browser = await openBrowser(path);
  try {
    const { page: shown } = await visit(browser, `http://127.0.0.1:${(server.address() as AddressInfo).port}/ui`);
    const gaps = (await shown.evaluate(`new Promise((resolve) => {
      const gaps = [];
      let last = performance.now();
      const until = last + ${1000 * SECONDS};
      const frame = (now) => {
        gaps.push(now - last);
        last = now;
        if (now < until) requestAnimationFrame(frame); else resolve(gaps);
      };
      requestAnimationFrame(frame);
    })`)) as number[];
    gaps.sort((a, b) => a - b);
    const p95 = gaps[Math.floor(0.95 * gaps.length)]!;
    return [
      {
        name: `the live page at ${RUNS_PER_SECOND} runs/s: pictures a second`,
        value: gaps.length / SECONDS,
        unit: '1/s',
      },
      { name: 'the same: time between two pictures, p95', value: p95, unit: 'ms', aim: '<= 50 ms', met: p95 <= 50 },
    ];
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}

function runsSince(sinceUs: number): { data: LiveRuns; last: number } {
  const runs: LiveRun[] = [];
  let startUs = sinceUs;
  for (const untilUs = nowUs(); startUs + PERIOD_US <= untilUs; startUs += PERIOD_US)
    runs.push([
      `category-${runs.length % 16}`,
      runs.length % 3 === 0 ? 'visit' : 'eager',
      4,
      runs.length % 5,
      startUs,
      700,
      800,
    ]);
  return { data: { nowUs: nowUs(), devices: [{ device: 0, runs }] }, last: startUs };
}

function nodeNow(): LiveNode {
  const counted = Math.floor(nowUs() / PERIOD_US);
  return {
    nowUs: nowUs(),
    version: 'bench',
    ready: true,
    devices: [
      { device: 0, promised: { device: 0.7, receive: 0.2, decode: 0.1 }, busyUs: 0, runs: counted, overruns: 0 },
    ],
    tenants: Array.from({ length: TENANTS }, (_, i) => ({
      tenant: `default/tenant-${i}`,
      category: `category-${i % 16}`,
      devices: [0],
      promisedPerSecond: 30,
      deadlineUs: 100_000,
      outcomes: { onTime: counted, late: 0 },
      promisedFrames: counted,
      spareFrames: 0,
      misses: 0,
      p50Us: 20_000,
      p99Us: 60_000,
      refusals: { RateExceeded: counted },
    })),
    late: [],
  };
}
